"""What is adopted compiles to the circuit that the original compiles to."""

import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from circuit_file import CircuitFile
from published_circuit import CELLS, CIRCUIT, write_morphologies, write_tree

from cerebellar_models.circuits.catalogue import morphology_manifest


def compiled(folder: Path, configuration: str) -> Path:
    """The circuit that BSB makes of a configuration, in a folder of its own below the one it is found from."""
    ended = subprocess.run(
        [sys.executable, "-m", "bsb", "compile", configuration, "-v1", "--clear"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return folder / "circuit.hdf5"


def extents(circuit: Path) -> dict[str, list[float]]:
    """Size of each stored morphology along x, y and z, µm."""
    with h5py.File(circuit) as file:
        points = {name: group["data"][:, :3] for name, group in file["morphologies"].items()}
    return {name: (rows.max(axis=0) - rows.min(axis=0)).round(2).tolist() for name, rows in points.items()}


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """The original's folder, with its circuit."""
    folder = tmp_path_factory.mktemp("published")
    write_morphologies(folder)
    write_tree(folder / "old.yaml", CIRCUIT)
    compiled(folder, "old.yaml")
    return folder


def assert_same_circuit(old: Path, new: Path) -> None:
    before, after = CircuitFile(old), CircuitFile(new)
    assert {name: rows.tolist() for name, rows in before.positions.items()} == {
        name: rows.tolist() for name, rows in after.positions.items()
    }
    assert extents(old) == extents(new)
    counts = {name: len(rows) for name, (rows, _) in before.connections.items()}
    assert counts == {name: len(rows) for name, (rows, _) in after.connections.items()}
    assert all(counts.values()), counts


def test_adopted_without_its_files_it_is_the_same_circuit(original, cli, tmp_path):
    told = cli("configure", "--adopt", "old.yaml", "-o", str(tmp_path / "new.yaml"), cwd=original)
    assert told.returncode == 0, told.stderr
    for number, cell in enumerate(CELLS):
        assert f"morphologies[{number}]: morphologies/{cell}.swc -> cerebellum://{cell}.swc" in told.stdout
        assert f"morphologies[{number}].pipeline: swap_axes dropped" in told.stdout
    assert_same_circuit(original / "circuit.hdf5", compiled(tmp_path, "new.yaml"))


def test_the_original_lies_as_the_reconstructions_do(original):
    sizes = {
        name: [round(high - low, 2) for low, high in entry["extent_um"].values()]
        for name, entry in morphology_manifest().items()
    }
    assert extents(original / "circuit.hdf5") == {cell: sizes[cell] for cell in CELLS}
