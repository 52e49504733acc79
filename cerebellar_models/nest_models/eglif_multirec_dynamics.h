// The dynamics of the E-GLIF neuron with two-decay receptors, without any of NEST: parameters, state, and one time
// step. eglif_multirec.nestml explains every quantity and step.
#ifndef EGLIF_MULTIREC_DYNAMICS_H
#define EGLIF_MULTIREC_DYNAMICS_H

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <cstddef>
#include <string>
#include <utility>

#include "eglif_means.h"

namespace cerebellum::multirec
{
enum Receptor : size_t
{
  AMPA,
  NMDA,
  GABA,
  AMPA2,
  AMPA3,
  N_RECEPTORS
};
constexpr std::array< const char*, N_RECEPTORS > RECEPTORS = { "AMPA", "NMDA", "GABA", "AMPA2", "AMPA3" };

struct ReceptorParameters
{
  double g_init; // nS
  double E_rev;  // mV
  double A_r;    // -
  double Tau_r;  // ms
  double A1;     // 1/ms
  double Tau_d1; // ms
  double A2;     // 1/ms
  double Tau_d2; // ms

  auto operator<=>( const ReceptorParameters& ) const = default;
};
constexpr ReceptorParameters AMPA_DEFAULTS = { 1.34, 0.0, 6.97, 1.0, 1.46, 0.386, 1.6, 3.7 };
constexpr ReceptorParameters NMDA_DEFAULTS = { 0.0234, -3.7, 3.3, 21.2, 2.95, 14.9, 0.213, 121.0 };
constexpr ReceptorParameters GABA_DEFAULTS = { 0.162, -65.0, 4.54, 0.376, 10.6, 27.3, 3.15, 269.0 };

// Independent parameters, with the names and units they have in NEST.
struct Parameters
{
  double C_m = 281.0;              // pF
  double tau_m = 30.0;             // ms
  double E_L = -70.6;              // mV
  double t_ref = 0.0;              // ms
  double I_e = 0.0;                // pA
  double V_reset = -60.0;          // mV
  double V_min = -150.0;           // mV
  double V_th = -50.4;             // mV
  bool stochastic_spiking = false; // whether to spike with an intensity, not at V_th
  double lambda_0 = 0.001;         // 1/ms
  double tau_V = 0.5;              // mV
  double k_1 = 0.006944444;        // 1/ms
  double k_2 = 0.012422360;        // 1/ms
  double k_adap = 4.0;             // nS/ms
  double A1 = 100.0;               // pA
  double A2 = 100.0;               // pA
  double v0_block = -20.0;         // mV
  double k_block = 13.0;           // mV
  double V_Mg_Unblock = 20.0;      // mV
  double t_Mg_Unblock = 0.5;       // ms
  std::array< ReceptorParameters, N_RECEPTORS > receptors = {
    AMPA_DEFAULTS, NMDA_DEFAULTS, GABA_DEFAULTS, AMPA_DEFAULTS, AMPA_DEFAULTS };

  auto operator<=>( const Parameters& ) const = default;
};

// Calls visit( name, value ) for each.
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
  visit( "stochastic_spiking", p.stochastic_spiking );
  visit( "lambda_0", p.lambda_0 );
  visit( "tau_V", p.tau_V );
  visit( "k_1", p.k_1 );
  visit( "k_2", p.k_2 );
  visit( "k_adap", p.k_adap );
  visit( "A1", p.A1 );
  visit( "A2", p.A2 );
  visit( "v0_block", p.v0_block );
  visit( "k_block", p.k_block );
  visit( "V_Mg_Unblock", p.V_Mg_Unblock );
  visit( "t_Mg_Unblock", p.t_Mg_Unblock );
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    const std::string prefix = std::string( RECEPTORS[ i ] ) + "_";
    ReceptorParameters& receptor = p.receptors[ i ];
    visit( prefix + "g_init", receptor.g_init );
    visit( prefix + "E_rev", receptor.E_rev );
    visit( prefix + "A_r", receptor.A_r );
    visit( prefix + "Tau_r", receptor.Tau_r );
    visit( prefix + "A1", receptor.A1 );
    visit( prefix + "Tau_d1", receptor.Tau_d1 );
    visit( prefix + "A2", receptor.A2 );
    visit( prefix + "Tau_d2", receptor.Tau_d2 );
  }
}

// The first condition that does not hold, nothing if all do.
inline std::string
violated( const Parameters& p )
{
  const std::pair< const char*, bool > conditions[] = { { "C_m > 0", p.C_m > 0 },
    { "tau_m > 0", p.tau_m > 0 },
    { "t_ref >= 0", p.t_ref >= 0 },
    { "lambda_0 >= 0", p.lambda_0 >= 0 },
    { "tau_V > 0", p.tau_V > 0 },
    { "k_1 >= 0", p.k_1 >= 0 },
    { "k_2 >= 0", p.k_2 >= 0 },
    { "k_block > 0", p.k_block > 0 },
    { "t_Mg_Unblock >= 0", p.t_Mg_Unblock >= 0 } };
  for ( const auto& [ condition, holds ] : conditions )
  {
    if ( not holds )
    {
      return condition;
    }
  }
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    const ReceptorParameters& r = p.receptors[ i ];
    if ( not( r.g_init >= 0 and r.A_r > 0 and r.Tau_r > 0 and r.A1 >= 0 and r.Tau_d1 > 0 and r.A2 >= 0 and r.Tau_d2 > 0 ) )
    {
      const std::string X = RECEPTORS[ i ];
      return X + "_g_init, " + X + "_A1, " + X + "_A2 >= 0 and " + X + "_A_r, " + X + "_Tau_r, " + X + "_Tau_d1, " + X
        + "_Tau_d2 > 0";
    }
  }
  return "";
}

inline double
drive( const double x, const double y ) // mean of exp(-x (1 - u)) exp(-y u)
{
  return std::exp( -std::min( x, y ) ) * mean_decay( std::abs( x - y ) );
}

inline double
mean_drive( const double x, const double y ) // mean of u drive(x u, y u)
{
  return std::abs( x - y ) > 1e-3 ? ( mean_decay( x ) - mean_decay( y ) ) / ( y - x ) : mean_alpha( ( x + y ) / 2 );
}

// What a time step needs, computed from the parameters; the same object for all neurons with equal parameters.
struct Propagators
{
  struct ReceptorPropagators
  {
    double E_rev, end_r, end_1, end_2, drive_1, drive_2, mean_r, mean_1, mean_2;
  };

  Propagators( const Parameters& parameters, const double resolution )
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
    , unblock_steps( std::lround( std::min( p.t_Mg_Unblock, p.t_ref ) / h ) )
  {
    for ( size_t i = 0; i < N_RECEPTORS; ++i )
    {
      const ReceptorParameters& r = p.receptors[ i ];
      const double x_r = r.A_r * h / r.Tau_r, x_1 = h / r.Tau_d1, x_2 = h / r.Tau_d2;
      receptors[ i ] = { r.E_rev,
        std::exp( -x_r ),
        std::exp( -x_1 ),
        std::exp( -x_2 ),
        r.A1 * h * drive( x_r, x_1 ),
        r.A2 * h * drive( x_r, x_2 ),
        r.A1 * h * mean_drive( x_r, x_1 ) + r.A2 * h * mean_drive( x_r, x_2 ),
        mean_decay( x_1 ),
        mean_decay( x_2 ) };
    }
  }

  Parameters p;
  std::array< ReceptorPropagators, N_RECEPTORS > receptors;
  double h, h_C, leak, V_silent;
  double I_dep_decay, I_dep_mean;
  double adap_end, adap_end_constant, adap_end_linear, adap_mean, adap_mean_constant, adap_mean_linear;
  long refractory_steps, unblock_steps;
};

struct ReceptorState
{
  double r = 0;  // nS
  double d1 = 0; // nS
  double d2 = 0; // nS
};

struct State
{
  double V_m = -40.0;  // mV
  double I_adap = 0.0; // pA
  double I_dep = 0.0;  // pA
  double I_stim = 0.0; // pA, input current of the coming step
  long refractory = 0; // time steps left
  long unblocked = 0;  // time steps left in which a spike unblocks NMDA
  std::array< ReceptorState, N_RECEPTORS > receptors = {};
};

template < typename Visitor >
void
for_each_state( State& s, Visitor visit )
{
  visit( "V_m", s.V_m );
  visit( "I_adap", s.I_adap );
  visit( "I_dep", s.I_dep );
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    visit( std::string( RECEPTORS[ i ] ) + "_r", s.receptors[ i ].r );
    visit( std::string( RECEPTORS[ i ] ) + "_d1", s.receptors[ i ].d1 );
    visit( std::string( RECEPTORS[ i ] ) + "_d2", s.receptors[ i ].d2 );
  }
}

// The part of NMDA's conductance that magnesium leaves open.
inline double
open_part( const double V, const Parameters& p )
{
  return 1 / ( 1 + std::exp( ( p.v0_block - V ) / p.k_block ) );
}

// The open part linearised about V: the current of a conductance g is g (E - slope V).
struct OpenPart
{
  double slope, E;

  OpenPart( const double V, const Propagators& c )
  {
    const double B = open_part( V, c.p );
    const double distance = c.receptors[ NMDA ].E_rev - V;
    slope = B - B * ( 1 - B ) * distance / c.p.k_block;
    E = B * distance + slope * V;
  }
};

// Conductances of a step as its start, mean and change, in units of C_m/h, and each part times its reversal potential.
struct Conductance
{
  double start = 0, mean = 0, change = 0;
  double start_E = 0, mean_E = 0, change_E = 0;

  void
  add( const double start_g, const double mean_g, const double change_g, const double E )
  {
    start += start_g;
    mean += mean_g;
    change += change_g;
    start_E += start_g * E;
    mean_E += mean_g * E;
    change_E += change_g * E;
  }
};

// The part of a step in which the synapses take V far towards their reversal potential, cut in pieces. Conductances
// follow parabolas of the same start, change and mean, and NMDA is linearised anew in each.
inline double
potential_after_strong_input( double V,
  const Propagators& c,
  const Conductance& g,
  const Conductance& nmda,
  const double a,
  const double I_mean )
{
  const int parts = parts_of_step( a );
  const double du = 1. / parts;
  for ( int part = 0; part < parts; ++part )
  {
    const double u = part * du, v = u + du;
    const double w_mean = v * v * ( 3 - 2 * v ) - u * u * ( 3 - 2 * u );
    const double w_change = v * v * ( v - 1 ) - u * u * ( u - 1 );
    const double w_start = du - w_mean;
    const double nmda_g = w_start * nmda.start + w_change * nmda.change + w_mean * nmda.mean;
    const OpenPart open( V, c );
    const double pa =
      w_start * g.start + w_change * g.change + w_mean * g.mean + nmda_g * open.slope - c.leak * du;
    const double pb = w_start * g.start_E + w_change * g.change_E + w_mean * g.mean_E + nmda_g * open.E
      + du * ( c.h_C * I_mean - c.leak * c.p.E_L );
    V += mean_decay( pa ) * ( pb - pa * V );
  }
  return V;
}

// One time step of everything but the refractory counter and the spike.
inline void
advance( State& state, const Propagators& c, const Coupling& coupling )
{
  const double V_start = state.V_m;
  Conductance g, nmda; // nmda is without its block
  for ( size_t i = 0; i < N_RECEPTORS; ++i )
  {
    ReceptorState& s = state.receptors[ i ];
    if ( s.r + s.d1 + s.d2 > NIL )
    {
      const auto& receptor = c.receptors[ i ];
      const double start = c.h_C * ( s.d1 + s.d2 );
      const double mean = c.h_C * ( receptor.mean_r * s.r + receptor.mean_1 * s.d1 + receptor.mean_2 * s.d2 );
      s.d1 = receptor.end_1 * s.d1 + receptor.drive_1 * s.r;
      s.d2 = receptor.end_2 * s.d2 + receptor.drive_2 * s.r;
      s.r *= receptor.end_r;
      ( i == NMDA ? nmda : g ).add( start, mean, c.h_C * ( s.d1 + s.d2 ) - start, receptor.E_rev );
    }
    else
    {
      s = {};
    }
  }

  if ( state.refractory == 0 )
  {
    g.start += c.h_C * coupling.conductance;
    g.mean += c.h_C * coupling.conductance;
    g.start_E += c.h_C * ( coupling.mean - coupling.change / 2 );
    g.mean_E += c.h_C * coupling.mean;
    g.change_E += c.h_C * coupling.change;
    const double I_mean = c.p.I_e + state.I_stim + c.I_dep_mean * state.I_dep - c.adap_mean * state.I_adap
      - c.adap_mean_constant * ( V_start - c.p.E_L );
    double slope = 0, open_E = 0;
    if ( nmda.mean > 0 )
    {
      const OpenPart open( V_start, c );
      slope = open.slope;
      open_E = open.E;
    }
    const double a = g.mean + nmda.mean * slope - c.leak;
    if ( std::abs( a ) < 0.5 )
    {
      double b = g.mean_E + nmda.mean * open_E - c.leak * c.p.E_L + c.h_C * I_mean;
      b += ( a * ( g.change_E + nmda.change * open_E ) - ( g.change + nmda.change * slope ) * b ) * ( 1. / 12 );
      const double phi = 12 / ( 12 + a * ( 6 + a ) ); // Pade approximation of (1 - exp(-a))/a, good to 1e-4
      state.V_m += phi * ( b - a * V_start ) * ( 1 - phi * c.h_C * c.adap_mean_linear );
    }
    else
    {
      state.V_m = potential_after_strong_input( V_start, c, g, nmda, a, I_mean );
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
  state.unblocked -= state.unblocked > 0;
}

// Whether the cell spikes at the end of a step, for which draw() gives a number uniform in [0, 1).
template < typename Draw >
bool
fires( const State& state, const Propagators& c, Draw&& draw )
{
  if ( not c.p.stochastic_spiking )
  {
    return state.V_m >= c.p.V_th;
  }
  return state.V_m > c.V_silent
    and draw() < 1 - std::exp( -c.p.lambda_0 * c.h * std::exp( ( state.V_m - c.p.V_th ) / c.p.tau_V ) );
}

inline void
spike( State& state, const Propagators& c )
{
  state.refractory = c.refractory_steps;
  state.unblocked = c.unblock_steps;
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
    state.receptors[ i ].r += c.p.receptors[ i ].g_init * weights[ i ];
  }
}

struct Model
{
  static constexpr const char* NAME = "eglif_multirec";
  static constexpr size_t N_RECEPTORS = multirec::N_RECEPTORS;
  using Parameters = multirec::Parameters;
  using Propagators = multirec::Propagators;
  using State = multirec::State;
};
}

#endif
