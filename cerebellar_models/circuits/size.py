"""Closed-form numbers of a configuration: how many cells it will hold, and whether that is enough."""

from typing import Any

from cerebellar_models.errors import UserError

Tree = dict[str, Any]

# Placement rounds at random per chunk, so a population keeps its rule's minimum only with this much to spare.
_SPARE_FIBRES = 1
# A population of a single recorded cell is one bsb-nest 8.0 cannot record.
_FEWEST_CELLS = 2


def layer_thickness(tree: Tree, layer: str) -> float:
    """Thickness in µm."""
    return float(tree["partitions"][layer]["thickness"])


def layer_floor(tree: Tree, layer: str) -> float:
    """Height z of the bottom of a layer of a stack that starts at z = 0, µm."""
    order = _stack_of(tree, layer)
    return sum(layer_thickness(tree, below) for below in order[: order.index(layer)])


def circuit_height(tree: Tree) -> float:
    """Height of the stack of layers, µm."""
    return sum(float(partition["thickness"]) for partition in tree["partitions"].values())


def target_counts(tree: Tree) -> dict[str, float]:
    """Expected number of cells per type, from densities and ratios, in a tree whose extent is set."""
    x, y = float(tree["network"]["x"]), float(tree["network"]["y"])
    layers_of = {
        cell_type: placement["partitions"]
        for placement in tree["placement"].values()
        for cell_type in placement["cell_types"]
    }

    def count(cell_type: str) -> float:
        spatial = tree["cell_types"][cell_type]["spatial"]
        layers = layers_of[cell_type]
        if "count_ratio" in spatial:
            return float(spatial["count_ratio"]) * count(spatial["relative_to"])
        if "planar_density" in spatial:
            return float(spatial["planar_density"]) * x * y * len(layers)
        return float(spatial["density"]) * x * y * sum(layer_thickness(tree, layer) for layer in layers)

    return {cell_type: count(cell_type) for cell_type in tree["cell_types"]}


def check_large_enough(tree: Tree) -> None:
    """:raises UserError: too few cells for a rule that asks for several, or for a population to exist at all."""
    counts = target_counts(tree)
    x, y = float(tree["network"]["x"]), float(tree["network"]["y"])
    needs = dict.fromkeys(counts, float(_FEWEST_CELLS))
    for rule in tree["connectivity"].values():
        for fibre in rule.get("pre_cell_types", ()):
            needs[fibre] = max(needs[fibre], rule.get("convergence", 1) + _SPARE_FIBRES)
    expected = {cell_type: _placed(tree, cell_type, number) for cell_type, number in counts.items()}
    short = [
        f"about {expected[cell_type]:.1f} {cell_type} where {needed:g} are needed"
        for cell_type, needed in needs.items()
        if expected[cell_type] < needed
    ]
    if short:
        raise UserError(
            f"size: {x:g} x {y:g} µm is too small: it holds {', '.join(short)}; give a larger x or y"
        )


def _placed(tree: Tree, cell_type: str, target: float) -> float:
    """The target, less what a row placement loses at the edges of a narrow circuit."""
    for placement in tree["placement"].values():
        if cell_type in placement["cell_types"] and "spacing_x" in placement:
            width, spacing = float(tree["network"]["x"]), float(placement["spacing_x"])
            radius = float(tree["cell_types"][cell_type]["spatial"]["radius"])
            lattice = spacing * max(1, -(-width // spacing))
            surplus = 1 + (lattice % width) / width
            return max(0.0, target * surplus * min(1.0, (width - 2 * radius) / (lattice - 2 * radius)))
    return target


def _stack_of(tree: Tree, layer: str) -> list[str]:
    for region in tree["regions"].values():
        if layer in region["children"]:
            return region["children"]
    raise KeyError(layer)
