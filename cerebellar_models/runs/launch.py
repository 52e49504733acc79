"""Command lines of BSB and MPI on this machine."""

import math
import os
import sys
from collections.abc import Sequence

from cerebellar_models import mpi_installation
from cerebellar_models.errors import UserError

# A simulation tells its progress at most this often.
_PROGRESS_STEPS = 20


def bsb(*arguments: str) -> list[str]:
    """Command line of a BSB command of this Python."""
    return [sys.executable, "-m", "bsb", *arguments]


def on_ranks(command: Sequence[str], ranks: int) -> list[str]:
    """The command on this many MPI ranks.

    :raises UserError: several ranks are asked for and there is no MPI launcher.
    """
    if ranks == 1:
        return list(command)
    launcher = mpi_installation.launcher()
    if launcher is None:
        raise UserError(f"ranks: no mpirun here: {mpi_installation.library_hint()}")
    options = ["-np", str(ranks)]
    if "Open MPI" in mpi_installation.launcher_version(launcher):
        # Its slots are physical cores, which are fewer than the ranks a small machine can run.
        options.append("--oversubscribe")
        if os.geteuid() == 0:
            options.append("--allow-run-as-root")
    return [launcher, *options, *command]


def progress_environment(duration: float) -> dict[str, str]:
    """Has BSB tell the time it has reached, in steps of whole ms; the last ends with the duration (ms)."""
    return {"BSB_SIM_PROGRESS": str(max(1, math.ceil(duration / _PROGRESS_STEPS)))}
