"""Whether a configuration's extent holds enough cells for its rules, before anything is placed."""

import itertools
import math
from collections import Counter

from cerebellar_models.circuits.counting.nodes import Node
from cerebellar_models.circuits.counting.populations import (
    chunk_sides,
    extent_of,
    layer_floor,
    layer_thickness,
    layers_of,
    placed_in_rows,
    row_placement,
    spatial_of,
)
from cerebellar_models.circuits.counting.size import target_counts
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

# Placement rounds at random per chunk, so a population keeps its rule's minimum only with this much to spare.
_SPARE_FIBRES = 1
# Beyond is a slip of the keyboard.
_MOST_CELLS = 1e9
# Rows of Purkinje cells need a second cell for their spacing.
_FEWEST_IN_ROWS = 2


def check_large_enough(tree: Tree) -> None:
    """:raises UserError: too few cells for a rule that asks for several, or for a population to exist."""
    circuit = Node(tree)
    x, y = extent_of(circuit)
    fibres: dict[str, int] = {}
    for rule in tree["connectivity"].values():
        for fibre in rule.get("pre_cell_types", ()):
            fibres[fibre] = max(fibres.get(fibre, 0), rule.get("convergence", 1) + _SPARE_FIBRES)
    zones = {
        cell_type: len(hook["labels"])
        for hook in tree.get("after_placement", {}).values()
        if "labels" in hook
        for cell_type in hook["cell_types"]
    }
    cells = sum(target_counts(tree).values())
    if cells > _MOST_CELLS:
        raise UserError(
            f"size: {x:g} x {y:g} µm holds {cells:.2g} cells; a circuit of more than {_MOST_CELLS:.0e} is refused"
        )
    short = []
    for cell_type, expected in target_counts(tree).items():
        needed = fibres.get(cell_type, zones.get(cell_type, 1))
        sure: float = expected if cell_type in fibres else _certain(circuit, cell_type, expected)
        if (row := row_placement(circuit, cell_type)) is not None:
            needed *= _FEWEST_IN_ROWS
            sure = expected = placed_in_rows(circuit, cell_type, row, expected)
        if sure < needed:
            short.append(f"{sure:.3g} {cell_type} for certain where {needed} must be there")
    if short:
        raise UserError(
            f"size: {x:g} x {y:g} µm is too small: it holds {', '.join(short)}; give a larger x or y"
        )
    for cell_type in tree["cell_types"]:
        if (row := row_placement(circuit, cell_type)) is not None:
            _check_rows_have_room(circuit, cell_type, row, target_counts(tree)[cell_type])


def _certain(tree: Node, cell_type: str, expected: float) -> int:
    """The fewest cells of a population that is scattered in its layers, since each chunk rounds its share."""
    chunk = chunk_sides(tree)
    bounds = [(0.0, side) for side in extent_of(tree)]
    fewest = 0
    layers = layers_of(tree, cell_type)
    for layer in layers:
        floor, thickness = layer_floor(tree, layer), layer_thickness(tree, layer)
        share = expected * thickness / sum(layer_thickness(tree, each) for each in layers)
        extents = [*bounds, (floor, floor + thickness)]
        pieces = [_pieces(*extent, side) for extent, side in zip(extents, chunk, strict=True)]
        for combination in itertools.product(*(lengths.items() for lengths in pieces)):
            fraction = math.prod(
                length / (high - low) for (length, _), (low, high) in zip(combination, extents, strict=True)
            )
            fewest += math.prod(number for _, number in combination) * math.floor(share * fraction + 1e-9)
    return fewest


def _pieces(low: float, high: float, side: float) -> Counter[float]:
    """How often each length occurs when an extent is cut at multiples of a side."""
    first, last = math.floor(low / side), math.ceil(high / side)
    if last - first < 3:
        return Counter(min(high, (n + 1) * side) - max(low, n * side) for n in range(first, last))
    ends = (min(high, (n + 1) * side) - max(low, n * side) for n in (first, last - 1))
    return Counter(ends) + Counter({side: last - first - 2})


def _check_rows_have_room(tree: Node, cell_type: str, placement: Node, target: float) -> None:
    """:raises UserError: the cells of a row would lie inside one another, which BSB refuses in the midst of placing."""
    (width, depth), spacing = extent_of(tree), placement.positive("spacing_x")
    radius = spatial_of(tree, cell_type).number("radius")
    rows = max(1, math.ceil(width / spacing))
    surplus = int((rows * spacing % width) / width * target)
    per_row = round((math.ceil(target) + surplus) / rows)
    least = 2 * radius * math.cos(math.radians(placement.signed("angle")))
    if per_row and (depth - radius) / per_row < least:
        raise UserError(
            f"size: {width:g} x {depth:g} µm leaves no room for {per_row} {cell_type} one after another in y; "
            f"give a y of at least {per_row * least + radius:.0f} µm"
        )
