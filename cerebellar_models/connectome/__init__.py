"""BSB connection strategies, one file per rule, and the geometric kernel the morphology rules share.

Importing this package registers the strategies' short names with BSB, and has it tell of rules that connect nothing.
"""

from cerebellar_models.connectome import (  # noqa: F401
    glomerulus_golgi,
    glomerulus_granule,
    glomerulus_ubc,
    golgi_glomerulus,
    io_molecular,
    io_purkinje,
    silence,
    to_glomerulus,
    voxel_overlap,
)
