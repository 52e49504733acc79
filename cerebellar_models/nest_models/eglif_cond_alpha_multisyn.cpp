// See the header, and the reference eglif_cond_alpha_multisyn.nestml for the meaning of every step.
#include "eglif_cond_alpha_multisyn.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "dict_util.h"
#include "exceptions.h"
#include "kernel_manager.h"
#include "nest_impl.h"
#include "universal_data_logger_impl.h"

namespace cerebellum
{
namespace
{
// A parameter of one receptor is an array element, all others are plain members.
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

template < typename Visitor >
void
for_each_state( State& s, Visitor visit )
{
  visit( "V_m", s.V_m );
  visit( "I_adap", s.I_adap );
  visit( "I_dep", s.I_dep );
}

void
check( Parameters p )
{
  for_each_parameter( p,
    []( const std::string& name, double& value )
    {
      if ( std::isnan( value ) )
      {
        throw nest::BadProperty( "eglif_cond_alpha_multisyn: " + name + " is not a number." );
      }
    } );
  const std::pair< const char*, bool > conditions[] = { { "C_m > 0", p.C_m > 0 },
    { "tau_m > 0", p.tau_m > 0 },
    { "t_ref >= 0", p.t_ref >= 0 },
    { "lambda_0 >= 0", p.lambda_0 >= 0 },
    { "tau_V > 0", p.tau_V > 0 },
    { "k_1 >= 0", p.k_1 >= 0 },
    { "k_2 >= 0", p.k_2 >= 0 },
    { "all tau_syn > 0", *std::min_element( p.tau_syn.begin(), p.tau_syn.end() ) > 0 } };
  for ( const auto& [ condition, holds ] : conditions )
  {
    if ( not holds )
    {
      throw nest::BadProperty( std::string( "eglif_cond_alpha_multisyn needs " ) + condition + "." );
    }
  }
}

// The propagators for some parameters and time step: the same object for all neurons that ask for the same.
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
}

void
InputBuffer::clear( const size_t n_rows )
{
  rows_.assign( n_rows, Row {} );
  used_.assign( n_rows / 64 + 1, 0 );
}

inline void
InputBuffer::add( const size_t row, const size_t channel, const double value )
{
  rows_[ row ][ channel ] += value;
  used_[ row / 64 ] |= uint64_t( 1 ) << ( row % 64 );
}

inline bool
InputBuffer::take( const size_t row, Row& values )
{
  const uint64_t mark = uint64_t( 1 ) << ( row % 64 );
  if ( not( used_[ row / 64 ] & mark ) )
  {
    return false;
  }
  used_[ row / 64 ] &= ~mark;
  values = std::exchange( rows_[ row ], Row {} );
  return true;
}
}

using namespace cerebellum;

void
register_eglif_cond_alpha_multisyn( const std::string& name )
{
  nest::register_node_model< eglif_cond_alpha_multisyn >( name );
}

nest::RecordablesMap< eglif_cond_alpha_multisyn > eglif_cond_alpha_multisyn::recordablesMap_;

namespace nest
{
template <>
void
RecordablesMap< eglif_cond_alpha_multisyn >::create()
{
  insert_( "V_m", &eglif_cond_alpha_multisyn::get_V_m );
  insert_( "I_adap", &eglif_cond_alpha_multisyn::get_I_adap );
  insert_( "I_dep", &eglif_cond_alpha_multisyn::get_I_dep );
  insert_( "g1", &eglif_cond_alpha_multisyn::get_g< 0 > );
  insert_( "g2", &eglif_cond_alpha_multisyn::get_g< 1 > );
  insert_( "g3", &eglif_cond_alpha_multisyn::get_g< 2 > );
  insert_( "g4", &eglif_cond_alpha_multisyn::get_g< 3 > );
}
}

eglif_cond_alpha_multisyn::eglif_cond_alpha_multisyn()
  : logger_( *this )
{
  recordablesMap_.create();
}

eglif_cond_alpha_multisyn::eglif_cond_alpha_multisyn( const eglif_cond_alpha_multisyn& other )
  : nest::ArchivingNode( other )
  , state_( other.state_ )
  , logger_( *this )
  , parameters_( other.parameters_ )
{
}

void
eglif_cond_alpha_multisyn::init_buffers_()
{
  const auto& connections = nest::kernel().connection_manager;
  inputs_.clear( connections.get_min_delay() + connections.get_max_delay() );
  state_.I_stim = 0;
  logger_.reset();
  ArchivingNode::clear_history();
}

void
eglif_cond_alpha_multisyn::pre_run_hook()
{
  logger_.init();
  propagators_ = shared_propagators( parameters_, nest::Time::get_resolution().get_ms() );
}

void
eglif_cond_alpha_multisyn::update( const nest::Time& origin, const long from, const long to )
{
  const Propagators& c = *propagators_;
  InputBuffer::Row input;
  for ( long lag = from; lag < to; ++lag )
  {
    advance( state_, c );
    if ( state_.refractory > 0 )
    {
      --state_.refractory;
    }
    else if ( state_.V_m > c.V_silent and fires( c ) )
    {
      set_spiketime( nest::Time::step( origin.get_steps() + lag + 1 ) );
      nest::SpikeEvent spike;
      nest::kernel().event_delivery_manager.send( *this, spike, lag );
      state_.refractory = c.refractory_steps;
      state_.V_m = c.p.V_reset;
      state_.I_dep = c.p.A1;
      state_.I_adap += c.p.A2;
    }

    state_.I_stim = 0;
    if ( inputs_.take( nest::kernel().event_delivery_manager.get_modulo( lag ), input ) )
    {
      for ( size_t i = 0; i < N_RECEPTORS; ++i )
      {
        state_.s[ i ] += c.receptors[ i ].jump * input[ i ];
      }
      state_.I_stim = input[ InputBuffer::CURRENT ];
    }
    logger_.record_data( origin.get_steps() + lag );
  }
}

inline bool
eglif_cond_alpha_multisyn::fires( const Propagators& c )
{
  const double expected = c.p.lambda_0 * c.h * std::exp( ( state_.V_m - c.p.V_th ) / c.p.tau_V );
  const double draw = nest::get_vp_specific_rng( get_thread() )->drand();
  // 1 - exp(-x) <= x spares most steps the second exponential.
  return draw < expected and draw < 1 - std::exp( -expected );
}

size_t
eglif_cond_alpha_multisyn::send_test_event( nest::Node& target, size_t receptor_type, nest::synindex, bool )
{
  nest::SpikeEvent e;
  e.set_sender( *this );
  return target.handles_test_event( e, receptor_type );
}

size_t
eglif_cond_alpha_multisyn::handles_test_event( nest::SpikeEvent&, size_t receptor_type )
{
  if ( receptor_type < 1 or receptor_type > N_RECEPTORS )
  {
    throw nest::UnknownReceptorType( receptor_type, get_name() );
  }
  return receptor_type - 1;
}

size_t
eglif_cond_alpha_multisyn::handles_test_event( nest::CurrentEvent&, size_t receptor_type )
{
  if ( receptor_type != 0 )
  {
    throw nest::UnknownReceptorType( receptor_type, get_name() );
  }
  return 0;
}

size_t
eglif_cond_alpha_multisyn::handles_test_event( nest::DataLoggingRequest& request, size_t receptor_type )
{
  if ( receptor_type != 0 )
  {
    throw nest::UnknownReceptorType( receptor_type, get_name() );
  }
  return logger_.connect_logging_device( request, recordablesMap_ );
}

void
eglif_cond_alpha_multisyn::handle( nest::SpikeEvent& e )
{
  if ( e.get_weight() < 0 )
  {
    throw nest::BadProperty(
      "eglif_cond_alpha_multisyn needs weights >= 0, which are conductances; its E_rev say what inhibits." );
  }
  const auto row = e.get_rel_delivery_steps( nest::kernel().simulation_manager.get_slice_origin() );
  const double conductance = e.get_weight() * e.get_multiplicity();
  inputs_.add( nest::kernel().event_delivery_manager.get_modulo( row ), e.get_rport(), conductance );
}

void
eglif_cond_alpha_multisyn::handle( nest::CurrentEvent& e )
{
  const auto row = e.get_rel_delivery_steps( nest::kernel().simulation_manager.get_slice_origin() );
  inputs_.add(
    nest::kernel().event_delivery_manager.get_modulo( row ), InputBuffer::CURRENT, e.get_weight() * e.get_current() );
}

void
eglif_cond_alpha_multisyn::handle( nest::DataLoggingRequest& e )
{
  logger_.handle( e );
}

void
eglif_cond_alpha_multisyn::get_status( Dictionary& d ) const
{
  const auto store = [ &d ]( const std::string& name, double& value ) { d[ name ] = value; };
  Parameters p = parameters_;
  State s = state_;
  for_each_parameter( p, store );
  for_each_state( s, store );
  ArchivingNode::get_status( d );
  d[ nest::names::recordables ] = recordablesMap_.get_list();
}

void
eglif_cond_alpha_multisyn::set_status( const Dictionary& d )
{
  const auto load = [ & ]( const std::string& name, double& value )
  { nest::update_value_param( d, name, value, this ); };
  Parameters p = parameters_;
  State s = state_;
  for_each_parameter( p, load );
  for_each_state( s, load );
  check( p );
  ArchivingNode::set_status( d ); // throws before anything is changed
  parameters_ = p;
  state_ = s;
}
