"""Each part compiles and simulates, one population of a single recorded cell among them."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from circuit_file import CircuitFile

from cerebellar_models.analysis.read import read_activity
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose

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
