// The dynamics of the E-GLIF neuron without any of NEST: parameters, state, and one time step.
// eglif_cond_alpha_multisyn.nestml explains every quantity and step.
#ifndef EGLIF_DYNAMICS_H
#define EGLIF_DYNAMICS_H

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <numbers>

namespace cerebellum
{
constexpr double NIL = 1e-15; // nS or pA: set to zero, before denormal numbers slow the processor down
constexpr size_t N_RECEPTORS = 4;

// Independent parameters, with the names and units they have in NEST.
struct Parameters
{
  double C_m = 281.0;             // pF
  double tau_m = 30.0;            // ms
  double E_L = -70.6;             // mV
  double t_ref = 0.0;             // ms
  double I_e = 0.0;               // pA
  double V_reset = -60.0;         // mV
  double V_min = -150.0;          // mV
  double V_th = -50.4;            // mV
  double lambda_0 = 0.001;        // 1/ms
  double tau_V = 0.5;             // mV
  double k_1 = 0.006944444;       // 1/ms
  double k_2 = 0.012422360;       // 1/ms
  double k_adap = 4.0;            // nS/ms
  double A1 = 100.0;              // pA
  double A2 = 100.0;              // pA
  std::array< double, N_RECEPTORS > E_rev = { 0.0, -80.0, 0.0, -80.0 };  // mV
  std::array< double, N_RECEPTORS > tau_syn = { 0.2, 2.0, 2.0, 2.0 };    // ms

  auto operator<=>( const Parameters& ) const = default;
};

// What a time step needs, computed from the parameters; the same object for all neurons with equal parameters.
struct Propagators
{
  Propagators( const Parameters&, double h );

  struct Receptor
  {
    double E_rev, x, decay, mean_g, mean_s, jump;
  };

  Parameters p;
  std::array< Receptor, N_RECEPTORS > receptors;
  double h, h_C, leak, V_silent;
  double I_dep_decay, I_dep_mean;
  double adap_end, adap_end_constant, adap_end_linear, adap_mean, adap_mean_constant, adap_mean_linear;
  long refractory_steps;
};

struct State
{
  double V_m = -60.0;  // mV
  double I_adap = 0.0; // pA
  double I_dep = 0.0;  // pA
  double I_stim = 0.0; // pA, input current of the coming step
  long refractory = 0; // time steps left
  std::array< double, N_RECEPTORS > g = {}; // nS, conductances
  std::array< double, N_RECEPTORS > s = {}; // nS, their rise per time step, without decay
};

// Means over 0 < u < 1. The series are for small x, where the closed forms lose digits.
inline double
mean_decay( double x ) // of exp(-x u)
{
  return std::abs( x ) < 0.01 ? 1 - x / 2 + x * x / 6 - x * x * x / 24 : ( 1 - std::exp( -x ) ) / x;
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

inline Propagators::Propagators( const Parameters& parameters, const double resolution )
  : p( parameters )
  , h( resolution )
  , h_C( h / p.C_m )
  , leak( h / p.tau_m )
  , V_silent( p.V_th + p.tau_V * std::log( 1e-12 / ( p.lambda_0 * h ) ) )
  , I_dep_decay( std::exp( -p.k_1 * h ) )
  , I_dep_mean( mean_decay( p.k_1 * h ) )
  , adap_end( std::exp( -p.k_2 * h ) )
  , adap_end_constant( p.k_adap * h * mean_decay( p.k_2 * h ) )
  , adap_end_linear( p.k_adap * h * mean_rise( p.k_2 * h ) )
  , adap_mean( mean_decay( p.k_2 * h ) )
  , adap_mean_constant( p.k_adap * h * mean_rise( p.k_2 * h ) )
  , adap_mean_linear( p.k_adap * h * mean_linear_rise( p.k_2 * h ) )
  , refractory_steps( std::lround( p.t_ref / h ) )
{
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    const double x = h / p.tau_syn[ i ];
    receptors[ i ] = { p.E_rev[ i ], x, std::exp( -x ), mean_decay( x ), mean_alpha( x ), std::numbers::e * x };
  }
}

// The part of a step in which the synapses take V far towards their reversal potential, cut in pieces.
inline double
potential_after_strong_input( const State& start, const Propagators& c, const double a, const double I_mean )
{
  const int parts = static_cast< int >( std::ceil( 4 * std::abs( a ) ) );
  const double du = 1. / parts;
  double V = start.V_m;
  std::array< double, N_RECEPTORS > g = start.g, s = start.s;
  for ( int part = 0; part < parts; ++part )
  {
    double pa = -c.leak * du;
    double pb = du * ( c.h_C * I_mean - c.leak * c.p.E_L );
    double da = 0, da_E = 0;
    for ( size_t i = 0; i < N_RECEPTORS; ++i )
    {
      const auto& receptor = c.receptors[ i ];
      const double x = receptor.x * du;
      const double rise = s[ i ] * du;
      const double mean = c.h_C * du * ( mean_decay( x ) * g[ i ] + mean_alpha( x ) * rise );
      const double end = std::exp( -x ) * ( g[ i ] + rise );
      const double change = c.h_C * du * ( end - g[ i ] );
      g[ i ] = end;
      s[ i ] *= std::exp( -x );
      pa += mean;
      pb += mean * receptor.E_rev;
      da += change;
      da_E += change * receptor.E_rev;
    }
    pb += ( pa * da_E - da * pb ) / 12;
    V += mean_decay( pa ) * ( pb - pa * V );
  }
  return V;
}

// One time step of everything but the refractory counter and the spike.
inline void
advance( State& state, const Propagators& c )
{
  const State start = state;
  double a = -c.leak;
  double a_E = -c.leak * c.p.E_L; // a, each part times its reversal potential
  double da = 0;                  // change of both over the step
  double da_E = 0;
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    if ( start.g[ i ] + start.s[ i ] > NIL )
    {
      const auto& receptor = c.receptors[ i ];
      const double mean = c.h_C * ( receptor.mean_g * start.g[ i ] + receptor.mean_s * start.s[ i ] );
      state.g[ i ] = receptor.decay * ( start.g[ i ] + start.s[ i ] );
      state.s[ i ] = receptor.decay * start.s[ i ];
      const double change = c.h_C * ( state.g[ i ] - start.g[ i ] );
      a += mean;
      a_E += mean * receptor.E_rev;
      da += change;
      da_E += change * receptor.E_rev;
    }
    else if ( start.s[ i ] != 0 )
    {
      state.g[ i ] = state.s[ i ] = 0;
    }
  }

  if ( state.refractory == 0 )
  {
    const double I_mean = c.p.I_e + start.I_stim + c.I_dep_mean * start.I_dep - c.adap_mean * start.I_adap
      - c.adap_mean_constant * ( start.V_m - c.p.E_L );
    if ( std::abs( a ) < 0.5 )
    {
      double b = a_E + c.h_C * I_mean;
      b += ( a * da_E - da * b ) * ( 1. / 12 );
      const double phi = 12 / ( 12 + a * ( 6 + a ) ); // Pade approximation of (1 - exp(-a))/a, good to 1e-4
      state.V_m += phi * ( b - a * start.V_m ) * ( 1 - phi * c.h_C * c.adap_mean_linear );
    }
    else
    {
      state.V_m = potential_after_strong_input( start, c, a, I_mean );
    }
    state.V_m = std::max( state.V_m, c.p.V_min );
  }
  state.I_adap = c.adap_end * start.I_adap + c.adap_end_constant * ( start.V_m - c.p.E_L )
    + c.adap_end_linear * ( state.V_m - start.V_m );
  state.I_dep = c.I_dep_decay * start.I_dep;
  if ( std::abs( state.I_dep ) < NIL )
  {
    state.I_dep = 0;
  }
}
}

#endif
