"""Reads positions and connection rows straight from a compiled file, without BSB or a simulator."""

import json
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np


class CircuitFile:
    """A compiled circuit. Cells are numbered through their population, chunk after chunk."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def positions(self) -> dict[str, np.ndarray]:
        with h5py.File(self.path) as file:
            return {
                cell_type: np.concatenate([group[chunk]["position"][()] for chunk in sorted(group, key=int)])
                for cell_type, group in file["placement"].items()
            }

    @cached_property
    def connections(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Locations (n, 3) before and after the synapse: cell, branch, point; -1 without morphology."""
        with h5py.File(self.path) as file:
            first = {cell_type: _first_cells(group) for cell_type, group in file["placement"].items()}
            return {name: _rows(group, first) for name, group in file["connectivity"].items()}

    def content(self) -> dict[str, np.ndarray]:
        """Everything that must not depend on the ranks: positions as they are, connections as sorted sets."""
        sets = {name: np.hstack(rows) for name, rows in self.connections.items()}
        ordered = {name: rows[np.lexsort(rows.T)] for name, rows in sets.items()}
        return {f"positions {name}": rows for name, rows in self.positions.items()} | ordered


def _first_cells(placement: h5py.Group) -> dict[int, int]:
    counts = json.loads(placement.attrs["chunks"])
    chunks = sorted(counts, key=int)
    return dict(zip(map(int, chunks), np.cumsum([0, *(counts[chunk] for chunk in chunks)]), strict=False))


def _rows(group: h5py.Group, first: dict[str, dict[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    before, after = [np.empty((0, 3), dtype=int)], [np.empty((0, 3), dtype=int)]
    for chunk, block in group["out"].items():
        targets = [_chunk_id(target) for target in block.attrs["chunk_list"]]
        starts = sorted((int(block.attrs[str(target)]), target) for target in targets)
        ends = [*(start for start, _ in starts[1:]), len(block["local_locs"])]
        for (start, target), end in zip(starts, ends, strict=True):
            before.append(block["local_locs"][start:end] + _from(first[group.attrs["pre"]][int(chunk)]))
            after.append(block["global_locs"][start:end] + _from(first[group.attrs["post"]][target]))
    return np.concatenate(before), np.concatenate(after)


def _chunk_id(chunk: np.ndarray) -> int:
    return sum(int(n) << (16 * axis) for axis, n in enumerate(np.asarray(chunk).astype(np.uint16)))


def _from(first_cell: int) -> np.ndarray:
    """Added to locations, numbers their cells from the population's first."""
    return np.array([first_cell, 0, 0])
