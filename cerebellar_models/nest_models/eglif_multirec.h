// E-GLIF point neuron with AMPA, NMDA, GABA, AMPA2 and AMPA3 receptors, written for speed and for gap junctions.
//
// eglif_multirec.nestml is the reference for what this model does, equation by equation and step by step; a test holds
// the two together. Gap junctions and the refusal of negative weights are beyond it.
#ifndef EGLIF_MULTIREC_H
#define EGLIF_MULTIREC_H

#include <string>

void register_eglif_multirec( const std::string& name );

#endif
