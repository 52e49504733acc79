"""The component that BSB configurations name to have the NEST models at hand.

Importing it imports ``cerebellar_models.nest_models``, and that is its promise too.
"""
