// What the E-GLIF neurons share, which is all but their synapses and when they spike, without any of NEST: parameters,
// state, and one time step. The .nestml files explain every quantity and step.
#ifndef EGLIF_MEMBRANE_H
#define EGLIF_MEMBRANE_H

#include <algorithm>
#include <cmath>
#include <compare>
#include <initializer_list>
#include <string>

#include "eglif_means.h"

namespace cerebellum
{
// Independent parameters, with the names and units they have in NEST.
struct MembraneParameters
{
  double C_m = 281.0;       // pF
  double tau_m = 30.0;      // ms
  double E_L = -70.6;       // mV
  double t_ref = 0.0;       // ms
  double I_e = 0.0;         // pA
  double V_reset = -60.0;   // mV
  double V_min = -150.0;    // mV
  double V_th = -50.4;      // mV
  double lambda_0 = 0.001;  // 1/ms
  double tau_V = 0.5;       // mV
  double k_1 = 0.006944444; // 1/ms
  double k_2 = 0.012422360; // 1/ms
  double k_adap = 4.0;      // nS/ms
  double A1 = 100.0;        // pA
  double A2 = 100.0;        // pA

  auto operator<=>( const MembraneParameters& ) const = default;
};

// Calls visit( name, value ) for each.
template < typename Visitor >
void
for_each_parameter( MembraneParameters& p, Visitor visit )
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
}

struct Condition
{
  const char* text;
  bool holds;
};

// The first condition that does not hold, nothing if all do.
inline std::string
first_violated( const std::initializer_list< Condition > conditions )
{
  const auto found =
    std::find_if( conditions.begin(), conditions.end(), []( const Condition& c ) { return not c.holds; } );
  return found == conditions.end() ? "" : found->text;
}

inline std::string
violated( const MembraneParameters& p )
{
  return first_violated( { { "C_m > 0", p.C_m > 0 },
    { "tau_m > 0", p.tau_m > 0 },
    { "t_ref >= 0", p.t_ref >= 0 },
    { "lambda_0 >= 0", p.lambda_0 >= 0 },
    { "tau_V > 0", p.tau_V > 0 },
    { "k_1 >= 0", p.k_1 >= 0 },
    { "k_2 >= 0", p.k_2 >= 0 } } );
}

// What a time step needs, computed from the parameters; the same object for all neurons with equal parameters.
template < typename Parameters >
struct MembranePropagators
{
  MembranePropagators( const Parameters& parameters, const double resolution )
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
  }

  Parameters p;
  double h, h_C, leak, V_silent;
  double I_dep_decay, I_dep_mean;
  double adap_end, adap_end_constant, adap_end_linear, adap_mean, adap_mean_constant, adap_mean_linear;
  long refractory_steps;
};

struct MembraneState
{
  double V_m;          // mV
  double I_adap = 0.0; // pA
  double I_dep = 0.0;  // pA
  double I_stim = 0.0; // pA, input current of the coming step
  long refractory = 0; // time steps left
};

template < typename Visitor >
void
for_each_state( MembraneState& s, Visitor visit )
{
  visit( "V_m", s.V_m );
  visit( "I_adap", s.I_adap );
  visit( "I_dep", s.I_dep );
}

// All conductances of a step, the leak and those of gap junctions too, in units of C_m/h.
struct Conductances
{
  double mean;     // over the step
  double mean_E;   // each part times its reversal potential
  double change;   // from the start of the step to its end
  double change_E; // each part times its reversal potential
};

// One time step of everything but the refractory counter and the spike. A model's Synapses are made with its state at
// the start of the step, whose conductances they take to the end of the step. They tell all conductances as linearised
// about a potential, and integrate by themselves the step in which these are strong.
template < typename Synapses, typename State, typename Propagators >
void
advance( State& state, const Propagators& c, const Coupling& coupling )
{
  const double V_start = state.V_m;
  Synapses synapses( state, c, coupling );
  if ( state.refractory == 0 )
  {
    const double I_mean = c.p.I_e + state.I_stim + c.I_dep_mean * state.I_dep - c.adap_mean * state.I_adap
      - c.adap_mean_constant * ( V_start - c.p.E_L );
    const Conductances g = synapses.conductances( V_start );
    if ( std::abs( g.mean ) < 0.5 )
    {
      double b = g.mean_E + c.h_C * I_mean;
      b += ( g.mean * g.change_E - g.change * b ) * ( 1. / 12 );
      // Pade approximation of (1 - exp(-a))/a, a the mean conductance, good to 1e-4
      const double phi = 12 / ( 12 + g.mean * ( 6 + g.mean ) );
      state.V_m += phi * ( b - g.mean * V_start ) * ( 1 - phi * c.h_C * c.adap_mean_linear );
    }
    else
    {
      state.V_m = synapses.potential_after_strong_input( V_start, parts_of_step( g.mean ), I_mean );
    }
    state.V_m = std::max( state.V_m, c.p.V_min );
  }
  state.I_adap = c.adap_end * state.I_adap + c.adap_end_constant * ( V_start - c.p.E_L )
    + c.adap_end_linear * ( state.V_m - V_start );
  state.I_dep *= c.I_dep_decay;
  if ( std::abs( state.I_dep ) < NIL )
  {
    state.I_dep = 0;
  }
}

// Whether the cell spikes at the end of a step, with an intensity that grows exponentially with its potential. draw()
// gives a number uniform in [0, 1).
template < typename Parameters, typename Draw >
bool
escapes( const MembraneState& state, const MembranePropagators< Parameters >& c, Draw&& draw )
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

template < typename Parameters >
void
spike( MembraneState& state, const MembranePropagators< Parameters >& c )
{
  state.refractory = c.refractory_steps;
  state.V_m = c.p.V_reset;
  state.I_dep = c.p.A1;
  state.I_adap += c.p.A2;
}
}

#endif
