// The member functions of EglifNode, for the files that make a neuron model of it.
#ifndef EGLIF_NODE_IMPL_H
#define EGLIF_NODE_IMPL_H

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "dict_util.h"
#include "exceptions.h"
#include "kernel_manager.h"
#include "nest_impl.h"
#include "universal_data_logger_impl.h"

#include "eglif_node.h"

namespace cerebellum
{
template < typename Model >
nest::RecordablesMap< EglifNode< Model > > EglifNode< Model >::recordablesMap_;

// The propagators for some parameters and time step: the same object for all neurons that ask for the same.
template < typename Propagators, typename Parameters >
std::shared_ptr< const Propagators >
shared_propagators( const Parameters& parameters, const double h )
{
  static std::mutex mutex;
  static std::map< std::pair< Parameters, double >, std::weak_ptr< const Propagators > > known;
  const std::lock_guard< std::mutex > lock( mutex );
  auto& entry = known[ { parameters, h } ];
  auto propagators = entry.lock();
  if ( not propagators )
  {
    propagators = std::make_shared< const Propagators >( parameters, h );
    entry = propagators;
  }
  return propagators;
}

template < typename Model >
EglifNode< Model >::EglifNode()
  : logger_( *this )
{
  recordablesMap_.create();
}

template < typename Model >
EglifNode< Model >::EglifNode( const EglifNode& other )
  : RecordedNode( other )
  , state_( other.state_ )
  , logger_( *this )
  , parameters_( other.parameters_ )
{
}

template < typename Model >
void
EglifNode< Model >::init_buffers_()
{
  inputs_.clear();
  state_.I_stim = 0;
  logger_.reset();
  ArchivingNode::clear_history();
}

template < typename Model >
void
EglifNode< Model >::pre_run_hook()
{
  logger_.init();
  RecordedNode::pre_run_hook();
  propagators_ = shared_propagators< Propagators >( parameters_, nest::Time::get_resolution().get_ms() );
  if ( gap_ )
  {
    require_iterations();
    gap_->resize( nest::kernel().connection_manager.get_min_delay(),
      nest::kernel().simulation_manager.get_wfr_interpolation_order() );
  }
}

template < typename Model >
inline double
EglifNode< Model >::random()
{
  return nest::get_vp_specific_rng( get_thread() )->drand();
}

// NEST collects the neurons that iterate when nodes have been created, and not when neurons have been coupled. If all
// neurons did, the many that are not coupled would take a third of the time of a simulation.
template < typename Model >
void
EglifNode< Model >::require_iterations() const
{
  // NEST collects them in the order of their numbers.
  const auto& iterating = nest::kernel().node_manager.get_wfr_nodes_on_thread( get_thread() );
  const auto place = std::lower_bound( iterating.begin(),
    iterating.end(),
    get_node_id(),
    []( const nest::Node* node, const size_t id ) { return node->get_node_id() < id; } );
  if ( node_uses_wfr() and ( place == iterating.end() or *place != this ) )
  {
    throw nest::KernelException( std::string( Model::NAME )
      + ": NEST does not know of its gap junctions yet; create a node, such as a recorder, after connecting them." );
  }
}

// A time step without the input at its end; true if the neuron spikes.
template < typename Model >
inline bool
EglifNode< Model >::step( State& state, const long lag )
{
  const Propagators& c = *propagators_;
  advance< typename Model::Synapses >( state, c, gap_ ? gap_->steps[ lag ] : Coupling {} );
  if ( state.refractory > 0 )
  {
    --state.refractory;
    return false;
  }
  const bool spikes = fires(
    state, c, [ this, lag ] { return gap_ and gap_->has_drawn ? gap_->draws[ lag ] : random(); } );
  if ( spikes )
  {
    spike( state, c );
  }
  return spikes;
}

template < typename Model >
inline void
EglifNode< Model >::receive_input( State& state, const typename Inputs::Row* input ) const
{
  state.I_stim = 0;
  if ( input )
  {
    receive( state, *propagators_, *input );
    state.I_stim = ( *input )[ Inputs::CURRENT ];
  }
}

template < typename Model >
void
EglifNode< Model >::update( const nest::Time& origin, const long from, const long to )
{
  double slope = 0;
  for ( long lag = from; lag < to; ++lag )
  {
    const double V_start = state_.V_m;
    const bool spikes = step( state_, lag );
    slope = spikes ? 0 : state_.V_m - V_start;
    if ( spikes )
    {
      set_spiketime( nest::Time::step( origin.get_steps() + lag + 1 ) );
      nest::SpikeEvent event;
      emit( event, lag );
    }
    const auto* input = inputs_.find( origin.get_steps() + lag );
    receive_input( state_, input );
    if ( input )
    {
      inputs_.empty( origin.get_steps() + lag );
    }
    logger_.record_data( origin.get_steps() + lag );
  }
  if ( gap_ )
  {
    send_potential( slope );
  }
}

template < typename Model >
bool
EglifNode< Model >::wfr_update( const nest::Time& origin, const long from, const long to )
{
  if ( not gap_->has_drawn )
  {
    std::generate( gap_->draws.begin() + from, gap_->draws.begin() + to, [ this ] { return random(); } );
    gap_->has_drawn = true;
  }
  const auto& simulation = nest::kernel().simulation_manager;
  const size_t width = simulation.get_wfr_interpolation_order() + 1;
  bool is_settled = true;
  State state = state_;
  std::fill( gap_->coefficients.begin(), gap_->coefficients.end(), 0.0 );
  for ( long lag = from; lag < to; ++lag )
  {
    double* const line = &gap_->coefficients[ lag * width ];
    const double V_start = state.V_m;
    step( state, lag );
    receive_input( state, inputs_.find( origin.get_steps() + lag ) );
    line[ 0 ] = width > 1 ? V_start : ( V_start + state.V_m ) / 2;
    if ( width > 1 )
    {
      line[ 1 ] = state.V_m - V_start;
    }
    is_settled = is_settled and std::abs( state.V_m - gap_->V_m[ lag ] ) <= simulation.get_wfr_tol();
    gap_->V_m[ lag ] = state.V_m;
  }
  send_coefficients();
  return is_settled;
}

// Tells the partners what the potential will be, as far as is known at the end of an interval: where NEST iterates, a
// first guess; where it does not, all they get for the one step to come. :param slope: mV per step.
template < typename Model >
void
EglifNode< Model >::send_potential( const double slope )
{
  const auto& simulation = nest::kernel().simulation_manager;
  const size_t width = simulation.get_wfr_interpolation_order() + 1;
  const double V = state_.V_m + ( simulation.use_wfr() ? 0 : slope / 2 );
  std::fill( gap_->coefficients.begin(), gap_->coefficients.end(), 0.0 );
  for ( size_t i = 0; i < gap_->coefficients.size(); i += width )
  {
    gap_->coefficients[ i ] = V;
  }
  gap_->has_drawn = false;
  std::fill( gap_->V_m.begin(), gap_->V_m.end(), std::numeric_limits< double >::quiet_NaN() );
  send_coefficients();
}

// Sends what there is to send, and makes room for the answers.
template < typename Model >
void
EglifNode< Model >::send_coefficients()
{
  nest::GapJunctionEvent event;
  event.set_coeffarray( gap_->coefficients );
  nest::kernel().event_delivery_manager.send_secondary( *this, event );
  std::fill( gap_->steps.begin(), gap_->steps.end(), Coupling {} );
}

template < typename Model >
void
EglifNode< Model >::handle( nest::GapJunctionEvent& e )
{
  const double weight = e.get_weight();
  const size_t width = nest::kernel().simulation_manager.get_wfr_interpolation_order() + 1;
  auto position = e.begin();
  for ( Coupling& step : gap_->steps )
  {
    step.conductance += weight;
    for ( size_t power = 0; power < width; ++power )
    {
      const double coefficient = weight * e.get_coeffvalue( position ); // which moves on
      step.mean += coefficient / ( power + 1 );
      step.change += power > 0 ? coefficient : 0;
    }
  }
}

template < typename Model >
size_t
EglifNode< Model >::send_test_event( nest::Node& target, size_t receptor_type, nest::synindex, bool )
{
  nest::SpikeEvent e;
  e.set_sender( *this );
  return target.handles_test_event( e, receptor_type );
}

template < typename Model >
size_t
EglifNode< Model >::handles_test_event( nest::SpikeEvent&, size_t receptor_type )
{
  if ( receptor_type < 1 or receptor_type > Model::N_RECEPTORS )
  {
    throw nest::UnknownReceptorType( receptor_type, get_name() );
  }
  return receptor_type - 1;
}

template < typename Model >
size_t
EglifNode< Model >::handles_test_event( nest::CurrentEvent&, size_t receptor_type )
{
  require_no_receptor( receptor_type );
  return 0;
}

template < typename Model >
size_t
EglifNode< Model >::handles_test_event( nest::DataLoggingRequest& request, size_t receptor_type )
{
  require_no_receptor( receptor_type );
  return logger_.connect_logging_device( request, recordablesMap_ );
}

template < typename Model >
size_t
EglifNode< Model >::handles_test_event( nest::GapJunctionEvent&, size_t receptor_type )
{
  require_no_receptor( receptor_type );
  if ( not gap_ )
  {
    gap_ = std::make_unique< GapJunctions >();
    set_node_uses_wfr( nest::kernel().simulation_manager.use_wfr() );
  }
  return 0;
}

template < typename Model >
void
EglifNode< Model >::require_no_receptor( const size_t receptor_type ) const
{
  if ( receptor_type != 0 )
  {
    throw nest::UnknownReceptorType( receptor_type, get_name() );
  }
}

template < typename Model >
void
EglifNode< Model >::handle( nest::SpikeEvent& e )
{
  if ( e.get_weight() < 0 )
  {
    throw nest::BadProperty( std::string( Model::NAME )
      + " needs weights >= 0, which open conductances; its E_rev say what inhibits." );
  }
  buffer( e, e.get_rport(), e.get_weight() * e.get_multiplicity() );
}

template < typename Model >
inline void
EglifNode< Model >::buffer( nest::Event& e, const size_t channel, const double value )
{
  const nest::Time& now = nest::kernel().simulation_manager.get_slice_origin();
  inputs_.add( now.get_steps(), now.get_steps() + e.get_rel_delivery_steps( now ), channel, value );
}

template < typename Model >
void
EglifNode< Model >::handle( nest::CurrentEvent& e )
{
  buffer( e, Inputs::CURRENT, e.get_weight() * e.get_current() );
}

template < typename Model >
void
EglifNode< Model >::handle( nest::DataLoggingRequest& e )
{
  logger_.handle( e );
}

template < typename Model >
void
EglifNode< Model >::get_status( Dictionary& d ) const
{
  const auto store = [ &d ]( const std::string& name, auto& value ) { d[ name ] = value; };
  Parameters p = parameters_;
  State s = state_;
  for_each_parameter( p, store );
  for_each_state( s, store );
  RecordedNode::get_status( d );
  d[ nest::names::recordables ] = recordablesMap_.get_list();
}

template < typename Model >
void
EglifNode< Model >::set_status( const Dictionary& d )
{
  Parameters p = parameters_;
  State s = state_;
  const auto load = [ & ]( const std::string& name, auto& value )
  {
    nest::update_value_param( d, name, value, this );
    if constexpr ( std::is_floating_point_v< std::remove_reference_t< decltype( value ) > > )
    {
      if ( std::isnan( value ) )
      {
        throw nest::BadProperty( std::string( Model::NAME ) + ": " + name + " is not a number." );
      }
    }
  };
  for_each_parameter( p, load );
  for_each_state( s, load );
  if ( const std::string condition = violated( p ); not condition.empty() )
  {
    throw nest::BadProperty( std::string( Model::NAME ) + " needs " + condition + "." );
  }
  RecordedNode::set_status( d ); // throws before anything is changed
  parameters_ = p;
  state_ = s;
}
}

#endif
