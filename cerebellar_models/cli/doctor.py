"""`cerebellar-models doctor`."""

import errno
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from cerebellar_models import mpi_installation
from cerebellar_models.errors import RunError
from cerebellar_models.installation import cache_folder, install_hint, system_hint

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class _Missing(Exception):
    """What is not there, and how to get it; all else works without."""


class _Broken(Exception):
    """What is there and cannot work, and what to do."""


def _python() -> str:
    return f"{platform.python_version()}, {sys.executable}"


def _compiler() -> str:
    from cerebellar_models.builders import nest_module

    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler is not None:
        return compiler
    if nest_module.is_built():
        return "none, and none needed: the NEST module is built"
    raise _Missing(f"no C++ compiler: {system_hint('g++', 'set CXX')}")


def _mpi() -> str:
    library, launcher = mpi_installation.mpi_library(), mpi_installation.launcher()
    if library is None:
        raise _Missing(f"no mpi4py, so one rank with threads: {install_hint('parallel')}")
    if library.problem:
        raise _Broken(library.problem)
    if launcher is None:
        raise _Missing(f"{library.version}, but no mpirun, so one rank: {mpi_installation.library_hint()}")
    if reason := mpi_installation.mismatch(mpi_installation.launcher_version(launcher), library.version):
        raise _Broken(f"{launcher} {reason}")
    return f"{library.version}, {launcher}, {len(os.sched_getaffinity(0))} cores"


def _nest() -> str:
    from cerebellar_models.builders import loading, nest_module

    try:
        nest = nest_module.nest_installation()
        if nest is None:
            raise _Missing(f"not installed: {install_hint('nest')}")
        parallel = "with MPI" if nest.has_mpi else "threads only, no MPI"
        if not nest_module.is_built():
            nest_module.require_nestml()
            return f"{nest.version}, {parallel}; module not built yet: cerebellar-models models build"
        loading.check_loadable(nest_module.build())
    except nest_module.ModelBuildError as error:
        raise _Broken(str(error)) from error
    if reason := _failure("-c", "import nest"):
        raise _Broken(f"{nest.package} cannot be loaded: {reason}")
    return f"{nest.version}, {parallel}; module built, and can be loaded"


def _failure(*arguments: str) -> str | None:
    """The last line of what Python says of a program that fails, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def _packages(extra: str, what_for: str, *modules: str) -> Callable[[], str]:
    def look() -> str:
        if missing := [name for name in modules if find_spec(name) is None]:
            raise _Missing(f"no {', '.join(missing)} ({what_for}): {install_hint(extra)}")
        if reason := _failure("-c", f"import {', '.join(modules)}"):
            raise _Broken(f"installed, but cannot be loaded: {reason}")
        return "installed"

    return look


def _locking() -> str:
    """Whether HDF5 can lock a file here, where circuits are written."""
    import h5py

    version = f"HDF5 {h5py.version.hdf5_version}"
    setting = os.environ.get("HDF5_USE_FILE_LOCKING")
    folder = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path(tempfile.gettempdir())
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-", suffix=".hdf5") as file:
            h5py.File(file.name, "w").close()
    except OSError as error:
        if error.errno in _NO_LOCKS or "unable to lock" in str(error):
            raise _Broken(
                f"{version} cannot lock files in {folder}: set HDF5_USE_FILE_LOCKING=FALSE, and let only one process "
                "write a file"
            ) from error
        raise _Broken(f"{version} cannot write in {folder}: {' '.join(str(error).split())}") from error
    return f"{version} writes in {folder}" + (
        f" (HDF5_USE_FILE_LOCKING={setting})" if setting else ", and locks"
    )


def _cache() -> str:
    """Where what is built is kept, and whether it can be."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except RunError as error:
        raise _Broken(str(error)) from error
    except OSError as error:
        raise _Broken(
            f"{error.filename}: {error.strerror}: name another folder with XDG_CACHE_HOME"
        ) from error
    free = f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"
    if os.access(folder, os.W_OK):
        return f"{folder}, {free}"
    return f"{folder}, which can be read only"  # as in an image


def _kernels() -> str:
    """Whether what numba has kept of the rules can be read."""
    folders = set(_kernel_folders())
    if not folders:
        return "compiled anew in every process: no folder to keep them in; NUMBA_CACHE_DIR names one"
    files = [file for folder in folders for file in folder.glob("*.nb[ic]")]
    shown = ", ".join(map(str, sorted(folders)))
    if damaged := [file for file in files if not _ends(file)]:
        raise _Broken(
            f"{len(damaged)} of {len(files)} files in {shown} are cut: cerebellar-models clean --yes"
        )
    return f"{len(files)} files in {shown}"


def _kernel_folders() -> Iterator[Path]:
    from cerebellar_models.connectome import overlap_kernel

    for kernel in vars(overlap_kernel).values():
        if folder := getattr(getattr(kernel, "_cache", None), "cache_path", None):
            yield Path(folder)


def _ends(file: Path) -> bool:
    """Whether it ends as what Python's pickle writes does; a cut file does not."""
    try:
        return file.read_bytes()[-1:] == b"."
    except OSError:
        return False


def _first_found(*programs: str) -> Callable[[], str]:
    def look() -> str:
        for program in programs:
            if found := shutil.which(program):
                return found
        raise _Missing(f"none of {', '.join(programs)} on PATH")

    return look


_CHECKS: dict[str, Callable[[], str]] = {
    "Python": _python,
    "C++ compiler": _compiler,
    "MPI": _mpi,
    "NEST": _nest,
    "NEURON": _packages("neuron", "multicompartment cells only", "neuron"),
    "reports": _packages("report", "the report", "neo", "nixio", "plotly"),
    "files": _locking,
    "cache": _cache,
    "compiled rules": _kernels,
    "containers": _first_found("apptainer", "singularity", "docker", "podman"),
    "scheduler": _first_found("sbatch", "qsub"),
}


@click.command()
def doctor() -> None:
    """Say what works here, and how to fix what does not.

    ok: works; --: not there, and needed only for what is said; !!: there, and cannot work (exit status 1).
    """
    broken = []
    for name, check in _CHECKS.items():
        try:
            click.echo(f"  ok  {name}: {check()}")
        except _Missing as missing:
            click.echo(f"  --  {name}: {missing}")
        except _Broken as reason:
            click.echo(f"  !!  {name}: {reason}")
            broken.append(name)
    if broken:
        raise RunError(f"doctor: cannot work as it is: {', '.join(broken)}")
