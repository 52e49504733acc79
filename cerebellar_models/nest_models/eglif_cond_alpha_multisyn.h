// E-GLIF point neuron with four conductance-based receptors, written for speed.
//
// eglif_cond_alpha_multisyn.nestml is the reference for what this model does, equation by equation and step by step;
// a test holds the two together. Gap junctions and the refusal of negative weights are beyond it.
#ifndef EGLIF_COND_ALPHA_MULTISYN_H
#define EGLIF_COND_ALPHA_MULTISYN_H

#include <string>

void register_eglif_cond_alpha_multisyn( const std::string& name );

#endif
