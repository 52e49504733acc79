"""What BSB 8.0 does to a simulation where it should only compile, and to a circuit where it should only simulate."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from bsb import FileDependencyNode, config, plugins
from bsb.config import types
from bsb.simulation.simulation import Simulation
from bsb.storage import Storage


@config.node
class UnreadSimulation(Simulation):
    """A simulation of any simulator, kept as it was written."""

    duration = config.unset()
    cell_models = config.unset()
    connection_models = config.unset()
    devices = config.unset()
    after_prepare = config.unset()
    after_simulation = config.unset()
    settings: dict[str, Any] = config.catch_all(type=types.any_())


class _AnySimulator(dict[str, type]):
    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> type:
        return UnreadSimulation


def leave_simulators_unloaded() -> None:
    """From here on this process reads configurations without their simulations."""
    Simulation.__plugins__ = staticmethod(_AnySimulator)
    _leave_backends_unloaded()


@dataclass(frozen=True)
class _UnloadedBackend:
    """Enough of a simulation backend for BSB to record which were installed."""

    _bsb_entry_point: EntryPoint


def _leave_backends_unloaded() -> None:
    discover = plugins.discover

    @functools.wraps(discover)
    def discover_without_backends(category: str) -> Any:
        if category == "simulation_backends":
            return {entry.name: _UnloadedBackend(entry) for entry in entry_points(group=f"bsb.{category}")}
        return discover(category)

    plugins.discover = discover_without_backends


def load_nest_seeds_alone() -> None:
    """Loads what bsb-nest adds to the ``rng`` block without its parent package, which imports NEST."""
    package = importlib.util.find_spec("bsb_nest")
    if package is None or package.origin is None or "bsb_nest" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location("bsb_nest.rng", Path(package.origin).with_name("rng.py"))
    if spec is None or spec.loader is None:
        return
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


@contextlib.contextmanager
def circuit_left_unwritten() -> Iterator[None]:
    """BSB 8.0 writes the configuration it has just read, and files it misses, back into the circuit it simulates.

    Other jobs may be reading it.
    """

    def boot(node: FileDependencyNode) -> None:
        node.file.file_store = node.scaffold.files

    before = FileDependencyNode.__boot__, Storage.init
    FileDependencyNode.__boot__ = boot
    Storage.init = lambda self, scaffold: None
    try:
        yield
    finally:
        FileDependencyNode.__boot__, Storage.init = before
