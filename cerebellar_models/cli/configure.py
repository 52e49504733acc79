"""`cerebellar-models configure`."""

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.cli.adopting import adopt_file
from cerebellar_models.cli.choices_file import choices_text
from cerebellar_models.cli.choosing import flag_options, recap
from cerebellar_models.cli.expectation import expectation
from cerebellar_models.cli.form import fill_in
from cerebellar_models.cli.listing import show_catalogue
from cerebellar_models.cli.writing import tree_text, write_output
from cerebellar_models.errors import UserError


@click.command()
@flag_options
@click.option(
    "--save-choices",
    type=click.Path(path_type=Path),
    metavar="CHOICES.YAML",
    help="Write the choices too, for --from.",
)
@click.option(
    "--adopt",
    type=click.Path(path_type=Path),
    metavar="OLD.YAML",
    help="Bring this older configuration up to date instead, and list each change.",
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_catalogue,
    help="Show all there is to choose from.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("circuit.yaml"), show_default=True
)
def configure(flags: dict[str, Any], save_choices: Path | None, adopt: Path | None, output: Path) -> None:
    """Write one BSB configuration (.yaml or .json) from your choices.

    Without any option, on a terminal, it asks.

    Needs neither a simulator nor MPI nor a compiler. The file works from any folder:

    \b
        bsb compile circuit.yaml -v4 --clear
        bsb simulate cerebellum.hdf5 basal_activity -o results -v4
    """
    if adopt is not None:
        _refuse_choices_beside_adopt()
        adopt_file(adopt, output)
        return
    if not _given() and sys.stdin.isatty() and sys.stdout.isatty():
        flags, save_choices = fill_in(output)
    choices, tree = resolve(**flags)
    text = tree_text(output, tree, recap(choices))
    if save_choices is not None:
        write_output(save_choices, choices_text(choices))
    write_output(output, text)
    written = output if save_choices is None else f"{output}, {save_choices}"
    click.echo(f"{recap(choices)}\n{expectation(tree, choices.species)}\nwritten: {written}")


def _given() -> set[str]:
    """The parameters that were not left to their defaults."""
    context = click.get_current_context()
    return {
        str(option.name)
        for option in context.command.params
        if context.get_parameter_source(str(option.name)) not in (ParameterSource.DEFAULT, None)
    }


def _refuse_choices_beside_adopt() -> None:
    others = sorted(_given() - {"adopt", "output"})
    if others:
        names = ", ".join(name.replace("_", "-") for name in others)
        raise UserError(f"adopt: takes only --output beside it; leave out {names}")
