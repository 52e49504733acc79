"""Numbers of a compiled circuit: how many cells, how they are connected. Values in, values out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.analysis.data import CircuitData, Contacts
from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.populations import (
    extent_of,
    layer_thickness,
    placements_of,
    spatial_of,
)
from cerebellar_models.circuits.counting.size import target_counts

_UM_PER_MM = 1000.0


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over a whole population (divisor n); none for an empty one."""

    mean: float | None
    sd: float | None


@dataclass(frozen=True)
class CellNumbers:
    """One cell type, as placed and as its configuration asks for. ``deviation`` is relative to the target."""

    cell_type: str
    count: int
    target: float | None
    deviation: float | None
    density: float | None
    target_density: float | None
    density_unit: str | None  # cells per volume, or per area for a planar density


@dataclass(frozen=True)
class ProjectionNumbers:
    """One projection.

    A contact is one synapse in the circuit; a connection is a pair of cells with at least one contact,
    which is what NEST simulates. Convergence is the number of distinct presynaptic cells of a postsynaptic
    cell, divergence the number of distinct postsynaptic cells of a presynaptic one; both count the cells
    that have none.
    """

    name: str
    presynaptic: str
    postsynaptic: str
    contacts: int
    connections: int
    contacts_per_connection: float | None
    convergence: Spread
    divergence: Spread
    self_connections: int  # connections of a cell with itself


@dataclass(frozen=True)
class Structure:
    """All cell types and projections; ``absent`` names the configured projections the file does not hold."""

    cells: tuple[CellNumbers, ...]
    projections: tuple[ProjectionNumbers, ...]
    absent: tuple[str, ...]


def structure(circuit: CircuitData) -> Structure:
    """Cell types and projections in the order of the configuration."""
    tree = circuit.configuration
    order = {name: rank for rank, name in enumerate(tree["connectivity"])}
    projections = sorted(circuit.projections, key=lambda contacts: _rank(contacts, order))
    return Structure(
        cells=tuple(_cells(circuit, cell_type) for cell_type in tree["cell_types"]),
        projections=tuple(projection_numbers(contacts, circuit.counts) for contacts in projections),
        absent=tuple(name for name in order if not any(_belongs(contacts, name) for contacts in projections)),
    )


def projection_numbers(contacts: Contacts, counts: dict[str, int]) -> ProjectionNumbers:
    """:param counts: number of cells per type, with or without contacts."""
    presynaptic, postsynaptic = counts[contacts.presynaptic], counts[contacts.postsynaptic]
    pairs = np.unique(contacts.pre_cells.astype(np.int64) * max(postsynaptic, 1) + contacts.post_cells)
    pre_cells, post_cells = np.divmod(pairs, max(postsynaptic, 1))
    same_type = contacts.presynaptic == contacts.postsynaptic
    return ProjectionNumbers(
        name=contacts.name,
        presynaptic=contacts.presynaptic,
        postsynaptic=contacts.postsynaptic,
        contacts=len(contacts.pre_cells),
        connections=len(pairs),
        contacts_per_connection=len(contacts.pre_cells) / len(pairs) if len(pairs) else None,
        convergence=spread(np.bincount(post_cells, minlength=postsynaptic)),
        divergence=spread(np.bincount(pre_cells, minlength=presynaptic)),
        self_connections=int(np.count_nonzero(pre_cells == post_cells)) if same_type else 0,
    )


def spread(values: NDArray[Any]) -> Spread:
    if not len(values):
        return Spread(None, None)
    return Spread(float(np.mean(values)), float(np.std(values)))


def _belongs(contacts: Contacts, rule: str) -> bool:
    """BSB names the contacts of a rule with several cell types ``<rule>_<pre>_to_<post>``."""
    return contacts.name in (rule, f"{rule}_{contacts.presynaptic}_to_{contacts.postsynaptic}")


def _rank(contacts: Contacts, order: dict[str, int]) -> int:
    return min((rank for rule, rank in order.items() if _belongs(contacts, rule)), default=len(order))


def _cells(circuit: CircuitData, cell_type: str) -> CellNumbers:
    count = circuit.counts[cell_type]
    target = target_counts(circuit.configuration).get(cell_type)
    extent, unit = _extent(Node(circuit.configuration), cell_type)
    return CellNumbers(
        cell_type=cell_type,
        count=count,
        target=target,
        deviation=count / target - 1 if target else None,
        density=count / extent if extent else None,
        target_density=target / extent if target is not None and extent else None,
        density_unit=unit,
    )


def _extent(tree: Node, cell_type: str) -> tuple[float, str] | tuple[None, None]:
    """Volume of the type's layers in mm³, or their area in mm² where the density is planar."""
    try:
        placements = placements_of(tree, cell_type)
        layers = [layer for placement in placements for layer in placement.names("partitions")]
        x, y = extent_of(tree)
        area = x * y / _UM_PER_MM**2
        if "planar_density" in spatial_of(tree, cell_type):
            return (area * len(layers), "1/mm²") if layers else (None, None)
        thickness = sum(layer_thickness(tree, layer) for layer in layers) / _UM_PER_MM
    except Uncounted:
        return None, None
    return (area * thickness, "1/mm³") if layers else (None, None)
