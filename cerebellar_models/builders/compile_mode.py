"""Tells the rest of the package that this process only reconstructs a circuit.

``bsb compile`` never simulates, so nothing it loads may start, need or build a simulator.
"""

ACTIVE = False
