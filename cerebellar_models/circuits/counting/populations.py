"""How many cells a configuration will hold, and over which boxes they are spread."""

import math

from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.overlap import Box

# A population without extent, such as cells as high as their layer, is spread over this much, µm.
_FLAT = 0.01
# Share of a chunk by which a box may touch the next one without reaching into it.
_EDGE = 1e-6


def layer_thickness(tree: Node, layer: str) -> float:
    """Thickness in µm."""
    return _layer(tree, layer).number("thickness")


def layer_floor(tree: Node, layer: str) -> float:
    """Height z of the bottom of a layer: its own origin, or its place in a stack that starts at z = 0, µm."""
    if "origin" in _layer(tree, layer):
        return _layer(tree, layer).point("origin")[2]
    order = _stack_of(tree, layer)
    return sum(layer_thickness(tree, below) for below in order[: order.index(layer)])


def circuit_height(tree: Node) -> float:
    """Height of all layers together, above and below z = 0, µm."""
    return sum(partition.number("thickness") for partition in tree.nodes("partitions").values())


def chunk_sides(tree: Node) -> tuple[float, float, float]:
    """Extent of a chunk in x, y, z, µm; BSB's own where the configuration does not say."""
    network = tree.node("network")
    if isinstance(network.get("chunk_size"), list | tuple):
        sides = network.point("chunk_size")
    else:
        sides = (network.number("chunk_size", 100.0),) * 3
    if min(sides) <= 0:
        raise Uncounted(f"not understood (network.chunk_size: {network.get('chunk_size')} is no extent)")
    return sides


def extent_of(tree: Node) -> tuple[float, float]:
    """Extent of the network in x and y, µm."""
    network = tree.node("network")
    return network.number("x"), network.number("y")


def layers_of(tree: Node, cell_type: str) -> list[str]:
    """The layers in which a population is placed.

    :raises Uncounted: no placement, several, or not in layers.
    """
    placements = placements_of(tree, cell_type)
    if len(placements) != 1:
        raise Uncounted(f"{cell_type} has {len(placements)} placements")
    layers = placements[0].names("partitions", optional=True)
    for layer in layers:
        partition = tree.node("partitions").node(layer, optional=True)
        if partition.get("type", "layer") != "layer" or "thickness" not in partition:
            raise Uncounted(f"{cell_type} lies in {layer}, which is no layer of known thickness")
    if not layers:
        raise Uncounted(f"{cell_type} is placed in no layer")
    return layers


def placements_of(tree: Node, cell_type: str) -> list[Node]:
    """The placements that name a cell type."""
    placements = tree.nodes("placement").values()
    return [each for each in placements if cell_type in each.names("cell_types", optional=True)]


def expected_count(tree: Node, cell_type: str, above: tuple[str, ...] = ()) -> float:
    """Target of a population, from its density or ratio.

    :raises Uncounted: the configuration does not say it in a way that is known here.
    """
    if cell_type in above or cell_type not in tree.node("cell_types"):
        raise Uncounted(f"{cell_type} is not there, or relative to itself")
    spatial = spatial_of(tree, cell_type)
    placements = placements_of(tree, cell_type)
    if any(each.node("overrides", optional=True).get(cell_type) for each in placements):
        raise Uncounted(f"{cell_type} is placed with overrides")
    if "count" in spatial:
        return spatial.number("count")
    for key in ("count_ratio", "local_count_ratio"):
        if key in spatial:
            other = spatial.text("relative_to")
            return spatial.number(key) * expected_count(tree, other, (*above, cell_type))
    layers = layers_of(tree, cell_type)
    x, y = extent_of(tree)
    surface = x * y
    ratio = 1.0
    if "density_ratio" in spatial:
        ratio = spatial.number("density_ratio")
        spatial = spatial_of(tree, spatial.text("relative_to"))
    if "planar_density" in spatial:
        return spatial.number("planar_density") * ratio * surface * len(layers)
    if "density" in spatial:
        thickness = sum(layer_thickness(tree, layer) for layer in layers)
        return spatial.number("density") * ratio * surface * thickness
    raise Uncounted(f"{cell_type} has no count, density or ratio")


def spatial_of(tree: Node, cell_type: str) -> Node:
    """How many there are of a cell type, how large, and of which shape."""
    return tree.node("cell_types").node(cell_type).node("spatial", optional=True)


def placed_count(tree: Node, cell_type: str) -> float:
    """Expected number of cells: the target, but for what a placement in rows loses at the edges.

    :raises Uncounted: as :func:`expected_count`.
    """
    target = expected_count(tree, cell_type)
    row = row_placement(tree, cell_type)
    return target if row is None else placed_in_rows(tree, cell_type, row, target)


def row_placement(tree: Node, cell_type: str) -> Node | None:
    """The placement of a population that stands in rows."""
    return next((each for each in placements_of(tree, cell_type) if "spacing_x" in each), None)


def placed_in_rows(tree: Node, cell_type: str, placement: Node, target: float) -> float:
    """The target, less what a row placement loses at the edges of a narrow circuit."""
    width, spacing = tree.node("network").positive("x"), placement.positive("spacing_x")
    radius = spatial_of(tree, cell_type).number("radius")
    lattice = spacing * max(1, -(-width // spacing))
    if lattice == 2 * radius:
        raise Uncounted(f"{cell_type} is as wide as all its rows")
    surplus = 1 + (lattice % width) / width
    return max(0.0, target * surplus * min(1.0, (width - 2 * radius) / (lattice - 2 * radius)))


def boxes_of(tree: Node, cell_type: str) -> list[Box]:
    """The population, spread evenly over a box in each of its layers.

    :raises Uncounted: how many there are, or where, is not known.
    """
    cells, layers = placed_count(tree, cell_type), layers_of(tree, cell_type)
    height = sum(layer_thickness(tree, layer) for layer in layers)
    if not height:
        raise Uncounted(f"{cell_type} lies in layers without thickness")
    # Rows keep their cells whole within the layer, which may just hold them.
    rim = 0.0
    if row_placement(tree, cell_type) is not None:
        rim = spatial_of(tree, cell_type).number("radius", 0.0)
    boxes = []
    for layer in layers:
        floor, thickness = layer_floor(tree, layer), layer_thickness(tree, layer)
        far = (*extent_of(tree), floor + thickness)
        sides = [
            (near + rim, end - rim)
            if end - near > 2 * rim + _FLAT
            else ((near + end - _FLAT) / 2, (near + end + _FLAT) / 2)
            for near, end in zip((0.0, 0.0, floor), far, strict=True)
        ]
        low, high = zip(*sides, strict=True)
        boxes.append(Box(low, high, cells * thickness / height))
    return boxes


def chunks_of(tree: Node, cell_type: str) -> int:
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


def _layer(tree: Node, layer: str) -> Node:
    return tree.node("partitions").node(layer)


def _stack_of(tree: Node, layer: str) -> list[str]:
    for region in tree.nodes("regions").values():
        if layer in (children := region.names("children")):
            return children
    raise Uncounted(f"{layer} lies in no region")
