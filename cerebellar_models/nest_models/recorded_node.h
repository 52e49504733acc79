// A neuron that can tell a recorder of its spikes without a connection: its parameter spike_recorder is the id of the
// recorder, 0 for none. NEST gives every connection from a neuron to a recorder a first block of 1 024, 31 kB.
#ifndef RECORDED_NODE_H
#define RECORDED_NODE_H

#include "archiving_node.h"
#include "dict_util.h"
#include "dictionary.h"
#include "event.h"
#include "exceptions.h"
#include "kernel_manager.h"

namespace cerebellum
{
class RecordedNode : public nest::ArchivingNode
{
public:
  RecordedNode() = default;

  // A copy has the recorder of its original, as all its parameters.
  RecordedNode( const RecordedNode& other )
    : nest::ArchivingNode( other )
    , recorder_id_( other.recorder_id_ )
  {
  }

  void
  get_status( Dictionary& d ) const override
  {
    ArchivingNode::get_status( d );
    d[ PARAMETER ] = recorder_id_;
  }

  void
  set_status( const Dictionary& d ) override
  {
    long id = recorder_id_;
    nest::update_value_param( d, PARAMETER, id, this );
    auto& nodes = nest::kernel().node_manager;
    const bool is_node = 0 < id and static_cast< size_t >( id ) <= nodes.size();
    if ( id != 0 and not( is_node and nodes.get_node_or_proxy( id, 0 )->get_name() == "spike_recorder" ) )
    {
      throw nest::BadProperty( get_name() + ": spike_recorder is the id of a spike_recorder, or 0." );
    }
    ArchivingNode::set_status( d ); // throws before anything is changed
    recorder_id_ = id;
  }

protected:
  void
  pre_run_hook() override
  {
    recorder_ = recorder_id_ ? nest::kernel().node_manager.get_node_or_proxy( recorder_id_, get_thread() ) : nullptr;
  }

  // To whom it is connected, and to the recorder.
  void
  emit( nest::SpikeEvent& event, const long lag )
  {
    nest::kernel().event_delivery_manager.send( *this, event, lag );
    if ( recorder_ )
    {
      recorder_->handle( event ); // has its sender and time now
    }
  }

private:
  static constexpr const char* PARAMETER = "spike_recorder";

  long recorder_id_ = 0;
  nest::Node* recorder_ = nullptr; // its instance on this thread
};
}

#endif
