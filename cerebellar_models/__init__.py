"""Cerebellar circuits: choose, reconstruct (BSB), simulate (NEST, NEURON), report.

Importing this package starts neither MPI nor a simulator.
"""

__version__ = "1.0.0.dev0"
