"""The flags by which `configure` and `run` take choices, and the composition they lead to."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.resolve import CHOICES, resolve
from cerebellar_models.circuits.threads import MOST_THREADS, with_threads
from cerebellar_models.cli.shared.choices_file import choices_file_option
from cerebellar_models.tree import Tree

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


# Beside the choices, since it is none: other threads make no other circuit.
_THREADS = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    help="Threads of a simulation, per rank.  [default: 1; of a run that is taken up, those asked for last]",
)
# Where one comes from the command line, it replaces the other of a choices file.
_ALTERNATIVES = (("size", "preset"), ("preset", "size"))


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the flags; the command receives ``choices``, the ``tree`` they lead to, and ``threads`` or None."""

    @functools.wraps(command)
    def chosen(flags: dict[str, Any], **rest: Any) -> Any:
        choices, tree = resolve(**flags)
        return command(choices=choices, tree=tree, **rest)

    return flag_options(chosen)


def flag_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the flags and ``--from``; the command receives ``flags``, for `resolve`, and ``threads`` or None."""

    @functools.wraps(command)
    def flagged(**given: Any) -> Any:
        source = click.get_current_context().get_parameter_source
        flags = {name: given.pop(name) for name in CHOICES}
        for one, other in _ALTERNATIVES:
            if source(one) is ParameterSource.COMMANDLINE and source(other) is ParameterSource.DEFAULT_MAP:
                flags[other] = None
        return command(flags=flags, **given)

    options = (*_OPTIONS, _THREADS, choices_file_option)
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), flagged)


@click.command()
@flag_options
def _of_flags(flags: dict[str, Any], threads: int | None) -> tuple[CircuitChoices, Tree]:
    choices, tree = resolve(**flags)
    return choices, with_threads(tree, threads or 1)


def resolve_file(path: Path) -> tuple[CircuitChoices, Tree]:
    """The choices of a file, and the configuration they lead to, as `configure --from` alone writes it.

    :raises UserError: it cannot be read, or its choices are none.
    """
    resolved: tuple[CircuitChoices, Tree] = _of_flags.main([f"--from={path}"], standalone_mode=False)
    return resolved
