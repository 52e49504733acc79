"""Each part compiles and simulates, one population of a single recorded cell among them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from circuit_file import CircuitFile
from support import command_line, missing, on_ranks_environment

from cerebellar_models.analysis.read import read_activity, read_circuit
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.runs import launch

MOUSE = load_species("mouse")
SMALL = (60, 80)  # µm; holds one cell of the olive


def bsb(folder: Path, *arguments: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bsb", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.parametrize(
    ("parts", "paradigm", "synapses"),
    [
        (["dcn"], "mf_stimulus", "static_synapse"),
        (["io"], "mf_cf_stimulus", "static_synapse"),
        (["ubc"], "basal_activity", "tsodyks2_synapse"),
    ],
    ids=str,
)
def test_a_part_compiles_and_simulates(tmp_path, nest_installed, parts, paradigm, synapses):
    choices = choose(
        MOUSE, size=SMALL, parts=parts, simulations=[paradigm], synapse_model=synapses, duration=200.0
    )
    tree = compose(MOUSE, choices, morphology_manifest())
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(tree))
    bsb(tmp_path, "compile", "circuit.yaml", "-v1", "--clear")
    bsb(tmp_path, "simulate", "cerebellum.hdf5", paradigm, "-o", "results", "-v1")
    counts = {name: len(cells) for name, cells in CircuitFile(tmp_path / "cerebellum.hdf5").positions.items()}
    recorded = {
        entry.cell_type: entry for entry in read_activity(next((tmp_path / "results").iterdir())).recordings
    }
    assert {name: len(entry.cells) for name, entry in recorded.items()} == counts
    assert len(recorded["granule_cell"].spike_times)
    if "io" in parts:
        assert counts["io"] == 1


def test_microzones_simulate_with_a_recorder_each(tmp_path, nest_installed):
    choices = choose(
        MOUSE,
        size=(100, 100),
        parts=["io"],
        microzones=["plus", "minus"],
        simulations=["mf_cf_stimulus"],
        duration=50.0,
    )
    tree = compose(MOUSE, choices, morphology_manifest())
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(tree))
    bsb(tmp_path, "compile", "circuit.yaml", "-v1", "--clear")
    bsb(tmp_path, "simulate", "cerebellum.hdf5", "mf_cf_stimulus", "-o", "results", "-v1")
    counts = {name: len(cells) for name, cells in CircuitFile(tmp_path / "cerebellum.hdf5").positions.items()}
    entries = read_activity(next((tmp_path / "results").iterdir())).recordings
    for cell_type in ("purkinje_cell", "dcn_p", "dcn_i", "io"):
        zones = {entry.recorder: set(entry.cells) for entry in entries if entry.cell_type == cell_type}
        plus, minus = (
            zones[next(name for name in zones if name.endswith(label))] for label in ("plus", "minus")
        )
        assert len(zones) == 2
        assert plus | minus == set(range(counts[cell_type]))
        assert abs(len(plus) - len(minus)) <= 1
        assert not plus & minus


def test_the_field_potential_follows_the_volley(tmp_path, nest_installed):
    """All mossy fibres fire at 1000.1 ms and excite the granule cells two synapses later, as the report tells."""
    flags = ["--size", "60", "80", "--neuron-model", "eglif_multirec", "--simulation", "lfp_stimulus"]
    flags += ["--synapse-model", "multirec_static_synapse", "--duration", "1100"]
    run = command_line("run", *flags, "-o", "run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    (potential,) = report["simulations"][0]["field_potentials"]
    assert potential["cell_type"] == "granule_cell"
    assert potential["stimulus_ms"] == pytest.approx(1000.1)
    # 0.0039 granule cells per µm3 in a sphere of 10 µm: 16, as chance has it.
    assert 5 <= potential["cells"] <= 30
    summed, weighted = potential["responses"]
    assert summed["amplitude"] < 0
    assert 1.9 < summed["latency_ms"] < 5
    assert 0.2 < summed["half_width_ms"] < 20
    assert weighted["latency_ms"] == pytest.approx(summed["latency_ms"] + 6.0, abs=1.0)
    assert weighted["amplitude"] > 0
    assert "Field potential" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.mpi)])
def test_gap_junctions_of_a_circuit_go_both_ways(tmp_path, nest_installed, ranks):
    """Each pair of Golgi cells with contacts is coupled once each way, with 0.9 nS for each of its contacts."""
    python = sys.executable if ranks == 1 else os.environ.get("CEREBELLAR_MODELS_MPI_PYTHON", "")
    if not os.access(python, os.X_OK):
        missing("CEREBELLAR_MODELS_MPI_PYTHON names no Python with a NEST that has MPI")
    choices = choose(
        MOUSE,
        size=(200, 100),
        simulations=["basal_activity"],
        synapse_model="static_gap_junctions",
        duration=50.0,
    )
    tree = with_threads(compose(MOUSE, choices, morphology_manifest()), 2)
    # Only what the test is about, to compile in seconds.
    tree["connectivity"] = {"gap_goc": {**tree["connectivity"]["gap_goc"], "affinity": 1.0}}
    simulation = tree["simulations"]["basal_activity"]
    simulation["connection_models"] = {"gap_goc": simulation["connection_models"]["gap_goc"]}
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(tree))
    bsb(tmp_path, "compile", "circuit.yaml", "-v1", "--clear")
    (projection,) = read_circuit(tmp_path / "cerebellum.hdf5").projections
    contacts: dict[frozenset, int] = {}
    for pre, post in zip(projection.pre_cells.tolist(), projection.post_cells.tolist(), strict=True):
        contacts[frozenset((pre, post))] = contacts.get(frozenset((pre, post)), 0) + 1
    assert contacts
    script = """
import json, nest
from bsb_nest.adapter import NestAdapter
run = NestAdapter.run
def tell(self, *simulations):
    populations = {model.name: nodes for model, nodes in self.simdata[simulations[0]].populations.items()}
    found = nest.GetConnections(synapse_model="gap_junction").get(["source", "target", "weight"])
    first = populations["golgi_cell"][0].global_id
    rows = [[s - first, t - first, w] for s, t, w in zip(found["source"], found["target"], found["weight"])]
    open(f"found-{nest.Rank()}.json", "w").write(json.dumps(rows))
    return run(self, *simulations)
NestAdapter.run = tell
import runpy, sys
sys.argv = ["bsb", "simulate", "cerebellum.hdf5", "basal_activity", "-o", "results", "-v1"]
runpy.run_module("bsb", run_name="__main__", alter_sys=True)
"""
    command = launch.on_ranks([python, "-c", script], ranks)
    done = subprocess.run(
        command, cwd=tmp_path, env=on_ranks_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shares = [json.loads((tmp_path / f"found-{rank}.json").read_text()) for rank in range(ranks)]
    assert all(shares)
    found = sorted(row for share in shares for row in share)
    expected = sorted(
        [*ends, 0.9 * count]
        for pair, count in contacts.items()
        for ends in (sorted(pair), sorted(pair, reverse=True))
    )
    assert np.array(found) == pytest.approx(np.array(expected))
