// E-GLIF point neuron with four conductance-based receptors, written for speed.
//
// eglif_cond_alpha_multisyn.nestml is the reference for what this model does, equation by equation and step by step;
// a test holds the two together. What differs is how the data lie in memory, which decides the speed of a network:
//  - neurons with equal parameters share one set of propagators, which stays in the processor's cache;
//  - the state is two cache lines;
//  - the inputs of a time step lie side by side, and steps without input are not even read.
// A negative weight is an error here, which NESTML cannot express.
#ifndef EGLIF_COND_ALPHA_MULTISYN_H
#define EGLIF_COND_ALPHA_MULTISYN_H

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "archiving_node.h"
#include "dictionary.h"
#include "event.h"
#include "nest_types.h"
#include "recordables_map.h"
#include "universal_data_logger.h"

#include "eglif_dynamics.h"

namespace cerebellum
{
// Ring buffer of the spikes and currents to come, one row for each time step, with a mark for the rows in use.
class InputBuffer
{
public:
  using Row = std::array< double, N_RECEPTORS + 1 >;
  static constexpr size_t CURRENT = N_RECEPTORS;

  void clear( size_t n_rows );
  void add( size_t row, size_t channel, double value );
  bool take( size_t row, Row& values ); // false, and values untouched, if there is nothing

private:
  std::vector< Row > rows_;
  std::vector< uint64_t > used_;
};
}

void register_eglif_cond_alpha_multisyn( const std::string& name );

class eglif_cond_alpha_multisyn : public nest::ArchivingNode
{
public:
  eglif_cond_alpha_multisyn();
  eglif_cond_alpha_multisyn( const eglif_cond_alpha_multisyn& );

  using nest::Node::handle;
  using nest::Node::handles_test_event;

  size_t send_test_event( nest::Node& target, size_t receptor_type, nest::synindex, bool ) override;
  void handle( nest::SpikeEvent& ) override;
  void handle( nest::CurrentEvent& ) override;
  void handle( nest::DataLoggingRequest& ) override;
  size_t handles_test_event( nest::SpikeEvent&, size_t receptor_type ) override;
  size_t handles_test_event( nest::CurrentEvent&, size_t receptor_type ) override;
  size_t handles_test_event( nest::DataLoggingRequest&, size_t receptor_type ) override;
  void get_status( Dictionary& ) const override;
  void set_status( const Dictionary& ) override;

private:
  friend class nest::RecordablesMap< eglif_cond_alpha_multisyn >;
  friend class nest::UniversalDataLogger< eglif_cond_alpha_multisyn >;

  void init_buffers_() override;
  void pre_run_hook() override;
  void update( const nest::Time& origin, long from, long to ) override;

  bool fires( const cerebellum::Propagators& );

  double get_V_m() const { return state_.V_m; }
  double get_I_adap() const { return state_.I_adap; }
  double get_I_dep() const { return state_.I_dep; }
  template < size_t i >
  double get_g() const { return state_.g[ i ]; }

  cerebellum::State state_;
  std::shared_ptr< const cerebellum::Propagators > propagators_;
  cerebellum::InputBuffer inputs_;
  nest::UniversalDataLogger< eglif_cond_alpha_multisyn > logger_;
  cerebellum::Parameters parameters_;

  static nest::RecordablesMap< eglif_cond_alpha_multisyn > recordablesMap_;
};

#endif
