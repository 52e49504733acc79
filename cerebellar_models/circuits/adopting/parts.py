"""Bringing configurations up to date that take parts from one another. Pure.

Each file is changed by itself, so that what files share stays shared. Whether that is enough shows when BSB puts
the parts together again: the outcome has to be what the whole becomes when it is adopted as one file.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerebellar_models.circuits.adopting.adopt import Adopted, external_references
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

# What BSB requires of a configuration.
_REQUIRED = ("storage", "network", "partitions", "cell_types", "placement", "connectivity")


@dataclass(frozen=True)
class Part:
    """A file of a folder."""

    old: Tree
    adopted: Adopted
    goal: Tree | None
    """what it has to be together with its parts; None of a file that is only a part of others"""


def part(old: Tree, whole: Tree, adopted: Adopted, goal: Tree | None) -> Part:
    """A file adopted by itself, which gets random numbers of its own, whatever files it takes parts from say of theirs.

    :param whole: the old file with the parts of others in their places.
    """
    if goal is None or "rng" not in goal or goal["rng"] in (whole.get("rng"), adopted.tree.get("rng")):
        return Part(old, adopted, goal)
    seed, settings = goal["rng"]["seed"], ", ".join(goal["rng"].get("settings", {}))
    told = f"rng: seed {seed}{f' and settings {settings}' if settings else ''}: each file has its own"
    tree = {**adopted.tree, "rng": goal["rng"]}
    return Part(old, Adopted(tree, (*adopted.changes, told), adopted.hints), goal)


def all_taken(name: str, trees: Mapping[str, Tree]) -> set[str]:
    """The files a file takes parts from, and those that these take parts from."""
    found: set[str] = set()
    new = {name}
    while new:
        new = {other for one in new if one in trees for other in taken_files(one, trees[one])} - found
        found |= new
    return found


def missing_keys(whole: Tree) -> list[str]:
    """What a configuration lacks to be one by itself."""
    return [key for key in _REQUIRED if key not in whole]


def taken_files(name: str, tree: Tree) -> dict[str, str]:
    """What a file calls the files it takes parts from, by their paths in the folder."""
    return {os.path.normpath(Path(name).parent / other): other for other in external_references(tree)}


def check_references(trees: Mapping[str, Tree]) -> set[str]:
    """The files that others take parts from, of files by their paths in the folder.

    :raises UserError: a file takes parts from one that is not among them.
    """
    used: set[str] = set()
    for name, tree in trees.items():
        for target, called in taken_files(name, tree).items():
            if target not in trees:
                raise UserError(
                    f"{name}: refers to {called}, which is none of the configurations in this folder; "
                    "adopt the folder that holds both"
                )
            used.add(target)
    return used


def same_tree(one: Tree, other: Tree) -> bool:
    """Whether BSB reads the same in both: it keeps configurations as JSON, and an empty list of packages is none."""
    return bool(_plain(one) == _plain(other))


def _plain(tree: Tree) -> Any:
    return json.loads(json.dumps({"packages": [], **tree}, default=str))
