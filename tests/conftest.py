"""What all tests share: how a missing component is handled, and a compiled tiny circuit."""

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiers
import yaml
from circuit_file import CircuitFile
from support import command_line, missing

pytest_plugins = ["engines", "clusters"]


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tiers.assign(items)


@pytest.fixture(scope="session")
def nest_installed() -> None:
    """Skips where NEST or a compiler is missing."""
    for module in ("nest", "bsb_nest"):
        if find_spec(module) is None:
            missing(f"{module} is not installed")
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        missing("no C++ compiler")


@pytest.fixture(scope="session")
def mpi_installed() -> None:
    """Skips where no MPI launcher or no mpi4py is there."""
    if find_spec("mpi4py") is None or find_spec("mpilock") is None:
        missing("mpi4py is not installed")
    if not Path(sys.executable).with_name("mpirun").exists() and shutil.which("mpirun") is None:
        missing("no mpirun")


@pytest.fixture
def cli(tmp_path):
    """``cli(*arguments)`` in an empty folder of its own."""
    return lambda *arguments, cwd=tmp_path, **environment: command_line(*arguments, cwd=cwd, **environment)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A folder with the tiny circuit's circuit.yaml and cerebellum.hdf5, compiled once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "tiny"
    with (shared / "tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = shared / "tiny.partial"
            work.mkdir()
            configured = command_line("configure", "--preset", "tiny", cwd=work)
            assert configured.returncode == 0, configured.stderr
            compiled = subprocess.run(
                [sys.executable, "-m", "bsb", "compile", "circuit.yaml", "-v2", "--clear"],
                cwd=work,
                capture_output=True,
                text=True,
                check=False,
            )
            assert compiled.returncode == 0, compiled.stderr[-2000:]
            work.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_circuit(tiny_folder) -> CircuitFile:
    """The compiled tiny circuit."""
    return CircuitFile(tiny_folder / "cerebellum.hdf5")


@pytest.fixture(scope="session")
def tiny_tree(tiny_folder) -> dict:
    """The tiny circuit's configuration."""
    return yaml.safe_load((tiny_folder / "circuit.yaml").read_text())
