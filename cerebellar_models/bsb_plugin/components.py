"""What BSB loads to learn the short names of this package's strategies and hooks, and what is mended in it."""

import functools
from collections.abc import Callable
from typing import Any

from bsb.simulation import _backends

from cerebellar_models import connectome  # noqa: F401
from cerebellar_models.analysis import spike_plots, structure_analysis  # noqa: F401
from cerebellar_models.bsb_plugin import mends


def _mended_before_use(adapters: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """NEST stays unloaded until an adapter of it is asked for."""

    @functools.wraps(adapters)
    def mended_adapters() -> dict[str, Any]:
        found = adapters()
        if "nest" in found:
            mends.apply("NEST is asked for")
        return found

    return mended_adapters


mends.apply("loading")
_backends.get_simulation_adapters = _mended_before_use(_backends.get_simulation_adapters)
