#include "eglif_cond_alpha_multisyn.h"

#include "eglif_alpha_dynamics.h"
#include "eglif_node_impl.h"

using Neuron = cerebellum::EglifNode< cerebellum::alpha::Model >;

namespace
{
using cerebellum::MembraneState;
using cerebellum::alpha::Parameters;
using cerebellum::alpha::State;

template < double MembraneState::*member >
double
value( const State& s, const Parameters& )
{
  return s.*member;
}

template < size_t i >
double
conductance( const State& s, const Parameters& )
{
  return s.g[ i ];
}
}

template <>
void
nest::RecordablesMap< Neuron >::create()
{
  insert_( "V_m", &Neuron::get< value< &MembraneState::V_m > > );
  insert_( "I_adap", &Neuron::get< value< &MembraneState::I_adap > > );
  insert_( "I_dep", &Neuron::get< value< &MembraneState::I_dep > > );
  insert_( "g1", &Neuron::get< conductance< 0 > > );
  insert_( "g2", &Neuron::get< conductance< 1 > > );
  insert_( "g3", &Neuron::get< conductance< 2 > > );
  insert_( "g4", &Neuron::get< conductance< 3 > > );
}

void
register_eglif_cond_alpha_multisyn( const std::string& name )
{
  nest::register_node_model< Neuron >( name );
}
