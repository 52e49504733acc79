"""Configurations and choices as text: for files, and for people."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree


def tree_text(output: Path, tree: Tree, head: str) -> str:
    """The configuration in the format of the output's name, headed by a comment where the format has them.

    :raises UserError: the name ends in no format BSB reads.
    """
    if output.suffix == ".json":
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    if output.suffix in (".yaml", ".yml"):
        return yaml_text(tree, head)
    raise UserError(f"output: {output} ends in none of .yaml, .yml, .json")


def yaml_text(tree: Tree, head: str) -> str:
    return f"# {head}\n" + yaml.dump(tree, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=110)


def configuration_text(choices: CircuitChoices, tree: Tree) -> str:
    """The configuration as YAML, with what was chosen on top."""
    return yaml_text(tree, recap(choices))


def recap(choices: CircuitChoices) -> str:
    """The choices in one line."""
    x, y = choices.size
    parts = f"with {', '.join(choices.parts)}" if choices.parts else ""
    zones = f"microzones {_zones(choices)}" if choices.microzones else ""
    rule = "self-connections" if choices.self_connections else ""
    circuit = (f"{choices.species} {choices.state}", f"{x:g} x {y:g} µm", parts, zones)
    simulation = (choices.neuron_model, choices.synapse_model, rule, f"seed {choices.seed}")
    shown = ", ".join(item for item in (*circuit, *simulation) if item)
    return f"{shown}; {', '.join(choices.simulations)}"


def rows(choices: CircuitChoices) -> Tree:
    """The choices by the names of the flags, each written out, as a choices file and a run's record hold them."""
    return {key: _plain(value) for key, value in asdict(choices).items() if value is not None}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def about(choices: CircuitChoices) -> dict[str, str]:
    """The choices for people: what a report's head shows. No program reads it."""
    x, y = choices.size
    return {
        "species": choices.species,
        "state": choices.state,
        "size": f"{x:g} x {y:g} µm",
        "parts": ", ".join(choices.parts) or "none",
        "microzones": _zones(choices) or "none",
        "neuron model": choices.neuron_model,
        "synapse model": choices.synapse_model,
        "self-connections": "yes" if choices.self_connections else "no",
        "seed": str(choices.seed),
    }


def _zones(choices: CircuitChoices) -> str:
    along = f" along {choices.microzone_axis}" if choices.microzone_axis else ""
    return " ".join(choices.microzones) + along


class _NoAliases(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # the faster where it was built
    """Tables that occur twice are written twice: BSB's parser and people read no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
