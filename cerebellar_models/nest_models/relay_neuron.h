// What parrot_neuron of NEST is, one spike out for each spike in, as a neuron that can be recorded without a connection.
#ifndef RELAY_NEURON_H
#define RELAY_NEURON_H

#include <string>

void register_relay_neuron( const std::string& name );

#endif
