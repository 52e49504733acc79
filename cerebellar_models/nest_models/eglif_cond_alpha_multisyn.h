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

namespace cerebellum
{
constexpr size_t N_RECEPTORS = 4;

// Independent parameters, with the names and units they have in NEST.
struct Parameters
{
  double C_m = 281.0;             // pF
  double tau_m = 30.0;            // ms
  double E_L = -70.6;             // mV
  double t_ref = 0.0;             // ms
  double I_e = 0.0;               // pA
  double V_reset = -60.0;         // mV
  double V_min = -150.0;          // mV
  double V_th = -50.4;            // mV
  double lambda_0 = 0.001;        // 1/ms
  double tau_V = 0.5;             // mV
  double k_1 = 0.006944444;       // 1/ms
  double k_2 = 0.012422360;       // 1/ms
  double k_adap = 4.0;            // nS/ms
  double A1 = 100.0;              // pA
  double A2 = 100.0;              // pA
  std::array< double, N_RECEPTORS > E_rev = { 0.0, -80.0, 0.0, -80.0 };  // mV
  std::array< double, N_RECEPTORS > tau_syn = { 0.2, 2.0, 2.0, 2.0 };    // ms

  auto operator<=>( const Parameters& ) const = default;
};

// What a time step needs, computed from the parameters; the same object for all neurons with equal parameters.
struct Propagators
{
  Propagators( const Parameters&, double h );
  static std::shared_ptr< const Propagators > shared( const Parameters&, double h );

  struct Receptor
  {
    double E_rev, x, decay, mean_g, mean_s, jump;
  };

  Parameters p;
  std::array< Receptor, N_RECEPTORS > receptors;
  double h, h_C, leak, V_silent;
  double I_dep_decay, I_dep_mean;
  double adap_end, adap_end_constant, adap_end_linear, adap_mean, adap_mean_constant, adap_mean_linear;
  long refractory_steps;
};

struct State
{
  double V_m = -60.0;  // mV
  double I_adap = 0.0; // pA
  double I_dep = 0.0;  // pA
  double I_stim = 0.0; // pA, input current of the coming step
  long refractory = 0; // time steps left
  std::array< double, N_RECEPTORS > g = {}; // nS, conductances
  std::array< double, N_RECEPTORS > s = {}; // nS, their rise per time step, without decay
};

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

  void step( const cerebellum::Propagators& );
  void strong_step( const cerebellum::Propagators&, const cerebellum::State& start, double a, double I_mean );
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
