#include "eglif_multirec.h"

#include "eglif_multirec_dynamics.h"
#include "eglif_node_impl.h"

using Neuron = cerebellum::EglifNode< cerebellum::multirec::Model >;

namespace
{
using namespace cerebellum::multirec;
using cerebellum::MembraneState;

template < double MembraneState::*member >
double
value( const State& s, const Parameters& )
{
  return s.*member;
}

template < size_t i, double ReceptorState::*member >
double
part( const State& s, const Parameters& )
{
  return s.receptors[ i ].*member;
}

// Conductance of a receptor, nS.
template < size_t i >
double
g( const State& s, const Parameters& p )
{
  const double opened = s.receptors[ i ].d1 + s.receptors[ i ].d2;
  return i == NMDA ? opened * open_part( s.unblocked > 0 ? p.V_Mg_Unblock : s.V_m, p ) : opened;
}

// Current through some receptors, positive where it depolarises, pA.
template < size_t... receptors >
double
current( const State& s, const Parameters& p )
{
  return ( ( g< receptors >( s, p ) * ( p.receptors[ receptors ].E_rev - s.V_m ) ) + ... );
}
}

namespace nest
{
template <>
void
RecordablesMap< Neuron >::create()
{
  const auto insert = [ this ]< size_t i >()
  {
    const std::string X = RECEPTORS[ i ];
    insert_( X + "_r", &Neuron::get< part< i, &ReceptorState::r > > );
    insert_( X + "_d1", &Neuron::get< part< i, &ReceptorState::d1 > > );
    insert_( X + "_d2", &Neuron::get< part< i, &ReceptorState::d2 > > );
    insert_( "g_" + X, &Neuron::get< g< i > > );
  };
  insert_( "V_m", &Neuron::get< value< &MembraneState::V_m > > );
  insert_( "I_adap", &Neuron::get< value< &MembraneState::I_adap > > );
  insert_( "I_dep", &Neuron::get< value< &MembraneState::I_dep > > );
  insert.template operator()< AMPA >();
  insert.template operator()< NMDA >();
  insert.template operator()< GABA >();
  insert.template operator()< AMPA2 >();
  insert.template operator()< AMPA3 >();
  insert_( "I_syn_ampa", &Neuron::get< current< AMPA, AMPA2, AMPA3 > > );
  insert_( "I_syn_nmda", &Neuron::get< current< NMDA > > );
  insert_( "I_syn_gaba", &Neuron::get< current< GABA > > );
}
}

void
register_eglif_multirec( const std::string& name )
{
  nest::register_node_model< Neuron >( name );
}
