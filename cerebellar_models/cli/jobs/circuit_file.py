"""What a circuit file has to be for `jobs plan` and `jobs render`, beyond what reading it finds."""

import math
from pathlib import Path
from typing import Any

from cerebellar_models.circuits.adopting.adopt import external_references, own_morphologies
from cerebellar_models.circuits.catalogue import morphology_manifest
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree, mappings


def check_circuit(path: Path, tree: Tree) -> None:
    """:raises UserError: it is no circuit, or one that more files belong to than a run folder has."""
    if not isinstance(tree.get("network"), dict):
        raise UserError(f"{path}: has no 'network': it is no circuit; make one with: configure")
    for key in ("regions", "partitions", "cell_types", "placement", "connectivity", "simulations"):
        mappings(tree.get(key, {}), f"{path}: {key}")
    rng = tree.get("rng") or {}
    if not isinstance(rng, dict) or not isinstance(rng.get("seed"), int | None):
        raise UserError(f"{path}: rng: expected a mapping with a whole number as seed")
    for name, simulation in tree.get("simulations", {}).items():
        _check_simulation(path, name, simulation)
    if others := external_references(tree):
        raise UserError(
            f"{path}: refers to {', '.join(others)}, but a run has one file; put their content into it"
        )
    for key, file in own_morphologies(tree, morphology_manifest()):
        raise UserError(
            f"{path}: {key}: {file} is found from one folder only; name it from / on, as on the cluster"
        )


def _check_simulation(path: Path, name: Any, simulation: Tree) -> None:
    # Results lie in a folder of its name.
    if not isinstance(name, str) or not name.isprintable() or "/" in name or name.startswith(".") or not name:
        raise UserError(f"{path}: simulations: {name!r} is no name for a folder of results")
    threads = simulation.get("threads", 1)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UserError(f"{path}: simulations.{name}.threads: {threads!r} is not a whole number from 1 on")
    for key in ("duration", "resolution"):
        value = simulation.get(key, 1)
        if not _is_positive(value):
            raise UserError(f"{path}: simulations.{name}.{key}: {value!r} is not a number of ms above 0")


def _is_positive(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and 0 < float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False
