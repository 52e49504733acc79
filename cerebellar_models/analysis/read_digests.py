"""The digests of a compiled circuit, read from its file (the layout of bsb-hdf5 8.0).

Arrays that a rule of somebody's may have added to cells (`additional`) are left out: no simulation reads them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cerebellar_models.analysis.digests import (
    FORMAT,
    Cells,
    CircuitDigests,
    Ends,
    circuit_digests,
    morphology_digest,
    population_digest,
    projection_digest,
    simulation_digests,
)
from cerebellar_models.analysis.read import (
    active_configuration,
    cells_per_chunk,
    check_complete,
    first_cells,
    global_cells,
    opened_circuit,
)
from cerebellar_models.errors import RunError


@dataclass(frozen=True)
class FileDigests:
    """Of a compiled circuit and of the simulations its file holds."""

    circuit: CircuitDigests
    simulations: dict[str, str]

    def record(self) -> dict[str, Any]:
        """As a run keeps them."""
        return {"format": FORMAT, "circuit": self.circuit.circuit, "simulations": self.simulations}


def read_digests(path: Path) -> FileDigests:
    """:raises UserError: there is no such file.
    :raises RunError: it is cut short, damaged, in use by a writer, or not a compiled circuit.
    """
    with opened_circuit(path) as file:
        tree = active_configuration(path, file)
        check_complete(path, file, tree)
        shapes = {name: _shape(group) for name, group in file.get("morphologies", {}).items()}
        counts = {name: cells_per_chunk(group) for name, group in file["placement"].items()}
        populations, places = {}, {}
        for name, chunks in counts.items():
            cells = _cells(file["placement"][name], chunks)
            if unknown := sorted(set(cells.morphologies) - set(shapes) - {""}):
                raise ValueError(f"{name} has the morphology {unknown[0]}, which is not in the file")
            populations[name], places[name] = population_digest(cells, shapes)
        projections = {}
        for name, group in file["connectivity"].items():
            pre, post = str(group.attrs["pre"]), str(group.attrs["post"])
            blocks = list(_blocks(group, first_cells(counts[pre]), first_cells(counts[post])))
            if contacts := sum(block.contacts for block in blocks):
                expected = int(group.attrs.get("len", contacts))
                if contacts != expected:
                    raise RunError(
                        f"{path}: unfinished compilation: {name} has {contacts} of its {expected} contacts"
                    )
                read = (block.read(len(places[pre]), len(places[post])) for block in blocks)
                projections[name] = projection_digest((pre, post), read, places[pre], places[post])
        return FileDigests(circuit_digests(populations, projections), simulation_digests(tree))


def _shape(group: h5py.Group) -> str:
    """Digest of a stored morphology: x, y, z, radius, a number for its labels and the properties of each point."""
    data = group["data"][()]
    names = _label_sets(group["data"].attrs["labels"])
    order = np.argsort([str(name) for name in group["data"].attrs.get("properties", ())])
    points = np.concatenate([data[:, :4], data[:, 5:][:, order.astype(int)]], axis=1)
    return morphology_digest(points, group["graph"][()], [names[int(code)] for code in data[:, 4]])


def _cells(group: h5py.Group, chunks: dict[str, int]) -> Cells:
    sets = _label_sets(group.attrs.get("labelsets", "{}"))
    positions, rotations = [np.empty((0, 3))], [np.empty((0, 3))]
    morphologies: list[str] = []
    labels: list[tuple[str, ...]] = []
    for chunk, count in chunks.items():
        stored = group[chunk]
        positions.append(_of_each_cell(stored, "position", count))
        rotations.append(_of_each_cell(stored, "rotation", count))
        morphologies += _morphologies(stored, count)
        codes = stored["labels"][()].tolist() if "labels" in stored else []
        if len(codes) > count:
            raise ValueError(f"{len(codes)} labels for {count} cells in {stored.name}")
        # Cells that came after the labels have none.
        labels += [sets[code] for code in codes + [0] * (count - len(codes))]
    return Cells(np.concatenate(positions), np.concatenate(rotations), morphologies, labels)


def _of_each_cell(chunk: h5py.Group, name: str, count: int) -> NDArray[np.float64]:
    rows = chunk[name][()] if name in chunk else np.empty((0, 3))
    if len(rows) not in (0, count):
        raise ValueError(f"{len(rows)} rows of {name} for {count} cells in {chunk.name}")
    return rows if len(rows) else np.full((count, 3), np.nan)


def _morphologies(chunk: h5py.Group, count: int) -> list[str]:
    numbers = chunk["morphology"][()] if "morphology" in chunk else np.empty(0, int)
    if len(numbers) not in (0, count):
        raise ValueError(f"{len(numbers)} morphologies for {count} cells in {chunk.name}")
    names = [str(name) for name in chunk.attrs["morphology_loaders"]] if len(numbers) else []
    return [names[number] for number in numbers] or [""] * count


def _label_sets(text: str) -> dict[int, tuple[str, ...]]:
    """Labels by the number that stands for all of them together."""
    stored = {int(code): tuple(sorted(names)) for code, names in json.loads(text).items()}
    return {0: ()} | stored


@dataclass(frozen=True)
class _Block:
    """The contacts onto the cells of one chunk, not read yet."""

    group: h5py.Group
    first_of_pre: dict[str, int]
    first_post: int

    @property
    def contacts(self) -> int:
        return len(self.group["local_locs"])

    def read(self, pre_cells: int, post_cells: int) -> Ends:
        """:raises ValueError: it names a cell that is not there."""
        pre, post = self.group["global_locs"][()], self.group["local_locs"][()]
        post[:, 0] += self.first_post
        global_cells(self.group, pre[:, 0], self.first_of_pre)
        for rows, count in ((pre, pre_cells), (post, post_cells)):
            if len(rows) and not 0 <= rows[:, 0].min() <= rows[:, 0].max() < count:
                raise ValueError(f"{self.group.name} names a cell that does not exist")
        return Ends(pre, post)


def _blocks(group: h5py.Group, first_pre: dict[str, int], first_post: dict[str, int]) -> Iterator[_Block]:
    """The incoming half, of which the outgoing half is a copy in another order."""
    for chunk, block in group["inc"].items():
        yield _Block(block, first_pre, first_post[chunk])
