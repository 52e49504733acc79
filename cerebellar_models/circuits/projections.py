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

from cerebellar_models.circuits import granular_layer, overlap
from cerebellar_models.circuits.labelled_points import Morphology, read_morphology
from cerebellar_models.circuits.overlap import Box
from cerebellar_models.circuits.populations import Tree, Uncounted, boxes_of, placements_of

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

    tree: Tree
    earlier: dict[str, dict[Pair, Projection]]

    def boxes(self, cell_type: str) -> list[Box]:
        return boxes_of(self.tree, cell_type)

    def cells(self, cell_type: str) -> float:
        return sum(box.cells for box in self.boxes(cell_type))

    def rules(self, names: list[str]) -> list[dict[Pair, Projection]]:
        """:raises Uncounted: one of them could not be counted."""
        for name in names:
            if name not in self.earlier:
                raise Uncounted(f"{name}, on which it rests, is not known")
        return [self.earlier[name] for name in names]


def count_rule(name: str, rule: Tree, known: Counted) -> dict[Pair, Projection]:
    """Its projections, by source and target.

    :raises Uncounted: nothing is known about this rule, or about what it rests on.
    """
    strategy = str(rule.get("strategy", "")).rpartition(".")[2]
    counter = _RULES.get(strategy)
    if counter is None:
        raise Uncounted(f"rule {rule.get('strategy')} is not known")
    return {pair: Projection(name, *pair, *numbers) for pair, numbers in counter(name, rule, known).items()}


Numbers = dict[Pair, tuple[float, float, float]]
"""Pairs, contacts and candidates by source and target"""


def _single(pairs: float) -> tuple[float, float, float]:
    """One contact a pair."""
    return pairs, pairs, 0.0


def _types(rule: Tree) -> tuple[list[str], list[str]]:
    return rule["presynaptic"]["cell_types"], rule["postsynaptic"]["cell_types"]


def _labelled(rule: Tree, side: str, cell_type: str, tree: Tree) -> float:
    """Share of a population that carries a label the rule asks for."""
    wanted = rule[side].get("labels") or ()
    if not wanted:
        return 1.0
    for hook in (tree.get("after_placement") or {}).values():
        labels = hook.get("labels") or ()
        if cell_type in (hook.get("cell_types") or ()) and set(wanted) & set(labels):
            return len(set(wanted) & set(labels)) / len(labels)
    raise Uncounted(f"how many {cell_type} carry {', '.join(wanted)}")


def _sources(rule: Tree, known: Counted) -> dict[str, float]:
    return {
        name: known.cells(name) * _labelled(rule, "presynaptic", name, known.tree) for name in _types(rule)[0]
    }


def _targets(rule: Tree, known: Counted) -> dict[str, float]:
    return {
        name: known.cells(name) * _labelled(rule, "postsynaptic", name, known.tree)
        for name in _types(rule)[1]
    }


def _shared(number: float, among: dict[str, float]) -> dict[str, float]:
    total = sum(among.values())
    return {name: number * share / total for name, share in among.items()} if total else {}


def _all_to_all(name: str, rule: Tree, known: Counted) -> Numbers:
    affinity = float(rule.get("affinity", 1.0))
    return {
        (source, target): _single(affinity * some * others)
        for source, some in _sources(rule, known).items()
        for target, others in _targets(rule, known).items()
    }


def _fixed_indegree(name: str, rule: Tree, known: Counted) -> Numbers:
    sources = _sources(rule, known)
    return {
        (source, target): _single(number)
        for target, cells in _targets(rule, known).items()
        for source, number in _shared(float(rule["indegree"]) * cells, sources).items()
    }


def _fixed_outdegree(name: str, rule: Tree, known: Counted) -> Numbers:
    targets = _targets(rule, known)
    return {
        (source, target): _single(number)
        for source, cells in _sources(rule, known).items()
        for target, number in _shared(float(rule["outdegree"]) * cells, targets).items()
    }


def _one_fibre_each(name: str, rule: Tree, known: Counted) -> Numbers:
    sources = _sources(rule, known)
    return {
        (source, target): _single(number)
        for target, cells in _targets(rule, known).items()
        for source, number in _shared(cells, sources).items()
    }


def _glomeruli_of_granule_cells(name: str, rule: Tree, known: Counted) -> Numbers:
    targets, kinds = _targets(rule, known), _types(rule)[0]
    shares = {kinds[0]: 1.0}
    if len(kinds) > 1:
        shares = granular_layer.shares_of_kinds(rule, known.tree, next(iter(targets)))
    return {
        (source, target): _single(float(rule["convergence"]) * cells * share)
        for target, cells in targets.items()
        for source, share in shares.items()
    }


def _all_glomeruli_near(name: str, rule: Tree, known: Counted) -> Numbers:
    near = overlap.sphere(float(rule["radius"]))
    numbers: Numbers = {}
    for source in _types(rule)[0]:
        for target in _types(rule)[1]:
            pairs = overlap.expected_pairs(known.boxes(source), known.boxes(target), *near)
            pairs *= _labelled(rule, "presynaptic", source, known.tree)
            pairs *= _labelled(rule, "postsynaptic", target, known.tree)
            numbers[source, target] = _single(pairs)
    return numbers


def _through_glomeruli(name: str, rule: Tree, known: Counted) -> Numbers:
    """Each glomerulus a Golgi cell takes brings a contact onto each cell it excites."""
    kinds, radius = rule["glom_cell_types"], float(rule["radius"])
    glomeruli = sum(known.cells(kind) for kind in kinds)
    excited = known.rules(rule["glom_post_strats"])
    numbers: Numbers = {}
    for source, cells in _sources(rule, known).items():
        within = sum(
            overlap.expected_pairs(known.boxes(kind), known.boxes(source), *overlap.sphere(radius))
            for kind in kinds
        )
        taken = min(float(rule["divergence"]), within / known.cells(source), glomeruli)
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
                convergence=excitation / others,
            )
            numbers[source, target] = (contacts * shared, contacts, 0.0)
    return numbers


def _reach(rule: Tree, tree: Tree, target: str) -> float:
    """Distance from a cell to the glomeruli that excite it, µm."""
    for name in rule["glom_post_strats"]:
        if target in _types(tree["connectivity"][name])[1]:
            return float(tree["connectivity"][name]["radius"])
    raise Uncounted(f"none of {', '.join(rule['glom_post_strats'])} excites {target}")


def _glomerulus_of_brush_cells(name: str, rule: Tree, known: Counted) -> Numbers:
    ratios = {kind: float(ratio) for kind, ratio in rule["ratios_ubc"].items()}
    return {
        (source, target): _single(number)
        for target, cells in _targets(rule, known).items()
        for source, number in _shared(cells, ratios).items()
    }


def _through_purkinje_cells(name: str, rule: Tree, known: Counted) -> Numbers:
    """A contact for each climbing fibre, Purkinje cell and interneuron that inhibits this cell."""
    purkinje = rule["pre_cell_pc"]
    climbing = known.rules(rule["io_pc_connectivity"])
    inhibiting = known.rules(rule["mli_pc_connectivity"])
    numbers: Numbers = {}
    for source, cells in _sources(rule, known).items():
        fibres_per_cell = sum(
            rules[source, purkinje].pairs for rules in climbing if (source, purkinje) in rules
        ) / known.cells(purkinje)
        for target, others in _targets(rule, known).items():
            inhibited = sum(
                rules[target, purkinje].pairs for rules in inhibiting if (target, purkinje) in rules
            )
            contacts = inhibited * fibres_per_cell
            distinct = others * cells * -math.expm1(-contacts / others / cells)
            numbers[source, target] = (min(contacts, distinct), contacts, 0.0)
    return numbers


def _overlapping_trees(name: str, rule: Tree, known: Counted) -> Numbers:
    stock = str(rule["strategy"]).rpartition(".")[2] != "VoxelOverlap" and "voxel_overlap" not in str(
        rule["strategy"]
    )
    itself = bool(rule.get("self_connections", stock))
    affinity, mean = float(rule.get("affinity", 1.0)), mean_of(rule.get("contacts", 1), whole=math.floor)
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


def _geometry(rule: Tree, tree: Tree, source: str, target: str) -> _Geometry:
    """Where the labelled trees of two cells touch, whichever of them the grid is anchored at."""
    sides = []
    for side, cell_type, voxels in (
        ("presynaptic", source, int(rule.get("voxels_pre", 50))),
        ("postsynaptic", target, int(rule.get("voxels_post", 50))),
    ):
        morphology = _morphology_of(tree, cell_type)
        labels = tuple(rule[side].get("morphology_labels") or ())
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


def _morphology_of(tree: Tree, cell_type: str) -> Morphology:
    """:raises Uncounted: the cells do not share one, or are turned each in its own way."""
    names = (tree["cell_types"][cell_type].get("spatial") or {}).get("morphologies") or []
    entries = [each for each in tree.get("morphologies") or [] if isinstance(each, dict)]
    if len(names) != 1 or not isinstance(names[0], str):
        raise Uncounted(f"{cell_type} has not one morphology but {len(names)}, or one that is selected")
    for placement in placements_of(tree, cell_type):
        if (placement.get("distribute") or {}).get("rotations"):
            raise Uncounted(f"{cell_type} is rotated")
    for entry in entries:
        if entry.get("name", str(entry.get("file")).rpartition("/")[2].removesuffix(".swc")) == names[0]:
            try:
                return read_morphology(entry)
            except ValueError as error:
                raise Uncounted(str(error)) from error
    raise Uncounted(f"{cell_type}: there is no morphology {names[0]}")


def mean_of(contacts: Any, whole: Callable[[float], float] | None = None) -> float:
    """Mean of a number or distribution, and of its whole part where draws are rounded down.

    :raises Uncounted: a distribution that is not known.
    """
    if not isinstance(contacts, dict):
        return float(contacts)
    settings = {key: value for key, value in contacts.items() if key not in ("distribution", "n")}
    name = contacts["distribution"]
    if name == "constant":
        return float(settings["constant"])
    if name == "norm":  # the others need scipy.stats, which takes a second to load
        mean = float(settings.get("loc", 0.0))
    else:
        from scipy import stats

        if not hasattr(stats, name):
            raise Uncounted(f"distribution {name} is not known")
        mean = float(getattr(stats, name)(**settings).mean())
    return mean - 0.5 if whole is math.floor else mean


# By the last part of a rule's path, and by its short name.
_RULES: dict[str, Callable[[str, Tree, Counted], Numbers]] = {
    "AllToAll": _all_to_all,
    "all_to_all": _all_to_all,
    "FixedIndegree": _fixed_indegree,
    "fixed_indegree": _fixed_indegree,
    "FixedOutdegree": _fixed_outdegree,
    "fixed_outdegree": _fixed_outdegree,
    "ConnectomeMossyGlomerulus": _one_fibre_each,
    "mossy_glom": _one_fibre_each,
    "ConnectomeUBCGlomerulus": _one_fibre_each,
    "ubc_glom": _one_fibre_each,
    "ConnectomeGlomerulusGranule": _glomeruli_of_granule_cells,
    "glom_gran": _glomeruli_of_granule_cells,
    "ConnectomeGlomerulusGolgi": _all_glomeruli_near,
    "glom_golgi": _all_glomeruli_near,
    "ConnectomeGolgiGlomerulus": _through_glomeruli,
    "golgi_glom": _through_glomeruli,
    "ConnectomeGlomerulusUBC": _glomerulus_of_brush_cells,
    "glom_ubc": _glomerulus_of_brush_cells,
    "ConnectomeIO_MLI": _through_purkinje_cells,
    "io_mli": _through_purkinje_cells,
    "VoxelOverlap": _overlapping_trees,
    "voxel_overlap": _overlapping_trees,
    "VoxelIntersection": _overlapping_trees,
    "voxel_intersection": _overlapping_trees,
}
