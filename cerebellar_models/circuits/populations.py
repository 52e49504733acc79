"""How many cells a configuration will hold, and over which boxes they are spread."""

import math
from typing import Any

from cerebellar_models.circuits.overlap import Box

Tree = dict[str, Any]

# A population without extent, such as cells as high as their layer, is spread over this much, µm.
_FLAT = 0.01
# Share of a chunk by which a box may touch the next one without reaching into it.
_EDGE = 1e-6


class Uncounted(Exception):
    """Something of a configuration about which nothing is known in advance; says what and why."""


# What a configuration that BSB may well read, in ways not known here, makes of counting it.
NOT_UNDERSTOOD = (Uncounted, KeyError, TypeError, ValueError, AttributeError, ArithmeticError)


def layer_thickness(tree: Tree, layer: str) -> float:
    """Thickness in µm."""
    return float(tree["partitions"][layer]["thickness"])


def layer_floor(tree: Tree, layer: str) -> float:
    """Height z of the bottom of a layer: its own origin, or its place in a stack that starts at z = 0, µm."""
    if "origin" in tree["partitions"][layer]:
        return float(tree["partitions"][layer]["origin"][2])
    order = _stack_of(tree, layer)
    return sum(layer_thickness(tree, below) for below in order[: order.index(layer)])


def circuit_height(tree: Tree) -> float:
    """Height of all layers together, above and below z = 0, µm."""
    return sum(float(partition["thickness"]) for partition in tree["partitions"].values())


def chunk_sides(tree: Tree) -> tuple[float, float, float]:
    """Extent of a chunk in x, y, z, µm; BSB's own where the configuration does not say."""
    sides = tree["network"].get("chunk_size", 100.0)
    x, y, z = sides if isinstance(sides, list | tuple) else (sides,) * 3
    return float(x), float(y), float(z)


def layers_of(tree: Tree, cell_type: str) -> list[str]:
    """The layers in which a population is placed.

    :raises Uncounted: no placement, several, or not in layers.
    """
    placements = placements_of(tree, cell_type)
    if len(placements) != 1:
        raise Uncounted(f"{cell_type} has {len(placements)} placements")
    layers = placements[0].get("partitions") or ()
    for layer in layers:
        partition = tree["partitions"].get(layer) or {}
        if partition.get("type", "layer") != "layer" or "thickness" not in partition:
            raise Uncounted(f"{cell_type} lies in {layer}, which is no layer of known thickness")
    if not layers:
        raise Uncounted(f"{cell_type} is placed in no layer")
    return list(layers)


def placements_of(tree: Tree, cell_type: str) -> list[Tree]:
    """The placements that name a cell type."""
    return [each for each in tree["placement"].values() if cell_type in each.get("cell_types", ())]


def expected_count(tree: Tree, cell_type: str, above: tuple[str, ...] = ()) -> float:
    """Target of a population, from its density or ratio.

    :raises Uncounted: the configuration does not say it in a way that is known here.
    """
    if cell_type in above or cell_type not in tree["cell_types"]:
        raise Uncounted(f"{cell_type} is not there, or relative to itself")
    spatial = tree["cell_types"][cell_type].get("spatial") or {}
    overrides = [(each.get("overrides") or {}).get(cell_type) for each in placements_of(tree, cell_type)]
    if any(overrides):
        raise Uncounted(f"{cell_type} is placed with overrides")
    if "count" in spatial:
        return float(spatial["count"])
    for key in ("count_ratio", "local_count_ratio"):
        if key in spatial:
            return float(spatial[key]) * expected_count(tree, spatial["relative_to"], (*above, cell_type))
    layers = layers_of(tree, cell_type)
    surface = float(tree["network"]["x"]) * float(tree["network"]["y"])
    if "density_ratio" in spatial:
        relative = tree["cell_types"][spatial["relative_to"]]["spatial"]
        spatial = {
            key: float(relative[key]) * float(spatial["density_ratio"])
            for key in ("density", "planar_density")
            if key in relative
        }
    if "planar_density" in spatial:
        return float(spatial["planar_density"]) * surface * len(layers)
    if "density" in spatial:
        return float(spatial["density"]) * surface * sum(layer_thickness(tree, layer) for layer in layers)
    raise Uncounted(f"{cell_type} has no count, density or ratio")


def placed_count(tree: Tree, cell_type: str) -> float:
    """Expected number of cells: the target, but for what a placement in rows loses at the edges.

    :raises Uncounted: as :func:`expected_count`.
    """
    target = expected_count(tree, cell_type)
    row = row_placement(tree, cell_type)
    return target if row is None else placed_in_rows(tree, cell_type, row, target)


def row_placement(tree: Tree, cell_type: str) -> Tree | None:
    """The placement of a population that stands in rows."""
    return next((each for each in placements_of(tree, cell_type) if "spacing_x" in each), None)


def placed_in_rows(tree: Tree, cell_type: str, placement: Tree, target: float) -> float:
    """The target, less what a row placement loses at the edges of a narrow circuit."""
    width, spacing = float(tree["network"]["x"]), float(placement["spacing_x"])
    radius = float(tree["cell_types"][cell_type]["spatial"]["radius"])
    lattice = spacing * max(1, -(-width // spacing))
    surplus = 1 + (lattice % width) / width
    return max(0.0, target * surplus * min(1.0, (width - 2 * radius) / (lattice - 2 * radius)))


def boxes_of(tree: Tree, cell_type: str) -> list[Box]:
    """The population, spread evenly over a box in each of its layers.

    :raises Uncounted: how many there are, or where, is not known.
    """
    cells, layers = placed_count(tree, cell_type), layers_of(tree, cell_type)
    height = sum(layer_thickness(tree, layer) for layer in layers)
    # Rows keep their cells whole within the layer, which may just hold them.
    rim = 0.0 if row_placement(tree, cell_type) is None else _radius(tree, cell_type)
    boxes = []
    for layer in layers:
        floor, thickness = layer_floor(tree, layer), layer_thickness(tree, layer)
        far = (float(tree["network"]["x"]), float(tree["network"]["y"]), floor + thickness)
        sides = [
            (near + rim, end - rim)
            if end - near > 2 * rim + _FLAT
            else ((near + end - _FLAT) / 2, (near + end + _FLAT) / 2)
            for near, end in zip((0.0, 0.0, floor), far, strict=True)
        ]
        low, high = zip(*sides, strict=True)
        boxes.append(Box(low, high, cells * thickness / height))
    return boxes


def chunks_of(tree: Tree, cell_type: str) -> int:
    """Number of BSB's chunks in which a population may have cells.

    :raises Uncounted: as :func:`boxes_of`.
    """
    sides = chunk_sides(tree)
    return sum(
        math.prod(
            max(1, math.ceil(high / side - _EDGE) - math.floor(low / side + _EDGE))
            for low, high, side in zip(box.low, box.high, sides, strict=True)
        )
        for box in boxes_of(tree, cell_type)
    )


def _radius(tree: Tree, cell_type: str) -> float:
    return float(tree["cell_types"][cell_type]["spatial"].get("radius", 0.0))


def _stack_of(tree: Tree, layer: str) -> list[str]:
    for region in tree["regions"].values():
        if layer in region["children"]:
            children: list[str] = region["children"]
            return children
    raise Uncounted(f"{layer} lies in no region")
