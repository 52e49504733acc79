// The E-GLIF neuron with alpha-function synapses, without any of NEST: what it has beyond its membrane.
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

#include "eglif_membrane.h"

namespace cerebellum::alpha
{
constexpr size_t N_RECEPTORS = 4;

struct Parameters : MembraneParameters
{
  std::array< double, N_RECEPTORS > E_rev = { 0.0, -80.0, 0.0, -80.0 }; // mV
  std::array< double, N_RECEPTORS > tau_syn = { 0.2, 2.0, 2.0, 2.0 };   // ms

  auto operator<=>( const Parameters& ) const = default;
};

// Calls visit( name, value ) for each; a parameter of one receptor is an array element, all others are plain members.
template < typename Visitor >
void
for_each_parameter( Parameters& p, Visitor visit )
{
  for_each_parameter( static_cast< MembraneParameters& >( p ), visit );
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
  const std::string condition = violated( static_cast< const MembraneParameters& >( p ) );
  return not condition.empty()
    ? condition
    : first_violated( { { "all tau_syn > 0", *std::min_element( p.tau_syn.begin(), p.tau_syn.end() ) > 0 } } );
}

struct Propagators : MembranePropagators< Parameters >
{
  struct Receptor
  {
    double E_rev, x, decay, mean_g, mean_s, jump;
  };

  Propagators( const Parameters& parameters, const double resolution )
    : MembranePropagators( parameters, resolution )
  {
    for ( size_t i = 0; i < N_RECEPTORS; ++i )
    {
      const double x = h / p.tau_syn[ i ];
      receptors[ i ] = { p.E_rev[ i ], x, std::exp( -x ), mean_decay( x ), mean_alpha( x ), std::numbers::e * x };
    }
  }

  std::array< Receptor, N_RECEPTORS > receptors;
};

struct State : MembraneState
{
  State()
    : MembraneState { -60.0 }
  {
  }

  std::array< double, N_RECEPTORS > g = {}; // nS, conductances
  std::array< double, N_RECEPTORS > s = {}; // nS, their rise per time step, without decay
};

// The potential after a step in which the synapses take it far towards their reversal potential, cut in pieces.
inline double
potential_after_strong_input( double V,
  const int parts,
  const double I_mean,
  const Propagators& c,
  const Coupling& coupling,
  std::array< double, N_RECEPTORS > g,
  std::array< double, N_RECEPTORS > s )
{
  const double du = 1. / parts;
  for ( int part = 0; part < parts; ++part )
  {
    double a = du * ( c.h_C * coupling.conductance - c.leak );
    double b = du * ( c.h_C * ( I_mean + coupling.mean + ( ( part + 0.5 ) * du - 0.5 ) * coupling.change )
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
      a += mean;
      b += mean * receptor.E_rev;
      da += change;
      da_E += change * receptor.E_rev;
    }
    b += ( a * da_E - da * b ) / 12;
    V += mean_decay( a ) * ( b - a * V );
  }
  return V;
}

class Synapses
{
public:
  Synapses( State& state, const Propagators& c, const Coupling& coupling )
    : c_( c )
    , coupling_( coupling )
    , g_( state.g )
    , s_( state.s )
  {
    // Summed in variables of their own, which the compiler keeps in registers: a step without input takes a third less.
    double mean = c.h_C * coupling.conductance - c.leak;
    double mean_E = c.h_C * coupling.mean - c.leak * c.p.E_L;
    double change = 0;
    double change_E = c.h_C * coupling.change;
    for ( size_t i = 0; i < N_RECEPTORS; ++i )
    {
      const double g = state.g[ i ], s = state.s[ i ];
      if ( g + s > NIL )
      {
        const auto& receptor = c.receptors[ i ];
        const double own_mean = c.h_C * ( receptor.mean_g * g + receptor.mean_s * s );
        state.g[ i ] = receptor.decay * ( g + s );
        state.s[ i ] = receptor.decay * s;
        const double own_change = c.h_C * ( state.g[ i ] - g );
        mean += own_mean;
        mean_E += own_mean * receptor.E_rev;
        change += own_change;
        change_E += own_change * receptor.E_rev;
      }
      else if ( s != 0 )
      {
        state.g[ i ] = state.s[ i ] = 0;
      }
    }
    all_ = { mean, mean_E, change, change_E };
  }

  // They do not depend on the potential.
  Conductances
  conductances( double ) const
  {
    return all_;
  }

  double
  potential_after_strong_input( const double V, const int parts, const double I_mean ) const
  {
    return alpha::potential_after_strong_input( V, parts, I_mean, c_, coupling_, g_, s_ );
  }

private:
  const Propagators& c_;
  const Coupling& coupling_;
  const std::array< double, N_RECEPTORS > g_, s_; // at the start of the step
  Conductances all_;
};

template < typename Draw >
bool
fires( const State& state, const Propagators& c, Draw&& draw )
{
  return escapes( state, c, draw );
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
  using Synapses = alpha::Synapses;
};
}

#endif
