"""Closed-form numbers of a configuration: cells and connections, without compiling it."""

import functools
import json
from dataclasses import dataclass
from typing import Any

from cerebellar_models.circuits.populations import (
    NOT_UNDERSTOOD,
    Uncounted,
    expected_count,
    placed_count,
)
from cerebellar_models.circuits.projections import Counted, Pair, Projection, count_rule, mean_of

Tree = dict[str, Any]

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
    for cell_type in _nodes(tree, "cell_types"):
        try:
            counts[cell_type] = expected_count(tree, cell_type)
        except NOT_UNDERSTOOD:
            continue
    return counts


def circuit_size(tree: Tree) -> CircuitSize:
    """Expected cells and connections of any BSB configuration. Rests on no file but the morphologies'.

    What it does not understand, it names in ``unknown``; it never fails.
    """
    used = {block: _nodes(tree, block) for block in _BLOCKS}
    return _size_of(json.dumps(used | {"morphologies": tree.get("morphologies")}, default=str))


@functools.lru_cache(maxsize=64)
def _size_of(text: str) -> CircuitSize:
    """By its text, so that the stages of a plan and the steps of a form count a circuit once."""
    tree = json.loads(text)
    cells, unknown = {}, []
    for cell_type in _nodes(tree, "cell_types"):
        try:
            cells[cell_type] = placed_count(tree, cell_type)
        except NOT_UNDERSTOOD as error:
            unknown.append(f"{cell_type}: {reason_of(error)}")
    counted: dict[str, dict[Pair, Projection]] = {}
    for name, rule in _in_order(_nodes(tree, "connectivity")):
        try:
            counted[name] = count_rule(name, rule, Counted(tree, counted))
        except NOT_UNDERSTOOD as error:
            unknown.append(f"{name}: {reason_of(error)}")
    for name, hook in _nodes(tree, "after_connectivity").items():
        try:
            _multiply(hook, counted)
        except NOT_UNDERSTOOD as error:
            unknown.append(f"{name}: {reason_of(error)}")
    return CircuitSize(cells, _by_tag(counted), tuple(unknown))


def _nodes(tree: Tree, block: str) -> dict[str, Tree]:
    """The nodes of a block, without references to other files."""
    nodes = tree.get(block)
    if not isinstance(nodes, dict):
        return {}
    return {name: node for name, node in nodes.items() if not str(name).startswith("$")}


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


def _multiply(hook: Tree, counted: dict[str, dict[Pair, Projection]]) -> None:
    """Contacts of a hook that adds some to each pair. Hooks that make none, such as reports, are none of ours."""
    if str(hook.get("strategy", "")).rpartition(".")[2] != "DuplicateSynapses":
        return
    mean = mean_of(hook["contacts"])
    rule = counted[hook["conn_strategy"]]
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


def reason_of(error: Exception) -> str:
    """Why something could not be counted, for people."""
    return str(error) if isinstance(error, Uncounted) else f"not understood ({type(error).__name__}: {error})"
