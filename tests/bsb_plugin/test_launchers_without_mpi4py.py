"""A launcher's variables where mpi4py is not installed: one rank goes on, several of ours are one clear error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_network import small_network

pytestmark = pytest.mark.usefixtures("nest_installed")

# As if they were not installed, for every process that Python starts.
ABSENT = """
import importlib.util, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mpi4py", "mpilock"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("mpi4py", "mpilock") else find(name, *rest)
"""


@pytest.fixture
def simulate(tmp_path):
    """``simulate(circuit, **environment)`` in a Python without mpi4py."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "sitecustomize.py").write_text(ABSENT, encoding="utf-8")

    # BSB takes every variable with "mpi" in its name for a launcher's.
    calm = {name: value for name, value in os.environ.items() if "mpi" not in name.lower()}

    def run(circuit: Path, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "bsb", "simulate", str(circuit), "rest", "-o", "results"],
            cwd=tmp_path,
            env=calm | {"PYTHONPATH": str(tmp_path / "absent")} | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "launcher",
    [
        {"PMI_RANK": "0"},
        {"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"},
        {"OMPI_COMM_WORLD_SIZE": "1", "BSB_IGNORE_PARALLEL": "1"},
    ],
    ids=["PMI", "srun", "Open MPI"],
)
def test_one_rank_goes_on(simulate, small_circuit, tmp_path, launcher):
    done = simulate(small_circuit, **launcher)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "results").glob("*.nio"))) == 1


@pytest.mark.parametrize(
    ("rank", "lines"),
    [
        ("0", 1),
        ("1", 0),
    ],
)
@pytest.mark.parametrize(
    "size",
    [
        {"PMI_SIZE": "2"},
        {"SLURM_STEP_NUM_TASKS": "2"},
        {"OMPI_COMM_WORLD_SIZE": "2", "BSB_IGNORE_PARALLEL": "1"},
    ],
    ids=["PMI", "srun", "Open MPI"],
)
def test_several_ranks_are_refused_once(simulate, small_circuit, tmp_path, size, rank, lines):
    done = simulate(small_circuit, PMI_RANK=rank, **size)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if "mpi4py" in line]
    assert len(said) == lines and "Traceback" not in done.stderr
    assert all(line.startswith("bsb simulate: 2 ranks were started, but mpi4py") for line in said)
    assert not (tmp_path / "results").exists()


def test_several_simulations_of_other_networks_go_on(simulate, compiled, tmp_path):
    """A launcher may start many programs that have nothing to do with one another."""
    tree = small_network("other.hdf5", cell_models__golgi={"model": "iaf_psc_alpha"}, modules=[])
    tree["simulations"]["rest"]["cell_models"]["single"] = {"model": "iaf_psc_alpha"}
    tree["simulations"]["rest"]["connection_models"] = {}
    tree["simulations"]["rest"]["devices"].pop("noise")
    done = simulate(compiled(tree), PMI_RANK="1", PMI_SIZE="2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "results").glob("*.nio"))) == 1
