"""What bsb-nest 8.0 leaves undone when it simulates, from the command line and from Python alike."""

import atexit
import contextlib
import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bsb.simulation.adapter import FixedStepProgressController

from cerebellar_models.builders.loading import why_not_loaded
from cerebellar_models.errors import RunError, UserError


def check_first_and_honour_threads() -> None:
    """Finds what NEST would refuse while building, before any file of results is begun.

    bsb-nest 8.0 reads ``threads`` and then leaves NEST on one; they must be set before any node exists.
    """
    import nest
    from bsb_nest.adapter import NestAdapter

    from cerebellar_models.bsb_plugin.nest_checks import refusal

    set_resolution = NestAdapter._set_resolution

    @functools.wraps(set_resolution)
    def check_and_set(self: NestAdapter, simulations: Iterable[Any]) -> None:
        asked = threads_asked_for()
        for simulation in simulations:
            # A rank knows of its own nodes only.
            refusals = [found for found in self.comm.allgather(refusal(self, simulation)) if found]
            if refusals:
                raise UserError(f"{simulation.scaffold.storage.root}: {refusals[0]}")
            self.reset_kernel()
        set_resolution(self, simulations)
        nest.local_num_threads = asked or max(simulation.threads for simulation in simulations)

    NestAdapter._set_resolution = check_and_set


def threads_asked_for() -> int | None:
    """Threads of each rank that a job asks for; None if it leaves them to the configuration.

    :raises UserError: what it asks for is no number of threads.
    """
    asked = os.environ.get("CEREBELLAR_MODELS_THREADS", "")
    if asked and not (asked.isdecimal() and int(asked) > 0):
        raise UserError(f"CEREBELLAR_MODELS_THREADS: {asked!r} is not a whole number of 1 or more")
    return int(asked) if asked else None


def name_modules_that_do_not_load() -> None:
    """bsb-nest 8.0 asks NEST's errors for an attribute that those of NEST 3.10 do not have."""
    import nest
    from bsb_nest.adapter import NestAdapter

    def load_modules(self: NestAdapter, simulation: Any) -> None:
        for module in simulation.modules:
            try:
                nest.Install(module)
            except Exception as error:
                if "loaded already" not in str(error):
                    raise RunError(_why_not_loaded(module, error)) from error
            self.loaded_modules.add(module)

    NestAdapter.load_modules = load_modules


def _why_not_loaded(module: str, error: Exception) -> str:
    folders = [Path(name) for name in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if name]
    files = [file for folder in folders if (file := folder / f"{module}.so").exists()]
    said = " ".join(str(error).split("\n\n")[0].split())
    return (why_not_loaded(files[0]) if files else None) or f"NEST cannot load its module {module}: {said}"


def record_single_cells() -> None:
    """Lets a population of one node be asked for its local nodes, as bsb-nest asks all it records.

    NEST 3.10 answers for a single node with a bare truth value, which it then takes for a position.
    """
    import nest

    nodes = nest.NodeCollection
    item = nodes.__getitem__

    @functools.wraps(item)
    def item_or_mask(self: Any, key: Any) -> Any:
        return item(self, [key] if isinstance(key, bool) else key)

    nodes.__getitem__ = item_or_mask


def end_steps_with_simulation() -> None:
    """BSB 8.0 simulates past the end if the steps in which it tells its progress do not divide the duration."""
    next_step = FixedStepProgressController.get_next_checkpoint

    def next_step_or_end(self: FixedStepProgressController) -> float:
        return float(min(next_step(self), self._adapter._duration))

    FixedStepProgressController.get_next_checkpoint = next_step_or_end


def unlock_before_nest_ends() -> None:
    """NEST ends MPI when Python does, before the lock of BSB's storage stops using it, which aborts the job.

    What is registered last is called first.
    """
    import nest  # noqa: F401  registers its own end

    with contextlib.suppress(ModuleNotFoundError):
        import mpilock

        atexit.register(mpilock._stop_all_pumps)
