// What NEST has to know of an E-GLIF neuron: inputs, outputs, gap junctions, parameters. The dynamics are those of
// its Model, which names the types of parameters, state, propagators and synapses; the functions for them are those of
// eglif_membrane.h, and those of the model's own header where it has more to do.
//
// What decides the speed of a network is how the data lie in memory:
//  - neurons with equal parameters share one set of propagators, which stays in the processor's cache;
//  - the state is a few cache lines;
//  - the inputs of a time step lie side by side, and steps without input are not even read.
// A negative weight of a synapse is an error here, which NESTML cannot express.
//
// Gap junctions. NEST iterates over each interval of communication, at most 1 ms (waveform relaxation; Hahne et al.
// 2015, doi:10.3389/fninf.2015.00022): every coupled neuron simulates it from the potentials its partners had in the
// iteration before, and tells them its own, as straight lines between time steps. Spikes are part of this, with the
// random numbers of an interval drawn once, so that partners see the reset too. With use_wfr false NEST exchanges
// potentials at every step instead, here extrapolated by half a step. Only coupled neurons do any of it.
#ifndef EGLIF_NODE_H
#define EGLIF_NODE_H

#include <memory>
#include <string>

#include "dictionary.h"
#include "event.h"
#include "nest_types.h"
#include "recordables_map.h"
#include "universal_data_logger.h"

#include "eglif_buffers.h"
#include "recorded_node.h"

namespace cerebellum
{
template < typename Model >
class EglifNode : public RecordedNode
{
public:
  using Parameters = typename Model::Parameters;
  using Propagators = typename Model::Propagators;
  using State = typename Model::State;
  using Inputs = InputBuffer< Model::N_RECEPTORS >;

  EglifNode();
  EglifNode( const EglifNode& );

  using nest::Node::handle;
  using nest::Node::handles_test_event;
  using nest::Node::sends_secondary_event;

  size_t send_test_event( nest::Node& target, size_t receptor_type, nest::synindex, bool ) override;
  void sends_secondary_event( nest::GapJunctionEvent& ) override {}
  void handle( nest::SpikeEvent& ) override;
  void handle( nest::CurrentEvent& ) override;
  void handle( nest::DataLoggingRequest& ) override;
  void handle( nest::GapJunctionEvent& ) override;
  size_t handles_test_event( nest::SpikeEvent&, size_t receptor_type ) override;
  size_t handles_test_event( nest::CurrentEvent&, size_t receptor_type ) override;
  size_t handles_test_event( nest::DataLoggingRequest&, size_t receptor_type ) override;
  size_t handles_test_event( nest::GapJunctionEvent&, size_t receptor_type ) override;
  void get_status( Dictionary& ) const override;
  void set_status( const Dictionary& ) override;

private:
  friend class nest::RecordablesMap< EglifNode >;
  friend class nest::UniversalDataLogger< EglifNode >;

  void init_buffers_() override;
  void pre_run_hook() override;
  void update( const nest::Time& origin, long from, long to ) override;
  bool wfr_update( const nest::Time& origin, long from, long to ) override;

  bool step( State&, long lag );
  void buffer( nest::Event&, size_t channel, double value );
  void receive_input( State&, const typename Inputs::Row* ) const;
  void send_potential( double slope );
  void send_coefficients();
  double random();
  void require_iterations() const;
  void require_no_receptor( size_t receptor_type ) const;

  // A quantity to record: a function of state and parameters.
  template < double ( *quantity )( const State&, const Parameters& ) >
  double get() const { return quantity( state_, parameters_ ); }

  State state_;
  std::shared_ptr< const Propagators > propagators_;
  std::unique_ptr< GapJunctions > gap_; // of coupled neurons only
  Inputs inputs_;
  nest::UniversalDataLogger< EglifNode > logger_;
  Parameters parameters_;

  static nest::RecordablesMap< EglifNode > recordablesMap_;
};
}

#endif
