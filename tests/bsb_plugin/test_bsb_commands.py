"""The documented BSB commands on a generated configuration, on one rank and on several."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from circuit_file import CircuitFile
from support import command_line, on_ranks_environment

from cerebellar_models.builders.nest_module import nest_installation
from cerebellar_models.runs import launch

BSB = [sys.executable, "-m", "bsb"]
OTHER_NETWORK = """
storage: {engine: hdf5, root: other.hdf5}
network: {x: 100, y: 100, z: 100}
partitions: {block: {type: layer, thickness: 100}}
regions: {all: {type: group, children: [block]}}
cell_types: {cell: {spatial: {radius: 2, count: 5}}}
placement: {cells: {strategy: bsb.placement.RandomPlacement, cell_types: [cell], partitions: [block]}}
connectivity: {}
simulations:
  rest:
    simulator: nest
    duration: 10
    resolution: 0.1
    cell_models: {cell: {model: iaf_psc_alpha}}
    connection_models: {}
    devices: {record: {device: spike_recorder, delay: 1, targetting: {strategy: all}}}
"""


def bsb(*arguments: str, cwd: Path, ranks: int = 1, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        launch.on_ranks([*BSB, *arguments], ranks),
        cwd=cwd,
        env=on_ranks_environment() | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_circuit_does_not_depend_on_the_ranks(tmp_path, mpi_installed, tiny_folder, tiny_circuit, ranks):
    done = bsb("compile", str(tiny_folder / "circuit.yaml"), "-v4", "--clear", cwd=tmp_path, ranks=ranks)
    assert done.returncode == 0, done.stderr[-2000:]
    expected, found = tiny_circuit.content(), CircuitFile(tmp_path / "cerebellum.hdf5").content()
    assert expected.keys() == found.keys()
    differing = [name for name in expected if not np.array_equal(expected[name], found[name])]
    assert differing == []


def test_another_seed_gives_another_circuit(tmp_path, tiny_folder, tiny_circuit):
    text = (tiny_folder / "circuit.yaml").read_text().replace("seed: 1234", "seed: 4321")
    (tmp_path / "circuit.yaml").write_text(text)
    assert bsb("compile", "circuit.yaml", "-v1", "--clear", cwd=tmp_path).returncode == 0
    found = CircuitFile(tmp_path / "cerebellum.hdf5").content()
    same = [name for name, rows in tiny_circuit.content().items() if np.array_equal(rows, found[name])]
    assert same == []


def test_compiling_never_imports_nest(tmp_path, tiny_folder):
    """Whatever is installed: importing NEST under an MPI launcher ends the process if NEST has no MPI."""
    broken = tmp_path / "broken" / "nest"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('NEST was imported')\n")
    done = bsb(
        "compile",
        str(tiny_folder / "circuit.yaml"),
        "-v1",
        "--clear",
        cwd=tmp_path,
        PYTHONPATH=str(broken.parent),
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_compiling_needs_no_compiler(tmp_path, tiny_folder):
    done = bsb(
        "compile",
        str(tiny_folder / "circuit.yaml"),
        "-v1",
        "--clear",
        cwd=tmp_path,
        CXX="no-such-compiler",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_compiled_file_keeps_the_simulations_word_for_word(tiny_folder, tiny_tree):
    from cerebellar_models.analysis.read import read_circuit

    stored = read_circuit(tiny_folder / "cerebellum.hdf5").configuration
    assert stored["simulations"] == tiny_tree["simulations"]


def test_simulating_from_another_folder(tmp_path, nest_installed, tiny_folder):
    for name in ("cerebellum.hdf5", "circuit.yaml"):
        shutil.copy(tiny_folder / name, tmp_path)
    shorten(tmp_path, 50)
    before = (tmp_path / "cerebellum.hdf5").read_bytes()
    done = bsb("simulate", "cerebellum.hdf5", "basal_activity", "-o", "results", "-v4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    # Other jobs of an array may be reading it.
    assert (tmp_path / "cerebellum.hdf5").read_bytes() == before
    assert len(list((tmp_path / "results").glob("*.nio"))) == 1


@pytest.mark.mpi
def test_several_ranks_on_a_nest_without_mpi_are_one_clear_error(
    tmp_path, nest_installed, mpi_installed, tiny_folder
):
    nest = nest_installation()
    assert nest is not None
    if nest.has_mpi:
        pytest.skip("this NEST has MPI")
    arguments = ("simulate", str(tiny_folder / "cerebellum.hdf5"), "basal_activity", "-o", "results")
    done = bsb(*arguments, cwd=tmp_path, ranks=2)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("bsb simulate:")]
    assert len(lines) == 1
    assert "has no MPI but 2 ranks were started" in lines[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("file", "simulation", "status", "says"),
    [
        ("whole", "nap", 2, "has no simulation 'nap'; it has: basal_activity, mf_stimulus"),
        ("cut", "basal_activity", 1, "cut short"),
        ("none", "basal_activity", 2, "no such file"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(
    tmp_path, nest_installed, tiny_folder, file, simulation, status, says
):
    circuit = tmp_path / "circuit.hdf5"
    if file != "none":
        content = (tiny_folder / "cerebellum.hdf5").read_bytes()
        circuit.write_bytes(content[: len(content) // 2] if file == "cut" else content)
    done = bsb("simulate", str(circuit), simulation, "-o", "results", cwd=tmp_path)
    assert done.returncode == status
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_network_of_others_needs_no_module_of_ours(tmp_path, nest_installed):
    (tmp_path / "other.yaml").write_text(OTHER_NETWORK)
    missing = {"CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert bsb("compile", "other.yaml", "--clear", cwd=tmp_path, **missing).returncode == 0
    done = bsb("simulate", "other.hdf5", "rest", "-o", "results", cwd=tmp_path, **missing)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.mpi
def test_an_error_on_one_rank_ends_all(tmp_path, mpi_installed):
    """The other one would wait for it for ever."""
    (tmp_path / "other.yaml").write_text(f"{OTHER_NETWORK}\ncomponents: [broken]\n")
    (tmp_path / "broken.py").write_text(
        "from bsb.services import MPI\nif MPI.get_rank() == 0: raise RuntimeError('broken here')\n"
    )
    done = bsb("compile", "other.yaml", "--clear", cwd=tmp_path, ranks=2, PYTHONPATH=str(tmp_path))
    assert done.returncode != 0
    assert "broken here" in done.stderr


def test_simulating_without_a_compiler_is_one_clear_error(tmp_path, nest_installed, tiny_folder):
    arguments = ("simulate", str(tiny_folder / "cerebellum.hdf5"), "basal_activity", "-o", "results")
    done = bsb(*arguments, cwd=tmp_path, CXX="no-such-compiler", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "no-such-compiler" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("asked", "used"), [({}, 2), ({"CEREBELLAR_MODELS_THREADS": "1"}, 1)])
def test_threads_are_the_configurations_or_the_jobs(tmp_path, nest_installed, tiny_folder, asked, used):
    for name in ("cerebellum.hdf5", "circuit.yaml"):
        shutil.copy(tiny_folder / name, tmp_path)
    shorten(tmp_path, 20, threads=2)
    code = (
        "import nest; from bsb_nest.adapter import NestAdapter as A; run = A.run;"
        "A.run = lambda self, *s: (print('threads', nest.local_num_threads), run(self, *s))[1];"
        "from bsb.cli import handle_command; handle_command("
        "['simulate', 'cerebellum.hdf5', 'basal_activity', '-o', 'results'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import cerebellar_models.nest_models; {code}"],
        cwd=tmp_path,
        env=os.environ | {"PYNEST_QUIET": "1"} | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"threads {used}\n" in done.stdout, done.stderr[-2000:]


def test_a_job_asks_for_no_number_of_threads(tmp_path, nest_installed, tiny_folder):
    arguments = ("simulate", str(tiny_folder / "cerebellum.hdf5"), "basal_activity", "-o", "results")
    done = bsb(*arguments, cwd=tmp_path, CEREBELLAR_MODELS_THREADS="many")
    assert done.returncode == 2
    assert "CEREBELLAR_MODELS_THREADS: 'many' is not a whole number" in done.stderr.splitlines()[-1]


def test_the_memory_of_the_process_that_starts_it_is_not_counted(tmp_path):
    """The kernel's ru_maxrss goes from a process to the programs it starts."""
    script = "import subprocess, sys; large = b'x' * 10**9; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    (tmp_path / "usage").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, *BSB, "--version"],
        env=os.environ | {"CEREBELLAR_MODELS_USAGE": str(tmp_path / "usage")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (left,) = (tmp_path / "usage").glob("*.json")
    assert json.loads(left.read_text())["max_rss_kb"] < 500_000


def shorten(folder: Path, duration: float, threads: int = 1) -> None:
    """Gives the compiled circuit shorter simulations."""
    flags = (
        "--preset",
        "tiny",
        "--simulation",
        "basal_activity",
        "--duration",
        str(duration),
        "--threads",
        str(threads),
    )
    assert command_line("configure", *flags, cwd=folder).returncode == 0
    assert bsb("reconfigure", "cerebellum.hdf5", "circuit.yaml", cwd=folder).returncode == 0
