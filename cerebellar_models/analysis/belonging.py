"""Whether what was recorded was recorded in a given circuit. Values in, a reason out."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.analysis.data import Activity, CircuitData
from cerebellar_models.tree import Tree


def against_circuit(activity: Activity, circuit: CircuitData) -> str | None:
    """Why the recordings are not of this circuit, or not whole; None if nothing speaks against them."""
    if (
        None not in (activity.compilation, circuit.compilation)
        and activity.compilation != circuit.compilation
    ):
        return "recorded in another compilation of a circuit"
    for recorder, cell_type, cells in _recorded(activity):
        count = circuit.counts.get(cell_type, 0)
        if len(cells) and cells[-1] >= count:
            return f"{recorder} recorded cell {cells[-1]} of {cell_type}, of which this circuit has {count}"
        if cell_type in _whole_types(activity.configuration, recorder) and len(cells) != count:
            return f"{recorder} recorded {len(cells)} of the {count} cells of {cell_type}"
    return None


def _recorded(activity: Activity) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    for recording in activity.recordings:
        yield recording.recorder, recording.cell_type, recording.cells
    for trace in activity.traces:
        yield trace.recorder, trace.cell_type, trace.cells


def _whole_types(simulation: Tree, recorder: str) -> list[str]:
    """The types of which a recorder takes every cell, as its configuration tells."""
    targets = simulation.get("devices", {}).get(recorder, {}).get("targetting", {})
    if (
        not isinstance(targets, dict)
        or targets.get("strategy") != "cell_model"
        or {"fraction", "count"} & set(targets)
    ):
        return []
    return list(targets.get("cell_models", ()))
