"""Threads in a configuration. They are a resource of its simulations, and no part of what identifies a circuit."""

from collections.abc import Mapping
from typing import Any

from cerebellar_models.tree import Tree

MOST_THREADS = 1024
"""of a rank: more is a slip of the keyboard"""


def threads_of(simulations: Mapping[str, Any]) -> int:
    """The most that one of these simulations asks for."""
    return max((int(each.get("threads", 1)) for each in simulations.values()), default=1)


def with_threads(tree: Tree, threads: int) -> Tree:
    """A configuration all of whose NEST simulations ask for so many.

    Two that are the same with as many threads are of one circuit and one model.
    """
    simulations = tree.get("simulations")
    if not isinstance(simulations, dict):
        return tree
    return tree | {
        "simulations": {
            name: each | {"threads": threads} if _of_nest(each) else each
            for name, each in simulations.items()
        }
    }


def _of_nest(simulation: Any) -> bool:
    return isinstance(simulation, dict) and simulation.get("simulator") == "nest"
