"""What changes a digest, and what leaves it as it is."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from analysis_samples import write_circuit
from digested_circuit import digested_tree, rearranged
from support import on_ranks_environment

from cerebellar_models.analysis.digests import simulation_digests
from cerebellar_models.analysis.read_digests import FileDigests, read_digests
from cerebellar_models.errors import RunError
from cerebellar_models.runs import launch


def compiled_on(ranks: int, folder: Path) -> Path:
    (folder / "circuit.yaml").write_text(yaml.safe_dump(digested_tree()), encoding="utf-8")
    command = launch.on_ranks(launch.bsb("compile", "circuit.yaml", "-v1", "--clear"), ranks)
    environment = on_ranks_environment()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "circuit.hdf5"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    return compiled_on(1, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def known(compiled) -> FileDigests:
    return read_digests(compiled)


def changed(compiled: Path, folder: Path, change: Callable[[h5py.File], None]) -> FileDigests:
    path = shutil.copy(compiled, folder / "changed.hdf5")
    with h5py.File(path, "r+") as file:
        change(file)
    return read_digests(path)


def first_chunk(file: h5py.File, name: str = "granule") -> h5py.Group:
    return next(chunk for chunk in file[f"placement/{name}"].values() if len(chunk["position"]) > 1)


def first_block(file: h5py.File, name: str = "granule_to_granule") -> h5py.Group:
    return max(file[f"connectivity/{name}/inc"].values(), key=lambda block: len(block["local_locs"]))


def value(name: str, column: int) -> Callable[[h5py.File], None]:
    """Moves one cell by the smallest step there is."""

    def change(file: h5py.File) -> None:
        rows = first_chunk(file)[name]
        rows[0, column] = np.nextafter(rows[0, column], np.inf)

    return change


def label(file: h5py.File) -> None:
    codes = first_chunk(file)["labels"]
    (other,) = {1, 2} - {int(codes[0])}
    codes[0] = other


def label_name(file: h5py.File) -> None:
    group = file["placement/granule"]
    group.attrs["labelsets"] = group.attrs["labelsets"].replace("plus", "neither")


def end(side: str, column: int, by: int = 1) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        first_block(file)[side][0, column] += by

    return change


def pair(file: h5py.File) -> None:
    """A contact of another fibre, which is as good as the first."""
    block = first_block(file, "fibre_to_granule")
    begin, chunk = min((int(row), chunk) for chunk, row in block.attrs.items() if chunk != "chunk_list")
    cells = json.loads(file["placement/fibre"].attrs["chunks"])[chunk]
    assert cells > 1
    block["global_locs"][begin, 0] = (block["global_locs"][begin, 0] + 1) % cells


def exchanged_targets(file: h5py.File) -> None:
    """Each cell keeps its number of contacts."""
    block = first_block(file)
    cells = block["local_locs"][:, 0]
    other = int(np.flatnonzero(cells != cells[0])[0])
    block["local_locs"][0, 0], block["local_locs"][other, 0] = cells[other], cells[0]


def morphology_point(file: h5py.File) -> None:
    file["morphologies/GranuleCell/data"][5, 2] += 0.5


def morphology_label(file: h5py.File) -> None:
    attributes = file["morphologies/GranuleCell/data"].attrs
    attributes["labels"] = attributes["labels"].replace("dendrites", "dendrite")


def morphology_graph(file: h5py.File) -> None:
    graph = file["morphologies/GranuleCell/graph"]
    graph[-1, 1] -= 1


def population_name(file: h5py.File) -> None:
    file.move("placement/fibre", "placement/other")
    file["connectivity/fibre_to_granule"].attrs["pre"] = "other"
    stored = next(
        each for each in file["files"].values() if json.loads(each.attrs["meta"]).get("active_config")
    )
    tree = json.loads(stored[()])
    tree["cell_types"]["other"] = tree["cell_types"].pop("fibre")
    _store(file, tree)


def _store(file: h5py.File, tree: dict[str, Any]) -> None:
    for name, stored in list(file["files"].items()):
        meta = stored.attrs["meta"]
        if json.loads(meta).get("active_config"):
            del file["files"][name]
            file["files"][name] = np.array(json.dumps(tree).encode())
            file["files"][name].attrs["meta"] = meta


CHANGES_OF_THE_CIRCUIT = {
    "coordinate": (value("position", 1), {"granule"}),
    "rotation": (value("rotation", 2), {"granule"}),
    "label": (label, {"granule"}),
    "name of a label": (label_name, {"granule"}),
    "presynaptic branch": (end("global_locs", 1), set()),
    "presynaptic point": (end("global_locs", 2), set()),
    "postsynaptic branch": (end("local_locs", 1), set()),
    "postsynaptic point": (end("local_locs", 2), set()),
    "pair": (pair, set()),
    "exchanged targets": (exchanged_targets, set()),
    "point of a morphology": (morphology_point, {"granule"}),
    "label of a morphology": (morphology_label, {"granule"}),
    "branches of a morphology": (morphology_graph, {"granule"}),
    "name of a population": (population_name, {"fibre", "other"}),
}


def test_the_circuit_has_what_is_changed_here(compiled):
    with h5py.File(compiled) as file:
        assert len(file["placement/granule"]) > 1
        assert len(first_chunk(file)["rotation"]) and len(first_chunk(file)["labels"])
        assert not len(first_chunk(file, "fibre")["rotation"])
        blocks = file["connectivity/granule_to_granule/inc"].values()
        assert len(blocks) > 1 and max(len(block.attrs["chunk_list"]) for block in blocks) > 1
        assert len(np.unique(first_block(file)["global_locs"][:, 2])) > 1


@pytest.mark.parametrize(
    ("change", "populations"), CHANGES_OF_THE_CIRCUIT.values(), ids=CHANGES_OF_THE_CIRCUIT
)
def test_a_change_of_the_circuit_shows_in_its_digest_alone(compiled, known, tmp_path, change, populations):
    found = changed(compiled, tmp_path, change)
    assert found.circuit.circuit != known.circuit.circuit
    assert found.simulations == known.simulations
    before, after = known.circuit.populations, found.circuit.populations
    assert {name for name in before | after if before.get(name) != after.get(name)} == populations
    if not populations:
        assert found.circuit.projections != known.circuit.projections


def test_order_and_layout_do_not_show(compiled, known, tmp_path):
    assert read_digests(rearranged(compiled, tmp_path / "other.hdf5")) == known


@pytest.mark.mpi
def test_ranks_do_not_show(known, tmp_path, mpi_installed):
    assert read_digests(compiled_on(2, tmp_path)) == known


def test_cells_that_are_alike_are_still_told_apart_by_their_contacts(tmp_path):
    """Two fibres in one place: who of them has which contacts is part of the circuit."""

    def twins(file: h5py.File) -> None:
        file["placement/granule_cell/0/position"][:] = 1.0

    def moved(file: h5py.File) -> None:
        twins(file)
        file["connectivity/granule_to_purkinje/inc/0/global_locs"][0, 0] = 2

    path = write_circuit(tmp_path / "circuit.hdf5")
    assert changed(path, tmp_path, twins).circuit != changed(path, tmp_path, moved).circuit


def with_change(*keys: Any, to: Any) -> dict[str, Any]:
    tree = copy.deepcopy(digested_tree())
    *path, last = keys
    place = tree["simulations"]
    for key in path:
        place = place[key]
    if to is None:
        del place[last]
    else:
        place[last] = to
    return tree


_SYNAPSE = ("rest", "connection_models", "granule_to_granule", "synapses", 0)
CHANGES_OF_A_SIMULATION = {
    "weight": with_change(*_SYNAPSE, "weight", to=1.0000000000000002),
    "model": with_change(*_SYNAPSE, "model", to="tsodyks2_synapse"),
    "device": with_change("rest", "devices", "noise", "rate", to=5),
    "no device": with_change("rest", "devices", "noise", to=None),
    "cell model": with_change("rest", "cell_models", "granule", "constants", "C_m", to=7.5),
    "text for a number": with_change("rest", "cell_models", "granule", "constants", "C_m", to="7"),
    "truth for a number": with_change(*_SYNAPSE, "weight", to=True),
    "duration": with_change("rest", "duration", to=200),
    "resolution": with_change("rest", "resolution", to=0.05),
    "simulator": with_change("rest", "simulator", to="neuron"),
}
SAME_SIMULATIONS = {
    "number of another kind": with_change("rest", "duration", to=100.0),
    "zero below": with_change("rest", "cell_models", "granule", "constants", "E_L", to=-62.0),
    "threads": with_change("rest", "threads", to=8),
    "no threads": with_change("rest", "threads", to=None),
    "verbosity": with_change("rest", "verbosity", to="M_ALL"),
    "seed": with_change("rest", "rng", to="nest_seed"),
}


@pytest.mark.parametrize("tree", CHANGES_OF_A_SIMULATION.values(), ids=CHANGES_OF_A_SIMULATION)
def test_a_change_of_a_simulation_shows_in_its_digest_alone(compiled, known, tmp_path, tree):
    found = changed(compiled, tmp_path, lambda file: _store(file, tree))
    assert found.circuit == known.circuit
    assert found.simulations["rest"] != known.simulations["rest"]
    assert found.simulations["stimulus"] == known.simulations["stimulus"]


@pytest.mark.parametrize("tree", SAME_SIMULATIONS.values(), ids=SAME_SIMULATIONS)
def test_what_changes_no_result_does_not_show(known, tree):
    assert simulation_digests(tree) == known.simulations


def test_a_configuration_has_the_simulations_of_its_circuit_in_any_order(known):
    def turned(node: Any) -> Any:
        return {key: turned(node[key]) for key in reversed(node)} if isinstance(node, dict) else node

    tree = turned(digested_tree())
    assert list(tree) == list(reversed(digested_tree()))
    assert simulation_digests(tree) == known.simulations
    assert len(set(known.simulations.values())) == 2


def test_a_simulation_by_another_name_is_the_same():
    tree = digested_tree()
    tree["simulations"]["again"] = tree["simulations"]["rest"]
    found = simulation_digests(tree)
    assert found["again"] == found["rest"]


def too_many_labels(file: h5py.File) -> None:
    chunk = first_chunk(file)
    del chunk["labels"]
    chunk["labels"] = np.zeros(1000, int)


def fewer_positions(file: h5py.File) -> None:
    positions = first_chunk(file)["position"]
    positions.resize(len(positions) - 1, axis=0)


def fewer_contacts(file: h5py.File) -> None:
    block = first_block(file)
    for name in ("local_locs", "global_locs"):
        block[name].resize(len(block[name]) - 1, axis=0)


def lost_morphology(file: h5py.File) -> None:
    del file["morphologies/GranuleCell"]


def no_such_cell(file: h5py.File) -> None:
    first_block(file)["local_locs"][0, 0] = 10**6


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (too_many_labels, "1000 labels for"),
        (fewer_positions, "rows of position for"),
        (fewer_contacts, "unfinished compilation: granule_to_granule has"),
        (lost_morphology, "granule has the morphology GranuleCell, which is not in the file"),
        (no_such_cell, "names a cell that does not exist"),
        (end("local_locs", 1, by=2**40), "branches and points from"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_damage_is_told_in_one_line(compiled, tmp_path, damage, says):
    with pytest.raises(RunError) as error:
        changed(compiled, tmp_path, damage)
    assert str(error.value).startswith(f"{tmp_path / 'changed.hdf5'}: ")
    assert says in str(error.value) and "\n" not in str(error.value)
