"""Closed-form numbers of a configuration: cells and connections, without compiling it."""

import functools
import json
from dataclasses import dataclass

from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.populations import expected_count, placed_count
from cerebellar_models.circuits.counting.projections import Counted, Pair, Projection, mean_contacts
from cerebellar_models.circuits.counting.rules import MORE_CONTACTS, count_rule
from cerebellar_models.tree import Tree, without_references

# What of a configuration its size depends on, with the morphologies.
_BLOCKS = (
    "network",
    "regions",
    "partitions",
    "cell_types",
    "placement",
    "connectivity",
    "after_placement",
    "after_connectivity",
)


@dataclass(frozen=True)
class CircuitSize:
    """Expected numbers of a compiled circuit. Populations scatter by a few cells, connections with them."""

    cells: dict[str, float]
    projections: dict[str, Projection]
    """by the name of their set of connections, as BSB tags it"""
    unknown: tuple[str, ...]
    """populations and rules that could not be counted, and why"""

    @property
    def total_cells(self) -> float:
        return sum(self.cells.values())

    @property
    def total_pairs(self) -> float:
        """Connected pairs of cells: what NEST calls connections."""
        return sum(projection.pairs for projection in self.projections.values())

    @property
    def total_contacts(self) -> float:
        """Synapses: rows of the compiled file."""
        return sum(projection.contacts for projection in self.projections.values())


def target_counts(tree: Tree) -> dict[str, float]:
    """Target of each population, from densities and ratios, in a tree whose extent is set.

    Populations whose number cannot be known are left out.
    """
    counts = {}
    for cell_type in _rows(tree, "cell_types"):
        try:
            counts[cell_type] = expected_count(Node(tree), cell_type)
        except Uncounted:
            continue
    return counts


def circuit_size(tree: Tree) -> CircuitSize:
    """Expected cells and connections of any BSB configuration. Rests on no file but the morphologies'.

    What it does not understand, it names in ``unknown``; it never fails.
    """
    used = {block: _rows(tree, block) for block in _BLOCKS}
    return _size_of(json.dumps(used | {"morphologies": tree.get("morphologies")}, default=str))


@functools.lru_cache(maxsize=64)
def _size_of(text: str) -> CircuitSize:
    """By its text, so that the stages of a plan and the steps of a form count a circuit once."""
    tree = json.loads(text)
    counted: dict[str, dict[Pair, Projection]] = {}
    known, cells, unknown = Counted(Node(tree), counted), {}, []
    for cell_type in tree["cell_types"]:
        try:
            cells[cell_type] = placed_count(known.tree, cell_type)
        except Uncounted as reason:
            unknown.append(f"{cell_type}: {reason}")
    for name, rule in _in_order(tree["connectivity"]):
        try:
            counted[name] = count_rule(name, Node.of(rule, f"connectivity.{name}"), known)
        except Uncounted as reason:
            unknown.append(f"{name}: {reason}")
    for name, hook in tree["after_connectivity"].items():
        try:
            _multiply(Node.of(hook, f"after_connectivity.{name}"), known)
        except Uncounted as reason:
            unknown.append(f"{name}: {reason}")
    return CircuitSize(cells, _by_tag(counted), tuple(unknown))


def _rows(tree: Tree, block: str) -> Tree:
    """Of a block that is none, there are none."""
    content = tree.get(block)
    return without_references(content) if isinstance(content, dict) else {}


def _in_order(rules: dict[str, Tree]) -> list[tuple[str, Tree]]:
    """Each after those it names in any of its keys."""
    ordered: dict[str, Tree] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above or name in ordered:
            return
        rule = rules[name]
        for value in rule.values() if isinstance(rule, dict) else ():
            for other in value if isinstance(value, list) else (value,):
                if isinstance(other, str) and other in rules:
                    add(other, (*above, name))
        ordered[name] = rules[name]

    for name in rules:
        add(name, ())
    return list(ordered.items())


def _multiply(hook: Node, known: Counted) -> None:
    """Contacts of a hook that adds some to each pair. Hooks that make none, such as reports, are none of ours."""
    if not MORE_CONTACTS.is_meant_by(hook.get("strategy")):
        return
    mean = mean_contacts(hook)
    (rule,) = known.rules([hook.text("conn_strategy")])
    for pair, one in rule.items():
        rule[pair] = Projection(
            one.rule, *pair, one.pairs, max(one.contacts, one.pairs * mean), one.candidates
        )


def _by_tag(counted: dict[str, dict[Pair, Projection]]) -> dict[str, Projection]:
    """Where a rule has several pairs of cell types, BSB makes a set of connections of each."""
    return {
        name if len(pairs) == 1 else f"{name}_{source}_to_{target}": projection
        for name, pairs in counted.items()
        for (source, target), projection in pairs.items()
    }
