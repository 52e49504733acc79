"""The flags by which `configure` and `run` take choices, and the composition they lead to."""

import functools
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from cerebellar_models.circuits.catalogue import Tree
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.resolve import CHOICES, resolve
from cerebellar_models.cli.choices_file import choices_file_option
from cerebellar_models.cli.writing import yaml_text

_OPTIONS = (
    click.option("--species", default="mouse", show_default=True, help="Species."),
    click.option("--state", help="State of the animal, such as in_vitro or awake."),
    click.option("--size", type=(float, float), metavar="X Y", help="Extent in µm, instead of a preset."),
    click.option("--preset", help="Named extent: tiny, canonical."),
    click.option(
        "--part", "parts", multiple=True, help="Part added to the cortex (dcn, io, ubc); may be repeated."
    ),
    click.option(
        "--simulation",
        "simulations",
        multiple=True,
        help="Paradigm; may be repeated.  [default: all the circuit offers]",
    ),
    click.option("--neuron-model", help="Point neuron model.  [default: that of the synapses]"),
    click.option("--synapse-model", help="Set of synapse parameters.  [default: one for the neurons]"),
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
    click.option(
        "--microzone",
        "microzones",
        multiple=True,
        metavar="LABEL",
        help="Zone of Purkinje cells, nuclei and olive; give two or more.",
    ),
    click.option(
        "--microzone-axis",
        help="x, y or z: zones follow one another along it.  [default: cells drawn at random]",
    ),
)


# Where one comes from the command line, it replaces the other of a choices file.
_ALTERNATIVES = (("size", "preset"), ("preset", "size"))


def choice_options(command: Callable) -> Callable:
    """Adds the flags; the command receives ``choices`` and the ``tree`` they lead to."""

    @functools.wraps(command)
    def chosen(flags: dict[str, Any], **rest: Any):
        choices, tree = resolve(**flags)
        return command(choices=choices, tree=tree, **rest)

    return flag_options(chosen)


def flag_options(command: Callable) -> Callable:
    """Adds the flags and ``--from``; the command receives what was given as ``flags``, for `resolve`."""

    @functools.wraps(command)
    def flagged(**given: Any):
        source = click.get_current_context().get_parameter_source
        flags = {name: given.pop(name) for name in CHOICES}
        for one, other in _ALTERNATIVES:
            if source(one) is ParameterSource.COMMANDLINE and source(other) is ParameterSource.DEFAULT_MAP:
                flags[other] = None
        return command(flags=flags, **given)

    options = (*_OPTIONS, choices_file_option)
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), flagged)


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


def about(choices: CircuitChoices) -> dict[str, str]:
    """The choices for a report's head and a run's record."""
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
