"""From choices to one BSB configuration: catalogue (reads files), choices, compose and size (pure).

Nothing here starts a simulator, a compiler or MPI.
"""
