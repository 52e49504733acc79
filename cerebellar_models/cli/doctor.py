"""`cerebellar-models doctor`."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec

import click

from cerebellar_models.errors import UserError
from cerebellar_models.extras import install_hint


def _python() -> str:
    return platform.python_version()


def _compiler() -> str:
    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler is None:
        raise _Missing("no C++ compiler: apt install g++ (or set CXX)")
    return compiler


def _mpi() -> str:
    from cerebellar_models.deploy import launch

    try:
        launcher = launch.on_ranks([sys.executable], 2)[0]
    except UserError as error:
        raise _Missing(str(error)) from error
    if find_spec("mpi4py") is None:
        raise _Missing(f"mpirun but no mpi4py: {install_hint('parallel')}")
    return f"{launcher}, {os.cpu_count()} cores"


def _nest() -> str:
    from cerebellar_models.builders import nest_module

    try:
        nest = nest_module.nest_installation()
        if nest is None:
            raise _Missing(f"not installed: {install_hint('nest')}")
        module = "built" if nest_module.is_built() else "not built yet: cerebellar-models models build"
    except nest_module.ModelBuildError as error:
        raise _Missing(str(error)) from error
    parallel = "with MPI" if nest.has_mpi else "threads only, no MPI"
    return f"{nest.version}, {parallel}; module {module}"


def _neuron() -> str:
    if find_spec("neuron") is None:
        raise _Missing(f"not installed (multicompartment cells only): {install_hint('neuron')}")
    return "installed"


def _report() -> str:
    missing = [name for name in ("jinja2", "neo", "nixio", "plotly") if find_spec(name) is None]
    if missing:
        raise _Missing(f"no {', '.join(missing)}: {install_hint('report')}")
    return "installed"


def _first_found(*programs: str) -> Callable[[], str]:
    def look() -> str:
        for program in programs:
            if found := shutil.which(program):
                return found
        raise _Missing(f"none of {', '.join(programs)} on PATH")

    return look


class _Missing(Exception):
    """What is not there, and how to get it."""


_CHECKS: dict[str, Callable[[], str]] = {
    "Python": _python,
    "C++ compiler": _compiler,
    "MPI": _mpi,
    "NEST": _nest,
    "NEURON": _neuron,
    "reports": _report,
    "containers": _first_found("apptainer", "singularity", "docker", "podman"),
    "scheduler": _first_found("sbatch", "qsub"),
}


@click.command()
def doctor() -> None:
    """Say what works here, and how to fix what does not."""
    for name, check in _CHECKS.items():
        try:
            click.echo(f"  ok  {name}: {check()}")
        except _Missing as missing:
            click.echo(f"  --  {name}: {missing}")
