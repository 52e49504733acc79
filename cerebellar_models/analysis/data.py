"""What was compiled and what was recorded, as values in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.tree import Tree


@dataclass(frozen=True, eq=False)
class Contacts:
    """The synaptic contacts of one projection between one presynaptic and one postsynaptic cell type."""

    name: str
    presynaptic: str
    postsynaptic: str
    pre_cells: NDArray[np.int32]  # (contacts,): a cell's index within its type
    post_cells: NDArray[np.int32]  # (contacts,)


@dataclass(frozen=True, eq=False)
class CircuitData:
    """A compiled circuit. ``positions`` lacks the types whose cells are nowhere in space."""

    configuration: Tree
    counts: dict[str, int]
    positions: dict[str, NDArray[np.float64]]  # (cells, 3), µm
    projections: tuple[Contacts, ...]
    compilation: str | None = None  # BSB's id of the compiled file, where it has one


@dataclass(frozen=True, eq=False)
class Recording:
    """The spikes one recorder took from the cells of one type. ``cells`` holds the silent ones too."""

    recorder: str
    cell_type: str
    cells: NDArray[np.int64]  # (cells,): indices within the type, ascending, each once
    spike_times: NDArray[np.float64]  # (spikes,), ms
    spike_cells: NDArray[np.int64]  # (spikes,): which of ``cells`` fired


@dataclass(frozen=True, eq=False)
class Trace:
    """What one multimeter read of one quantity in the cells of one type, in samples of equal distance.

    The first sample is one step after ``start``.
    """

    recorder: str
    cell_type: str
    quantity: str
    unit: str
    step: float  # ms
    cells: NDArray[np.int64]  # (cells,): indices within the type, ascending, each once
    values: NDArray[np.float64]  # (samples, cells)
    start: float = 0.0  # ms, from the start of the simulation


@dataclass(frozen=True, eq=False)
class Activity:
    """One finished simulation. ``configuration`` is the tree of the simulation as it was run."""

    simulation: str
    duration: float  # ms
    configuration: Tree
    recordings: tuple[Recording, ...]
    traces: tuple[Trace, ...] = ()
    compilation: str | None = None  # of the circuit it ran on, where that is known
