"""What rules look up: positions of a population, earlier rules and their connections, tips of a morphology.

Cells are numbered through a whole population, chunk after chunk, as BSB numbers them "globally".
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from bsb import (
    CellType,
    ConnectionStrategy,
    ConnectivityError,
    ConnectivitySet,
    Morphology,
    Scaffold,
    config,
    refs,
)


def earlier_rule() -> Any:
    """Attribute of a rule or a hook that names one rule under `connectivity`."""
    return config.ref(refs.connectivity_ref, required=True)


def earlier_rules() -> Any:
    """The same of one rule or several."""
    return config.reflist(refs.connectivity_ref, required=True)


def named_cell_type() -> Any:
    """Attribute of a rule or a hook that names one cell type."""
    return config.ref(refs.cell_type_ref, required=True)


def named_cell_types() -> Any:
    """The same of one cell type or several."""
    return config.reflist(refs.cell_type_ref, required=True)


def positions_of(cell_types: list[CellType]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) µm of all cells of some types, and the first row (types + 1,) of each type."""
    positions = [cell_type.get_placement_set().load_positions().reshape(-1, 3) for cell_type in cell_types]
    return np.concatenate(positions), np.concatenate(([0], np.cumsum([len(block) for block in positions])))


def output_sets(scaffold: Scaffold, strategy: ConnectionStrategy) -> list[ConnectivitySet]:
    """The sets of connections a rule has written; a pair of its cell types that it left unconnected has none.

    :raises ConnectivityError: it has written none at all.
    """
    tags = strategy.get_output_names()
    written = {connections.tag: connections for connections in scaffold.get_connectivity_sets()}
    found = [written[tag] for tag in tags if tag in written]
    if not found:
        raise ConnectivityError(f"'{strategy.name}' holds no connections yet: does the rule depend on it?")
    return found


def connections_from(
    scaffold: Scaffold, strategy_names: list[str]
) -> Iterator[tuple[CellType, CellType, np.ndarray, np.ndarray]]:
    """What earlier strategies connected: both cell types, and locations (n, 3) with global cell numbers.

    :raises ConnectivityError: one of them has connected nothing.
    """
    for name in strategy_names:
        for connections in output_sets(scaffold, scaffold.connectivity[name]):
            source, target = connections.load_connections().as_globals().all()
            yield connections.pre_type, connections.post_type, source, target


def without_point(cells: np.ndarray) -> np.ndarray:
    """Locations (n, 3) of contacts that have no place on the cell's morphology."""
    return np.column_stack((cells, np.full((len(cells), 2), -1)))


def tips_of(morphology: Morphology, labels: list[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the branches that carry a label: positions (n, 3) relative to the soma, and (branch, point) (n, 2)."""
    points, locations = [], []
    for number, branch in enumerate(morphology.branches):
        if branch.is_terminal and (not labels or branch.get_label_mask(labels)[-1]):
            points.append(branch.points[-1])
            locations.append((number, len(branch) - 1))
    if not points:
        raise ConnectivityError(f"a morphology has no branch that ends in {' or '.join(labels or ['a tip'])}")
    return np.array(points), np.array(locations)


def first_morphology(cell_type: CellType) -> Morphology:
    """The morphology of a population whose cells share one.

    :raises ConnectivityError: there is none, or several.
    """
    loaders = list(cell_type.get_placement_set().load_morphologies()._loaders)
    if len(loaders) != 1:
        raise ConnectivityError(
            f"{cell_type.name} needs exactly one morphology for this rule, it has {len(loaders)}"
        )
    return loaders[0].load()
