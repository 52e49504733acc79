"""What BSB loads to learn the short names of this package's strategies and hooks."""

from cerebellar_models import connectome, pins  # noqa: F401
from cerebellar_models.analysis import spike_plots, structure_analysis  # noqa: F401
