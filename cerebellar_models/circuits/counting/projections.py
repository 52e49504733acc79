"""Expected connections of each connection rule, in closed form. One function per rule.

Each counts what its rule's docstring in :mod:`cerebellar_models.connectome` (or BSB) promises, for populations spread
evenly over their layers.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cerebellar_models.circuits.counting import granular_layer, overlap
from cerebellar_models.circuits.counting.labelled_points import Morphology, read_morphology
from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.overlap import Box
from cerebellar_models.circuits.counting.populations import boxes_of, placements_of, spatial_of

Pair = tuple[str, str]


@dataclass(frozen=True)
class Projection:
    """Expected connections from one cell type to another by one rule."""

    rule: str
    source: str
    target: str
    pairs: float
    """connected pairs of cells; NEST makes one connection of each"""
    contacts: float
    """synapses; rows of the compiled file"""
    candidates: float = 0.0
    """pairs of cells whose bounding boxes meet, of rules that look at morphologies"""


@dataclass(frozen=True)
class Counted:
    """What a rule may need to know besides itself: the configuration and the rules counted before."""

    tree: Node
    earlier: dict[str, dict[Pair, Projection]]

    def boxes(self, cell_type: str) -> list[Box]:
        return boxes_of(self.tree, cell_type)

    def cells(self, cell_type: str) -> float:
        return sum(box.cells for box in self.boxes(cell_type))

    def some_cells(self, cell_type: str) -> float:
        """:raises Uncounted: there are none, of which a rule would take a share."""
        return _some(self.cells(cell_type), cell_type)

    def rules(self, names: list[str]) -> list[dict[Pair, Projection]]:
        """:raises Uncounted: one of them could not be counted."""
        for name in names:
            if name not in self.earlier:
                raise Uncounted(f"{name}, on which it rests, is not known")
        return [self.earlier[name] for name in names]


Numbers = dict[Pair, tuple[float, float, float]]
"""Pairs, contacts and candidates by source and target"""


def _single(pairs: float) -> tuple[float, float, float]:
    """One contact a pair."""
    return pairs, pairs, 0.0


def _types(rule: Node) -> tuple[list[str], list[str]]:
    return rule.node("presynaptic").names("cell_types"), rule.node("postsynaptic").names("cell_types")


def _labelled(rule: Node, side: str, cell_type: str, tree: Node) -> float:
    """Share of a population that carries a label the rule asks for."""
    wanted = rule.node(side).names("labels", optional=True)
    if not wanted:
        return 1.0
    for hook in tree.nodes("after_placement", optional=True).values():
        labels = hook.names("labels", optional=True)
        if cell_type in hook.names("cell_types", optional=True) and set(wanted) & set(labels):
            return len(set(wanted) & set(labels)) / len(labels)
    raise Uncounted(f"how many {cell_type} carry {', '.join(wanted)}")


def _sources(rule: Node, known: Counted) -> dict[str, float]:
    return {
        name: known.cells(name) * _labelled(rule, "presynaptic", name, known.tree) for name in _types(rule)[0]
    }


def _targets(rule: Node, known: Counted) -> dict[str, float]:
    return {
        name: known.cells(name) * _labelled(rule, "postsynaptic", name, known.tree)
        for name in _types(rule)[1]
    }


def _some(cells: float, cell_type: str) -> float:
    if not cells:
        raise Uncounted(f"there are no {cell_type}")
    return cells


def _shared(number: float, among: dict[str, float]) -> dict[str, float]:
    total = sum(among.values())
    return {name: number * share / total for name, share in among.items()} if total else {}


def all_to_all(rule: Node, known: Counted) -> Numbers:
    affinity = rule.number("affinity", 1.0)
    return {
        (source, target): _single(affinity * some * others)
        for source, some in _sources(rule, known).items()
        for target, others in _targets(rule, known).items()
    }


def fixed_indegree(rule: Node, known: Counted) -> Numbers:
    sources = _sources(rule, known)
    return {
        (source, target): _single(number)
        for target, cells in _targets(rule, known).items()
        for source, number in _shared(rule.number("indegree") * cells, sources).items()
    }


def fixed_outdegree(rule: Node, known: Counted) -> Numbers:
    targets = _targets(rule, known)
    return {
        (source, target): _single(number)
        for source, cells in _sources(rule, known).items()
        for target, number in _shared(rule.number("outdegree") * cells, targets).items()
    }


def one_fibre_each(rule: Node, known: Counted) -> Numbers:
    sources = _sources(rule, known)
    return {
        (source, target): _single(number)
        for target, cells in _targets(rule, known).items()
        for source, number in _shared(cells, sources).items()
    }


def glomeruli_of_granule_cells(rule: Node, known: Counted) -> Numbers:
    targets, kinds = _targets(rule, known), _types(rule)[0]
    shares = dict.fromkeys(kinds, 1.0)
    if len(kinds) > 1 and targets:
        shares = granular_layer.shares_of_kinds(rule, known.tree, next(iter(targets)))
    return {
        (source, target): _single(rule.number("convergence") * cells * share)
        for target, cells in targets.items()
        for source, share in shares.items()
    }


def all_glomeruli_near(rule: Node, known: Counted) -> Numbers:
    near = overlap.sphere(rule.number("radius"))
    numbers: Numbers = {}
    for source in _types(rule)[0]:
        for target in _types(rule)[1]:
            pairs = overlap.expected_pairs(known.boxes(source), known.boxes(target), *near)
            pairs *= _labelled(rule, "presynaptic", source, known.tree)
            pairs *= _labelled(rule, "postsynaptic", target, known.tree)
            numbers[source, target] = _single(pairs)
    return numbers


def through_glomeruli(rule: Node, known: Counted) -> Numbers:
    """Each glomerulus a Golgi cell takes brings a contact onto each cell it excites."""
    kinds, radius = rule.names("glom_cell_types"), rule.number("radius")
    glomeruli = _some(sum(known.cells(kind) for kind in kinds), "glomeruli")
    excited = known.rules(rule.names("glom_post_strats"))
    numbers: Numbers = {}
    for source, cells in _sources(rule, known).items():
        within = sum(
            overlap.expected_pairs(known.boxes(kind), known.boxes(source), *overlap.sphere(radius))
            for kind in kinds
        )
        taken = min(rule.number("divergence"), within / known.some_cells(source), glomeruli)
        for target, others in _targets(rule, known).items():
            excitation = sum(
                projection.contacts
                for rules in excited
                for (kind, onto), projection in rules.items()
                if onto == target and kind in kinds
            )
            contacts = cells * taken * excitation / glomeruli
            shared = granular_layer.pairs_per_contact(
                known.tree,
                target,
                kinds,
                taken=round(taken),
                within=radius,
                reach=_reach(rule, known.tree, target),
                convergence=excitation / _some(others, target),
            )
            numbers[source, target] = (contacts * shared, contacts, 0.0)
    return numbers


def _reach(rule: Node, tree: Node, target: str) -> float:
    """Distance from a cell to the glomeruli that excite it, µm."""
    exciting = rule.names("glom_post_strats")
    for name in exciting:
        other = tree.node("connectivity").node(name)
        if target in _types(other)[1]:
            return other.number("radius")
    raise Uncounted(f"none of {', '.join(exciting)} excites {target}")


def glomerulus_of_brush_cells(rule: Node, known: Counted) -> Numbers:
    ratios = rule.numbers("ratios_ubc")
    return {
        (source, target): _single(number)
        for target, cells in _targets(rule, known).items()
        for source, number in _shared(cells, ratios).items()
    }


def through_purkinje_cells(rule: Node, known: Counted) -> Numbers:
    """A contact for each climbing fibre, Purkinje cell and interneuron that inhibits this cell."""
    purkinje = rule.text("pre_cell_pc")
    climbing = known.rules(rule.names("io_pc_connectivity"))
    inhibiting = known.rules(rule.names("mli_pc_connectivity"))
    numbers: Numbers = {}
    for source, cells in _sources(rule, known).items():
        fibres_per_cell = sum(
            rules[source, purkinje].pairs for rules in climbing if (source, purkinje) in rules
        ) / known.some_cells(purkinje)
        for target, others in _targets(rule, known).items():
            inhibited = sum(
                rules[target, purkinje].pairs for rules in inhibiting if (target, purkinje) in rules
            )
            contacts = inhibited * fibres_per_cell
            _some(others * cells, f"pairs of {source} and {target}")
            distinct = others * cells * -math.expm1(-contacts / others / cells)
            numbers[source, target] = (min(contacts, distinct), contacts, 0.0)
    return numbers


def overlapping_trees(rule: Node, known: Counted, itself: bool) -> Numbers:
    """:param itself: a cell may contact itself where the rule's settings do not say."""
    itself = bool(rule.get("self_connections", itself))
    affinity, mean = rule.number("affinity", 1.0), mean_contacts(rule, 1, whole=math.floor)
    numbers: Numbers = {}
    for source in _types(rule)[0]:
        for target in _types(rule)[1]:
            boxes = known.boxes(source), known.boxes(target)
            geometry = _geometry(rule, known.tree, source, target)
            same = source == target
            pairs = overlap.expected_pairs(*boxes, geometry.touches, geometry.reach, same)
            candidates = overlap.expected_pairs(*boxes, _always, geometry.boxes_meet, same)
            if same and itself:
                pairs += known.cells(source) * float(geometry.touches(np.zeros((1, 3)))[0])
            share = _labelled(rule, "presynaptic", source, known.tree) * _labelled(
                rule, "postsynaptic", target, known.tree
            )
            numbers[source, target] = (
                affinity * pairs * share,
                affinity * pairs * share * mean,
                candidates * share,
            )
    return numbers


@dataclass(frozen=True)
class _Geometry:
    touches: overlap.Touches
    reach: np.ndarray
    boxes_meet: np.ndarray


def _always(displacements: np.ndarray) -> np.ndarray:
    return np.ones(len(displacements), dtype=bool)


def _geometry(rule: Node, tree: Node, source: str, target: str) -> _Geometry:
    """Where the labelled trees of two cells touch, whichever of them the grid is anchored at."""
    sides = []
    for side, cell_type, voxels in (
        ("presynaptic", source, int(rule.number("voxels_pre", 50))),
        ("postsynaptic", target, int(rule.number("voxels_post", 50))),
    ):
        morphology = _morphology_of(tree, cell_type)
        labels = tuple(rule.node(side).names("morphology_labels", optional=True))
        sides.append((morphology, labels, voxels))
    extents = [morphology.extent for morphology, _, _ in sides]
    boxes_meet = np.array([extents[0][0] - extents[1][1], extents[0][1] - extents[1][0]])
    if rule.get("favor_cache", "pre") == "pre":
        trees = _trees(*sides)
        touches, reach = trees.touch, trees.reach
    else:
        trees = _trees(*reversed(sides))
        touches, reach = (lambda displacements: trees.touch(-displacements)), -trees.reach[::-1]
    # Voxels may reach beyond the boxes, but only cells whose boxes meet are looked at.
    low, high = np.maximum(reach[0], boxes_meet[0]), np.minimum(reach[1], boxes_meet[1])
    return _Geometry(touches, np.array([low, high]), boxes_meet)


@functools.lru_cache(maxsize=64)
def _trees(
    first: tuple[Morphology, tuple[str, ...], int], second: tuple[Morphology, tuple[str, ...], int]
) -> overlap.VoxelisedTrees:
    cut = []
    for morphology, labels, voxels in (first, second):
        points = morphology.labelled(labels)
        if not len(points):
            raise Uncounted(f"a morphology has no point labelled {', '.join(labels)}")
        cut += [points, overlap.voxel_size(morphology.extent, voxels)]
    return overlap.VoxelisedTrees(*cut)


def _morphology_of(tree: Node, cell_type: str) -> Morphology:
    """:raises Uncounted: the cells do not share one, or are turned each in its own way."""
    names = spatial_of(tree, cell_type).get("morphologies") or []
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise Uncounted(f"{cell_type} has not one morphology, or one that is selected")
    for placement in placements_of(tree, cell_type):
        if placement.node("distribute", optional=True).get("rotations"):
            raise Uncounted(f"{cell_type} is rotated")
    entries = tree.get("morphologies")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        if entry.get("name", str(entry.get("file")).rpartition("/")[2].removesuffix(".swc")) == names[0]:
            try:
                return read_morphology(entry)
            except ValueError as error:
                raise Uncounted(str(error)) from error
    raise Uncounted(f"{cell_type}: there is no morphology {names[0]}")


def mean_contacts(
    rule: Node, otherwise: float | None = None, whole: Callable[[float], float] | None = None
) -> float:
    """Mean of the number or distribution of a pair's contacts, and of its whole part where draws are rounded down.

    :param otherwise: what it is where the rule does not say.
    :raises Uncounted: a distribution that is not known.
    """
    if not isinstance(rule.get("contacts"), dict):
        return rule.number("contacts", otherwise)
    contacts = rule.node("contacts")
    name = contacts.text("distribution")
    if name == "constant":
        return contacts.number("constant")
    if name == "norm":  # the others need scipy.stats, which takes a second to load
        mean = contacts.signed("loc", 0.0)
    else:
        settings = {key: value for key, value in contacts.content.items() if key not in ("distribution", "n")}
        mean = _mean_of_scipy(name, settings)
    return mean - 0.5 if whole is math.floor else mean


def _mean_of_scipy(name: str, settings: dict[str, Any]) -> float:
    from scipy import stats

    distribution = getattr(stats, name, None)
    if not isinstance(distribution, stats.rv_continuous | stats.rv_discrete):
        raise Uncounted(f"distribution {name} is not known")
    try:
        return float(distribution(**settings).mean())
    except (TypeError, ValueError) as error:  # as scipy tells of settings that are missing or not its own
        raise Uncounted(f"distribution {name}: {error}") from error
