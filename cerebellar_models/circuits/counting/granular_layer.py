"""Numbers of the granular layer's rules that need more than one line of geometry."""

import numpy as np

from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.populations import boxes_of

# Extent and cells of the layer's sample on which a rule's draws are repeated: more gain less than 2 %.
_SIDE_UM = 250.0
_CELLS = 150
_OTHERS = 30


def pairs_per_contact(
    tree: Node,
    target: str,
    kinds: list[str],
    *,
    taken: int,
    within: float,
    reach: float,
    convergence: float,
) -> float:
    """Pairs of a Golgi and a granule cell for each glomerulus they share: several shared ones are one pair.

    :param taken: how many glomeruli the Golgi cell takes at most, of those ``within`` µm, nearest first.
    :param convergence: glomeruli of a granule cell, all of them ``reach`` µm away at most.
    """
    rng = np.random.default_rng(1)
    low, high = _corner_of(tree, target)
    cells, others = rng.uniform(low, high, (_CELLS, 3)), rng.uniform(low, high, (_OTHERS, 3))
    glomeruli = np.concatenate([_scatter(tree, kind, low, high, rng) for kind in kinds])
    distances = _distances(others, glomeruli)
    last = np.sort(distances, axis=1)[:, min(taken, len(glomeruli)) - 1]
    takes = distances <= np.minimum(last, within)[:, None]
    near = _distances(cells, glomeruli) <= reach
    chance = near.astype(float) @ takes.T / np.maximum(near.sum(axis=1), 1)[:, None]
    whole = max(convergence, 1.0)
    shared = np.mean(chance * whole)
    return float(np.mean(1 - (1 - chance) ** whole) / shared) if shared else 1.0  # none is shared twice


def _corner_of(tree: Node, cell_type: str) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner of a part of the layer in which a population lies, µm."""
    box = boxes_of(tree, cell_type)[0]
    low = np.array(box.low)
    return low, np.minimum(box.high, [low[0] + _SIDE_UM, low[1] + _SIDE_UM, np.inf])


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(one[:, None] - other, axis=2)
    return lengths


def shares_of_kinds(rule: Node, tree: Node, target: str) -> dict[str, float]:
    """Which share of a granule cell's glomeruli is of each kind.

    A cell takes a glomerulus each of different fibres, all fibres within reach being alike: so it is the number of
    fibres within reach that counts. They are counted on a sample of the layer with as many fibres and glomeruli.
    """
    rng = np.random.default_rng(1)
    low, high = _corner_of(tree, target)
    cells = rng.uniform(low, high, (_CELLS, 3))
    reached = {}
    for kind in rule.node("presynaptic").names("cell_types"):
        giving = _rule_onto(tree, rule.names("pre_glom_strats"), kind)
        (fibre,) = giving.node("presynaptic").names("cell_types")
        glomeruli, sources = (_scatter(tree, name, low, high, rng) for name in (kind, fibre))
        owner = _owners(giving, glomeruli, sources, rng)
        near = _distances(cells, glomeruli) <= rule.number("radius")
        reached[kind] = float(np.mean([len(np.unique(owner[row])) for row in near]))
    total = sum(reached.values())
    if not total:
        raise Uncounted(f"no glomerulus lies within reach of {target}")
    return {kind: number / total for kind, number in reached.items()}


def _rule_onto(tree: Node, names: list[str], kind: str) -> Node:
    for name in names:
        rule = tree.node("connectivity").node(name)
        before, after = (rule.node(side).names("cell_types") for side in ("presynaptic", "postsynaptic"))
        if kind in after and len(before) == 1:
            return rule
    raise Uncounted(f"which fibres {kind} belongs to")


def _scatter(
    tree: Node, cell_type: str, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    box = boxes_of(tree, cell_type)[0]
    count = max(1, round(box.cells / box.volume * float(np.prod(np.subtract(high, low)))))
    return rng.uniform(low, high, (count, 3))


def _owners(rule: Node, glomeruli: np.ndarray, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The fibre of each glomerulus, as :mod:`cerebellar_models.connectome.to_glomerulus` draws it."""
    offsets = np.abs(glomeruli[:, None] - sources)
    distances = np.linalg.norm(offsets, axis=2)
    if "x_length" in rule:
        near = (offsets[..., 0] <= rule.number("x_length")) & (offsets[..., 1] <= rule.number("y_length"))
    else:
        near = distances <= rule.number("radius")
    count = near.sum(axis=1)
    share = (np.exp(-2 * rng.random(len(glomeruli))) - np.exp(-2)) / (1 - np.exp(-2))
    rank = np.minimum((count * share).astype(int), np.maximum(count - 1, 0))
    sorting = np.where(near | (count == 0)[:, None], distances, np.inf)
    owners: np.ndarray = np.argsort(sorting, axis=1)[np.arange(len(glomeruli)), rank]
    return owners
