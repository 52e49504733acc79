// What the dynamics of both E-GLIF neurons share, without any of NEST.
#ifndef EGLIF_MEANS_H
#define EGLIF_MEANS_H

#include <algorithm>
#include <cmath>

namespace cerebellum
{
constexpr double NIL = 1e-15; // nS or pA: set to zero, before denormal numbers slow the processor down

// The gap junctions of a neuron during one time step, in which the partners' potentials V_j go linearly.
struct Coupling
{
  double conductance = 0; // nS, sum of all w_j
  double mean = 0;        // pA, mean over the step of the sum of w_j V_j
  double change = 0;      // pA, change over the step of the sum of w_j V_j
};

// In how many parts a step with the rate a per step is taken; what is no number has the most.
inline int
parts_of_step( double a )
{
  constexpr double MOST = 10000;
  return static_cast< int >( std::ceil( std::min( MOST, 4 * std::abs( a ) ) ) );
}

// Means over 0 < u < 1. The series are for small x, where the closed forms lose digits.
inline double
mean_decay( double x ) // of exp(-x u)
{
  return std::abs( x ) < 1e-8 ? 1 - x / 2 : -std::expm1( -x ) / x;
}

inline double
mean_rise( double x ) // of u exp(-x (1 - u)), and of (1 - exp(-x u)) / x
{
  return std::abs( x ) < 0.01 ? 0.5 - x / 6 + x * x / 24 - x * x * x / 120 : ( 1 - mean_decay( x ) ) / x;
}

inline double
mean_linear_rise( double x ) // of the response at u of exp(-x u) to a ramp
{
  return std::abs( x ) < 0.01 ? 1. / 6 - x / 24 + x * x / 120 - x * x * x / 720 : ( 0.5 - mean_rise( x ) ) / x;
}

inline double
mean_alpha( double x ) // of u exp(-x u)
{
  return std::abs( x ) < 0.01 ? 0.5 - x / 3 + x * x / 8 - x * x * x / 30 : ( mean_decay( x ) - std::exp( -x ) ) / x;
}
}

#endif
