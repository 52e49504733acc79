"""A simulation that cannot be is refused in one line, and what the command line mends is mended in Python."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_network import small_network

from cerebellar_models.builders.nest_module import nest_installation

pytestmark = pytest.mark.usefixtures("nest_installed")

RUN = """
import json, sys, yaml
from bsb import Configuration, Scaffold
from cerebellar_models.errors import UserError
sys.path.insert(0, sys.argv[1])
from small_network import small_network
network = Scaffold(Configuration(**small_network("network.hdf5")))
network.compile(clear=True)
for name, changes in yaml.safe_load(open("cases.yaml")).items():
    tree = small_network("network.hdf5", **changes)
    try:
        network.configuration = Configuration(**tree)
        network.run_simulation("rest", output_filename="rest.nio")
    except UserError as error:
        print(json.dumps([name, str(error)]))
    else:
        print(json.dumps([name, None]))
"""
GOLGI = "cell_models__golgi__constants"
SYNAPSE = "connection_models__golgi_to_single__synapses__0"
REFUSED = {
    "bad constant": (
        {f"{GOLGI}__tau_m": -1.0},
        "cell_models.golgi.constants.tau_m: -1.0: eglif_cond_alpha_multisyn needs tau_m > 0",
    ),
    "no number": ({f"{GOLGI}__tau_m": math.nan}, "cell_models.golgi.constants.tau_m: nan: "),
    "unknown constant": (
        {f"{GOLGI}__tau_mm": 1.0},
        "cell_models.golgi.constants.tau_mm: eglif_cond_alpha_multisyn has no such parameter; did you mean tau_m?",
    ),
    "wrong receptor": (
        {f"{SYNAPSE}__receptor_type": 9},
        "connection_models.golgi_to_single.synapses.0: Receptor type 9 is not available",
    ),
    "receptor of a device": (
        {"devices__noise__receptor_type": 9},
        "devices.noise.receptor_type: Receptor type 9 is not available",
    ),
    "weight is no number": (
        {f"{SYNAPSE}__weight": math.nan},
        "connection_models.golgi_to_single.synapses.0.weight: nan is no finite number",
    ),
    "negative weight": (
        {f"{SYNAPSE}__weight": -1.0},
        "connection_models.golgi_to_single.synapses.0.weight: -1.0: eglif_cond_alpha_multisyn needs conductances",
    ),
    "negative delay": (
        {f"{SYNAPSE}__delay": -1.0},
        "connection_models.golgi_to_single.synapses.0.delay: -1.0 ms is less than the resolution, 0.1 ms",
    ),
    "delay of a device": (
        {"devices__noise__delay": 0.01},
        "devices.noise.delay: 0.01 ms is less than the resolution, 0.1 ms",
    ),
    "no duration": ({"duration": 0}, "duration: 0.0 is no time of more than 0 ms"),
    "duration is no number": ({"duration": math.nan}, "duration: nan is no time of more than 0 ms"),
    "duration between steps": (
        {"duration": 10.05},
        "duration: 10.05 ms is no multiple of the resolution, 0.1 ms",
    ),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory) -> dict:
    """What each simulation is refused with, one after the other in one process, and the files left."""
    folder = tmp_path_factory.mktemp("refused")
    cases = {name: changes for name, (changes, _) in REFUSED.items()}
    (folder / "cases.yaml").write_text(yaml.safe_dump(cases, sort_keys=False), encoding="utf-8")
    output = python(RUN, str(Path(__file__).parent), cwd=folder)
    found = dict(yaml.safe_load(line) for line in output.splitlines() if line.startswith('["'))
    return found | {"files": sorted(file.name for file in folder.iterdir())}


def python(code: str, *arguments: str, cwd, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=os.environ | {"PYNEST_QUIET": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("name", REFUSED)
def test_what_nest_would_refuse_is_named(refusals, name):
    says = REFUSED[name][1]
    assert refusals[name] is not None
    assert refusals[name].startswith(f"network.hdf5: simulations.rest.{says}")
    assert "\n" not in refusals[name]
    assert refusals["files"] == ["cases.yaml", "network.hdf5"]


PYTHON = """
import nest
from bsb import from_storage
from bsb_nest.adapter import NestAdapter
run = NestAdapter.run
def tell(self, *simulations):
    print("threads", nest.local_num_threads)
    return run(self, *simulations)
NestAdapter.run = tell
for number in range(2):
    (segment,) = from_storage("small.hdf5").run_simulation("rest").block.segments
    print("spikes", sorted(len(train) for train in segment.spiketrains))
"""


def test_python_gets_what_the_command_line_gets(small_circuit, tmp_path):
    """Threads, a population of one recorded cell, and a second simulation in the same process."""
    shutil.copy(small_circuit, tmp_path)
    output = python(PYTHON, cwd=tmp_path).splitlines()
    assert [line for line in output if line.startswith("threads")] == ["threads 2"] * 2
    first, second = (line for line in output if line.startswith("spikes"))
    assert first == second != "spikes []"


def bsb(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bsb", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_bad_constant_is_one_line_and_leaves_nothing(tiny_folder, tiny_tree, tmp_path):
    cells = yaml.safe_load(yaml.safe_dump(tiny_tree))
    cells["simulations"]["basal_activity"]["cell_models"]["golgi_cell"]["constants"]["tau_m"] = -1
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(cells), encoding="utf-8")
    shutil.copy(tiny_folder / "cerebellum.hdf5", tmp_path)
    assert bsb("reconfigure", "cerebellum.hdf5", "circuit.yaml", cwd=tmp_path).returncode == 0
    before = sorted(tmp_path.iterdir())
    done = bsb("simulate", "cerebellum.hdf5", "basal_activity", "-o", "results", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "tau_m" in line]
    assert line.startswith("bsb simulate: ") and "cerebellum.hdf5: simulations.basal_activity." in line
    assert "cell_models.golgi_cell.constants.tau_m: -1" in line and "needs tau_m > 0" in line
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kernel", ["none", "cut"])
def test_a_nest_that_cannot_be_loaded_is_named(small_circuit, tmp_path, kernel):
    package = tmp_path / "other" / "nest"
    package.mkdir(parents=True)
    found = nest_installation()
    assert found is not None
    shutil.copy(found.package / "__init__.py", package)
    (package / "include").symlink_to(found.include.parent)
    if kernel == "cut":
        (package / "nestkernel_api.so").write_bytes(found.library.read_bytes()[:50_000])
    arguments = ("simulate", str(small_circuit), "rest", "-o", "results")
    done = bsb(*arguments, cwd=tmp_path, PYTHONPATH=str(package.parent))
    assert done.returncode == 1
    assert f"bsb simulate: {package} is what Python imports as nest, but " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_module_that_cannot_be_loaded_is_named(compiled, tmp_path):
    """Another's module, which the checks of ours do not meet before NEST does."""
    circuit = compiled(small_network("other.hdf5", modules=["cerebmodule", "othermodule"]))
    (tmp_path / "othermodule.so").write_bytes(b"no library")
    arguments = ("simulate", str(circuit), "rest", "-o", "results")
    done = bsb(*arguments, cwd=tmp_path, LD_LIBRARY_PATH=str(tmp_path))
    assert done.returncode == 1
    assert f"the NEST module {tmp_path}/othermodule.so cannot be loaded (file too short)" in done.stderr
    assert "Traceback" not in done.stderr
