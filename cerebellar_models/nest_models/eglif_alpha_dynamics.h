// The dynamics of the E-GLIF neuron with alpha-function synapses, without any of NEST: parameters, state, and one time step.
// eglif_cond_alpha_multisyn.nestml explains every quantity and step.
#ifndef EGLIF_ALPHA_DYNAMICS_H
#define EGLIF_ALPHA_DYNAMICS_H

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <cstddef>
#include <numbers>
#include <string>

#include "eglif_means.h"

namespace cerebellum::alpha
{
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

// Calls visit( name, value ) for each; a parameter of one receptor is an array element, all others are plain members.
template < typename Visitor >
void
for_each_parameter( Parameters& p, Visitor visit )
{
  visit( "C_m", p.C_m );
  visit( "tau_m", p.tau_m );
  visit( "E_L", p.E_L );
  visit( "t_ref", p.t_ref );
  visit( "I_e", p.I_e );
  visit( "V_reset", p.V_reset );
  visit( "V_min", p.V_min );
  visit( "V_th", p.V_th );
  visit( "lambda_0", p.lambda_0 );
  visit( "tau_V", p.tau_V );
  visit( "k_1", p.k_1 );
  visit( "k_2", p.k_2 );
  visit( "k_adap", p.k_adap );
  visit( "A1", p.A1 );
  visit( "A2", p.A2 );
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    visit( "E_rev" + std::to_string( i + 1 ), p.E_rev[ i ] );
    visit( "tau_syn" + std::to_string( i + 1 ), p.tau_syn[ i ] );
  }
}

// The first condition that does not hold, nothing if all do.
inline std::string
violated( const Parameters& p )
{
  return not( p.C_m > 0 )  ? "C_m > 0"
    : not( p.tau_m > 0 )   ? "tau_m > 0"
    : not( p.t_ref >= 0 )  ? "t_ref >= 0"
    : not( p.lambda_0 >= 0 ) ? "lambda_0 >= 0"
    : not( p.tau_V > 0 )   ? "tau_V > 0"
    : not( p.k_1 >= 0 )    ? "k_1 >= 0"
    : not( p.k_2 >= 0 )    ? "k_2 >= 0"
    : not( *std::min_element( p.tau_syn.begin(), p.tau_syn.end() ) > 0 ) ? "all tau_syn > 0"
                                                                         : "";
}

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

template < typename Visitor >
void
for_each_state( State& s, Visitor visit )
{
  visit( "V_m", s.V_m );
  visit( "I_adap", s.I_adap );
  visit( "I_dep", s.I_dep );
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
potential_after_strong_input( const State& start,
  const Propagators& c,
  const Coupling& coupling,
  const double a,
  const double I_mean )
{
  const int parts = parts_of_step( a );
  const double du = 1. / parts;
  double V = start.V_m;
  std::array< double, N_RECEPTORS > g = start.g, s = start.s;
  for ( int part = 0; part < parts; ++part )
  {
    double pa = du * ( c.h_C * coupling.conductance - c.leak );
    double pb = du * ( c.h_C * ( I_mean + coupling.mean + ( ( part + 0.5 ) * du - 0.5 ) * coupling.change )
      - c.leak * c.p.E_L );
    double da = 0, da_E = du * du * c.h_C * coupling.change;
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
advance( State& state, const Propagators& c, const Coupling& coupling )
{
  const State start = state;
  double a = c.h_C * coupling.conductance - c.leak;
  double a_E = c.h_C * coupling.mean - c.leak * c.p.E_L; // a, each part times its reversal potential
  double da = 0;                                         // change of both over the step
  double da_E = c.h_C * coupling.change;
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
      state.V_m = potential_after_strong_input( start, c, coupling, a, I_mean );
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

// Whether the cell spikes at the end of a step, for which draw() gives a number uniform in [0, 1).
template < typename Draw >
bool
fires( const State& state, const Propagators& c, Draw&& draw )
{
  if ( state.V_m <= c.V_silent )
  {
    return false;
  }
  const double expected = c.p.lambda_0 * c.h * std::exp( ( state.V_m - c.p.V_th ) / c.p.tau_V );
  const double drawn = draw();
  // 1 - exp(-x) <= x spares most steps the second exponential.
  return drawn < expected and drawn < 1 - std::exp( -expected );
}

inline void
spike( State& state, const Propagators& c )
{
  state.refractory = c.refractory_steps;
  state.V_m = c.p.V_reset;
  state.I_dep = c.p.A1;
  state.I_adap += c.p.A2;
}

// The sums of the weights of the spikes that arrived at each receptor in a step.
template < typename Weights >
void
receive( State& state, const Propagators& c, const Weights& weights )
{
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    state.s[ i ] += c.receptors[ i ].jump * weights[ i ];
  }
}

struct Model
{
  static constexpr const char* NAME = "eglif_cond_alpha_multisyn";
  static constexpr size_t N_RECEPTORS = alpha::N_RECEPTORS;
  using Parameters = alpha::Parameters;
  using Propagators = alpha::Propagators;
  using State = alpha::State;
};
}

#endif
