"""Turns model sources into what a simulator loads: compilers, caches, locks.

Here: finding a simulator and its headers, generating code, compiling, keeping the result in the user's cache.
Not here: the models themselves (``nest_models``, ``neuron_models``) and the command line.
"""
