#include "relay_neuron.h"

#include "nest_impl.h"

#include "eglif_buffers.h"
#include "recorded_node.h"

namespace
{
class Relay : public cerebellum::RecordedNode
{
public:
  using nest::Node::handle;
  using nest::Node::handles_test_event;
  using nest::Node::receives_signal;
  using nest::Node::sends_signal;

  size_t
  send_test_event( nest::Node& target, size_t receptor_type, nest::synindex, bool ) override
  {
    nest::SpikeEvent e;
    e.set_sender( *this );
    return target.handles_test_event( e, receptor_type );
  }

  nest::SignalType
  sends_signal() const override
  {
    return nest::ALL;
  }

  nest::SignalType
  receives_signal() const override
  {
    return nest::ALL;
  }

  // Spikes to receptor 1 are heard, and not repeated.
  size_t
  handles_test_event( nest::SpikeEvent&, size_t receptor_type ) override
  {
    if ( receptor_type > 1 )
    {
      throw nest::UnknownReceptorType( receptor_type, get_name() );
    }
    return receptor_type;
  }

  void
  handle( nest::SpikeEvent& e ) override
  {
    if ( e.get_rport() == 0 )
    {
      const nest::Time& now = nest::kernel().simulation_manager.get_slice_origin();
      inputs_.add( now.get_steps(), now.get_steps() + e.get_rel_delivery_steps( now ), 0, e.get_multiplicity() );
    }
  }

private:
  void
  init_buffers_() override
  {
    inputs_.clear();
    ArchivingNode::clear_history();
  }

  void
  update( const nest::Time& origin, const long from, const long to ) override
  {
    for ( long lag = from; lag < to; ++lag )
    {
      const auto* input = inputs_.find( origin.get_steps() + lag );
      if ( not input )
      {
        continue;
      }
      const size_t spikes = static_cast< size_t >( ( *input )[ 0 ] );
      inputs_.empty( origin.get_steps() + lag );
      nest::SpikeEvent event;
      event.set_multiplicity( spikes );
      emit( event, lag );
      for ( size_t i = 0; i < spikes; ++i )
      {
        set_spiketime( nest::Time::step( origin.get_steps() + lag + 1 ) );
      }
    }
  }

  cerebellum::InputBuffer< 0 > inputs_; // numbers of spikes
};
}

void
register_relay_neuron( const std::string& name )
{
  nest::register_node_model< Relay >( name );
}
