// The E-GLIF neuron with two-decay receptors, without any of NEST: what it has beyond its membrane.
// eglif_multirec.nestml explains every quantity and step.
#ifndef EGLIF_MULTIREC_DYNAMICS_H
#define EGLIF_MULTIREC_DYNAMICS_H

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <cstddef>
#include <string>

#include "eglif_membrane.h"

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

struct Parameters : MembraneParameters
{
  bool stochastic_spiking = false; // whether to spike with an intensity, not at V_th
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
  for_each_parameter( static_cast< MembraneParameters& >( p ), visit );
  visit( "stochastic_spiking", p.stochastic_spiking );
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
  std::string condition = violated( static_cast< const MembraneParameters& >( p ) );
  if ( condition.empty() )
  {
    condition = first_violated( { { "k_block > 0", p.k_block > 0 }, { "t_Mg_Unblock >= 0", p.t_Mg_Unblock >= 0 } } );
  }
  if ( not condition.empty() )
  {
    return condition;
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

struct Propagators : MembranePropagators< Parameters >
{
  struct ReceptorPropagators
  {
    double E_rev, end_r, end_1, end_2, drive_1, drive_2, mean_r, mean_1, mean_2;
  };

  Propagators( const Parameters& parameters, const double resolution )
    : MembranePropagators( parameters, resolution )
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

  std::array< ReceptorPropagators, N_RECEPTORS > receptors;
  long unblock_steps;
};

struct ReceptorState
{
  double r = 0;  // nS
  double d1 = 0; // nS
  double d2 = 0; // nS
};

struct State : MembraneState
{
  State()
    : MembraneState { -40.0 }
  {
  }

  long unblocked = 0; // time steps left in which a spike unblocks NMDA
  std::array< ReceptorState, N_RECEPTORS > receptors = {};
};

template < typename Visitor >
void
for_each_state( State& s, Visitor visit )
{
  for_each_state( static_cast< MembraneState& >( s ), visit );
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
struct Parabola
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

class Synapses
{
public:
  Synapses( State& state, const Propagators& c, const Coupling& coupling )
    : c_( c )
  {
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
        ( i == NMDA ? nmda_ : g_ ).add( start, mean, c.h_C * ( s.d1 + s.d2 ) - start, receptor.E_rev );
      }
      else
      {
        s = {};
      }
    }
    g_.start += c.h_C * coupling.conductance;
    g_.mean += c.h_C * coupling.conductance;
    g_.start_E += c.h_C * ( coupling.mean - coupling.change / 2 );
    g_.mean_E += c.h_C * coupling.mean;
    g_.change_E += c.h_C * coupling.change;
    state.unblocked -= state.unblocked > 0;
  }

  Conductances
  conductances( const double V ) const
  {
    double slope = 0, E = 0;
    if ( nmda_.mean > 0 )
    {
      const OpenPart open( V, c_ );
      slope = open.slope;
      E = open.E;
    }
    return { g_.mean + nmda_.mean * slope - c_.leak,
      g_.mean_E + nmda_.mean * E - c_.leak * c_.p.E_L,
      g_.change + nmda_.change * slope,
      g_.change_E + nmda_.change * E };
  }

  // Of a step in which the synapses take V far towards their reversal potential, cut in pieces. Conductances follow
  // parabolas of the same start, change and mean, and NMDA is linearised anew in each.
  double
  potential_after_strong_input( double V, const int parts, const double I_mean ) const
  {
    const double du = 1. / parts;
    for ( int part = 0; part < parts; ++part )
    {
      const double u = part * du, v = u + du;
      const double w_mean = v * v * ( 3 - 2 * v ) - u * u * ( 3 - 2 * u );
      const double w_change = v * v * ( v - 1 ) - u * u * ( u - 1 );
      const double w_start = du - w_mean;
      const double nmda = w_start * nmda_.start + w_change * nmda_.change + w_mean * nmda_.mean;
      const OpenPart open( V, c_ );
      const double a =
        w_start * g_.start + w_change * g_.change + w_mean * g_.mean + nmda * open.slope - c_.leak * du;
      const double b = w_start * g_.start_E + w_change * g_.change_E + w_mean * g_.mean_E + nmda * open.E
        + du * ( c_.h_C * I_mean - c_.leak * c_.p.E_L );
      V += mean_decay( a ) * ( b - a * V );
    }
    return V;
  }

private:
  const Propagators& c_;
  Parabola g_, nmda_; // nmda_ is without its block
};

template < typename Draw >
bool
fires( const State& state, const Propagators& c, Draw&& draw )
{
  return c.p.stochastic_spiking ? escapes( state, c, draw ) : state.V_m >= c.p.V_th;
}

inline void
spike( State& state, const Propagators& c )
{
  cerebellum::spike( state, c );
  state.unblocked = c.unblock_steps;
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
  using Synapses = multirec::Synapses;
};
}

#endif
