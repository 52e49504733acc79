"""What this package adds to ``bsb compile`` and ``bsb simulate``.

BSB loads the modules of entry point group ``bsb.commands`` before it reads any configuration, which makes this
the one place that can prepare the process:

- ``bsb compile`` carries simulations along unread. Reading them would start NEST, look up every model and fail
  where the extension module is not built; the compiled file holds them word for word, for the simulation to read.
- ``bsb simulate`` checks the circuit file and leaves it as it is, builds the NEST module if needed, uses the threads
  the simulation asks for, can record a population of a single cell, and refuses to run on several ranks with a NEST
  that has no MPI (each would simulate the whole network).
- ``bsb compile`` does not even import NEST, which bsb-nest makes every command do and which ends the process where
  an MPI launcher started it and NEST has no MPI.
- SIGUSR2 has every thread print where it is: how a job finds out where its ranks hang.

Variables by which a job or a local run asks for more:

- ``CEREBELLAR_MODELS_SEED``: seed of NEST instead of the configuration's, to simulate one circuit several times.
- ``CEREBELLAR_MODELS_THREADS``: threads of each rank instead of the configuration's.
- ``CEREBELLAR_MODELS_PROGRESS``: a simulation tells the time it has reached.
- ``CEREBELLAR_MODELS_USAGE``: folder in which each process leaves, at its end, the memory it has used at most.
"""

import atexit
import contextlib
import faulthandler
import functools
import importlib.util
import json
import os
import platform
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from bsb import FileDependencyNode, config, plugins
from bsb.cli.commands import BaseCommand
from bsb.cli.commands._commands import BsbCompile, BsbReconfigure, BsbSimulate
from bsb.config import types
from bsb.services import MPI
from bsb.simulation.adapter import FixedStepProgressController
from bsb.simulation.simulation import Simulation
from bsb.storage import Storage

from cerebellar_models import compile_mode, pins  # noqa: F401  pins: one notice instead of many
from cerebellar_models.analysis.read import read_configuration
from cerebellar_models.builders import nest_module
from cerebellar_models.builders.nest_module import nest_installation
from cerebellar_models.deploy.launch import progress_environment
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.extras import install_hint

# Variables by which NEST takes itself to be started by an MPI launcher.
_LAUNCHER_VARIABLES = ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_SIZE")


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


class _AnySimulator(dict):
    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> type:
        return UnreadSimulation


def enter_compile_mode(context: Any = None) -> None:
    """From here on this process reads configurations without their simulations, and never loads a simulator."""
    compile_mode.ACTIVE = True
    Simulation.__plugins__ = staticmethod(_AnySimulator)
    _leave_backends_unloaded()
    _load_nest_seeds_alone()


@dataclass(frozen=True)
class _UnloadedBackend:
    """Enough of a simulation backend for BSB to record which were installed."""

    _bsb_entry_point: EntryPoint


def _leave_backends_unloaded() -> None:
    discover = plugins.discover

    @functools.wraps(discover)
    def discover_without_backends(category: str):
        if category == "simulation_backends":
            return {entry.name: _UnloadedBackend(entry) for entry in entry_points(group=f"bsb.{category}")}
        return discover(category)

    plugins.discover = discover_without_backends


def _load_nest_seeds_alone() -> None:
    """Loads what bsb-nest adds to the ``rng`` block without its parent package, which imports NEST."""
    package = importlib.util.find_spec("bsb_nest")
    if package is None or package.origin is None or "bsb_nest" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location("bsb_nest.rng", Path(package.origin).with_name("rng.py"))
    if spec is None or spec.loader is None:
        return
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _hide_launcher_from_nest() -> int:
    """Starts MPI if there is a launcher, before a NEST without MPI can trip over it; returns the number of ranks."""
    if not any(variable in os.environ for variable in _LAUNCHER_VARIABLES):
        return 1
    from mpi4py.MPI import COMM_WORLD

    # bsb-nest asks a NEST in a process of its own about models, and hides the launcher from it, but not SLURM, by which
    # Open MPI would take that process for a rank and end it.
    for variable in [variable for variable in os.environ if variable.startswith("SLURM_")]:
        del os.environ[variable]
    nest = nest_installation()
    if nest is not None and not nest.has_mpi:
        for variable in _LAUNCHER_VARIABLES:
            os.environ.pop(variable, None)
    return COMM_WORLD.Get_size()


def _prepare_simulation(context: Any) -> None:
    """:raises UserError, RunError: the simulation cannot run here."""
    ranks = _hide_launcher_from_nest()
    _leave_circuit_unwritten()
    simulation = _simulation_to_run(context)
    if simulation is None or simulation["simulator"] != "nest":
        return
    if os.environ.get("CEREBELLAR_MODELS_PROGRESS"):
        os.environ |= progress_environment(simulation["duration"])
        end_steps_with_simulation()
    nest = nest_installation()
    if nest is None:
        raise UserError(f"NEST is not installed: {install_hint('nest')}")
    if ranks > 1 and not nest.has_mpi:
        raise UserError(
            f"NEST {nest.version} has no MPI but {ranks} ranks were started; run it on 1 rank with threads, "
            "or install a NEST built with MPI"
        )
    if nest_module.MODULE in simulation.get("modules", ()):
        import cerebellar_models.nest_models  # noqa: F401  builds the module and makes it loadable
    _honour_threads()
    _record_single_cells()
    _unlock_before_nest_ends()
    if seed := os.environ.get("CEREBELLAR_MODELS_SEED"):
        _seed_nest(seed)


def end_steps_with_simulation() -> None:
    """BSB 8.0 simulates past the end if the steps in which it tells its progress do not divide the duration."""
    next_step = FixedStepProgressController.get_next_checkpoint

    def next_step_or_end(self):
        return min(next_step(self), self._adapter._duration)

    FixedStepProgressController.get_next_checkpoint = next_step_or_end


def _leave_circuit_unwritten() -> None:
    """BSB 8.0 writes the configuration it has just read, and files it misses, back into the circuit.

    Other jobs may be reading it.
    """

    def boot(node: FileDependencyNode) -> None:
        node.file.file_store = node.scaffold.files

    FileDependencyNode.__boot__ = boot
    Storage.init = lambda self, scaffold: None  # type: ignore[method-assign]


def _simulation_to_run(context: Any) -> dict[str, Any] | None:
    """The simulation named on the command line, as it is stored; None if another configuration may bring it."""
    arguments = context.arguments
    simulations = read_configuration(Path(arguments.network)).get("simulations", {})
    if arguments.simulation not in simulations and not context.options["config"].is_set("cli"):
        raise UserError(
            f"{arguments.network} has no simulation '{arguments.simulation}'; it has: {', '.join(simulations)}"
        )
    return simulations.get(arguments.simulation)


def _seed_nest(seed: str) -> None:
    """:raises UserError: it is no seed that NEST takes."""
    from bsb_nest.adapter import NestAdapter

    if not seed.isdecimal() or not 0 < int(seed) < 2**32:
        raise UserError(f"CEREBELLAR_MODELS_SEED: {seed!r} is not a whole number from 1 to {2**32 - 1}")
    NestAdapter.master_seed = lambda self, simulation: int(seed)  # type: ignore[method-assign]


def _honour_threads() -> None:
    """bsb-nest 8.0 reads ``threads`` and then leaves NEST on one; they must be set before any node exists.

    :raises UserError: a job asks for no number of threads.
    """
    import nest
    from bsb_nest.adapter import NestAdapter

    set_resolution = NestAdapter._set_resolution
    asked = os.environ.get("CEREBELLAR_MODELS_THREADS", "")
    if asked and not (asked.isdecimal() and int(asked) > 0):
        raise UserError(f"CEREBELLAR_MODELS_THREADS: {asked!r} is not a whole number of 1 or more")

    @functools.wraps(set_resolution)
    def set_resolution_and_threads(self, simulations):
        set_resolution(self, simulations)
        configured = max(simulation.threads for simulation in simulations)
        nest.local_num_threads = int(asked or configured)

    NestAdapter._set_resolution = set_resolution_and_threads


def _unlock_before_nest_ends() -> None:
    """NEST ends MPI when Python does, before the lock of BSB's storage stops using it, which aborts the job.

    What is registered last is called first.
    """
    import nest  # noqa: F401  registers its own end

    with contextlib.suppress(ModuleNotFoundError):
        import mpilock

        atexit.register(getattr(mpilock, "_stop_all_pumps", lambda: None))


def _record_single_cells() -> None:
    """Lets a population of one node be asked for its local nodes, as bsb-nest asks all it records.

    NEST 3.10 answers for a single node with a bare truth value, which it then takes for a position.
    """
    import nest

    nodes = nest.NodeCollection
    item = nodes.__getitem__

    @functools.wraps(item)
    def item_or_mask(self, key):
        return item(self, [key] if isinstance(key, bool) else key)

    nodes.__getitem__ = item_or_mask


def _end_all_ranks_with_one() -> None:
    """A rank that ends by an error waits in MPI's end for the others, which wait for it: the job would hang."""
    if MPI.get_size() == 1:
        return
    show = sys.excepthook

    def end_all(*error: Any) -> None:
        show(*error)
        sys.stderr.flush()
        MPI.get_communicator().Abort(1)

    sys.excepthook = end_all


def _before(command: type[BaseCommand], prepare: Callable[[Any], None]) -> None:
    handler = command.handler

    @functools.wraps(handler)
    def prepared(self, context):
        _end_all_ranks_with_one()
        try:
            prepare(context)
        except (UserError, RunError) as error:
            if MPI.get_rank() == 0:
                print(f"bsb {command.name}: {error}", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_status) from None
        return handler(self, context)

    command.handler = prepared  # type: ignore[method-assign]


def _leave_usage(folder: Path) -> None:
    """A job has no other way to learn it where the scheduler keeps no accounts."""
    usage = {"host": platform.node(), "max_rss_kb": _peak_kb()}
    try:
        (folder / f"{platform.node()}-{os.getpid()}.json").write_text(json.dumps(usage))
    except OSError as error:  # not worth failing for
        print(f"cannot leave the memory used: {error}", file=sys.stderr)


def _peak_kb() -> int:
    """Peak of its memory; ru_maxrss, which goes from a process to the programs it starts, is where /proc is not."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


faulthandler.register(signal.SIGUSR2, all_threads=True)
if usage_folder := os.environ.get("CEREBELLAR_MODELS_USAGE"):
    atexit.register(_leave_usage, Path(usage_folder))
_before(BsbCompile, enter_compile_mode)
_before(BsbReconfigure, enter_compile_mode)
_before(BsbSimulate, _prepare_simulation)
