"""The flags by which `configure` and `run` take choices, and the composition they lead to."""

import functools
from collections.abc import Callable
from typing import Any

import click
import yaml

from cerebellar_models.circuits.catalogue import Tree, load_species, morphology_manifest
from cerebellar_models.circuits.choices import CircuitChoices, choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.circuits.size import target_counts

_OPTIONS = (
    click.option("--species", default="mouse", show_default=True, help="Species."),
    click.option("--state", help="State of the animal, such as in_vitro or awake."),
    click.option("--size", type=(float, float), metavar="X Y", help="Extent in µm, instead of a preset."),
    click.option("--preset", help="Named extent: tiny, canonical."),
    click.option(
        "--simulation", "simulations", multiple=True, help="Paradigm; may be repeated.  [default: all]"
    ),
    click.option("--neuron-model", help="Point neuron model."),
    click.option("--synapse-model", help="Set of synapse parameters."),
    click.option("--seed", type=int, help="Seed of everything random.  [default: 1234]"),
    click.option(
        "--threads", type=int, default=1, show_default=True, help="Threads of a simulation, per rank."
    ),
    click.option(
        "--duration", type=float, metavar="MS", help="Duration of the simulations.  [default: each one's own]"
    ),
    click.option(
        "--self-connections",
        is_flag=True,
        help="Let a cell contact itself, as the published rule does (2-3 % of recurrent pairs).",
    ),
)


def choice_options(command: Callable) -> Callable:
    """Adds the flags; the command receives ``choices`` (a CircuitChoices) and ``tree`` (the configuration)."""

    @functools.wraps(command)
    def chosen(species: str, **rest: Any):
        names = ("state", "size", "preset", "simulations", "neuron_model", "synapse_model", "seed", "threads")
        flags = {name: rest.pop(name) for name in (*names, "duration", "self_connections")}
        offered = load_species(species)
        choices = choose(offered, **flags)
        return command(choices=choices, tree=compose(offered, choices, morphology_manifest()), **rest)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), chosen)


def configuration_text(choices: CircuitChoices, tree: Tree) -> str:
    """The configuration as YAML, with what was chosen on top."""
    return f"# {recap(choices)}\n" + yaml.dump(
        tree, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=110
    )


def recap(choices: CircuitChoices) -> str:
    """The choices in one line."""
    x, y = choices.size
    rule = ", self-connections" if choices.self_connections else ""
    return (
        f"{choices.species} {choices.state}, {x:g} x {y:g} µm, {choices.neuron_model}, {choices.synapse_model}{rule}, "
        f"seed {choices.seed}; {', '.join(choices.simulations)}"
    )


def about(choices: CircuitChoices) -> dict[str, str]:
    """The choices for a report's head and a run's record."""
    x, y = choices.size
    return {
        "species": choices.species,
        "state": choices.state,
        "size": f"{x:g} x {y:g} µm",
        "neuron model": choices.neuron_model,
        "synapse model": choices.synapse_model,
        "self-connections": "yes" if choices.self_connections else "no",
        "seed": str(choices.seed),
    }


def expected_cells(tree: Tree) -> str:
    """The expected number of cells in one line."""
    counts = target_counts(tree)
    parts = ", ".join(f"{name} {number:.0f}" for name, number in counts.items())
    return f"expects {sum(counts.values()):.0f} cells: {parts}"


class _NoAliases(yaml.SafeDumper):
    """Tables that occur twice are written twice: BSB's parser and people read no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
