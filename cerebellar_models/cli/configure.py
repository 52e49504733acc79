"""`cerebellar-models configure`."""

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.circuits.texts import recap, tree_text
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.cli.shared.adopting import adopt_file
from cerebellar_models.cli.shared.adopting_folder import adopt_folder
from cerebellar_models.cli.shared.choices_file import beside, choices_text
from cerebellar_models.cli.shared.costs_in_words import expectation
from cerebellar_models.cli.shared.flags import flag_options
from cerebellar_models.cli.shared.form import fill_in
from cerebellar_models.cli.shared.listing import show_catalogue
from cerebellar_models.cli.shared.writing import write_output
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
    help="Bring this older configuration, or a folder of them, up to date instead, and list each change.",
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
def configure(
    flags: dict[str, Any],
    threads: int | None,
    save_choices: Path | None,
    adopt: Path | None,
    output: Path,
) -> None:
    """Write one BSB configuration (.yaml or .json) from your choices.

    Without any option, on a terminal, it asks.

    The choices lie beside it, in circuit.choices.yaml: by them `jobs render` knows species and state.

    Needs neither a simulator nor MPI nor a compiler. The file works from any folder:

    \b
        bsb compile circuit.yaml -v4 --clear
        bsb simulate cerebellum.hdf5 basal_activity -o results -v4
    """
    if adopt is not None:
        _refuse_choices_beside_adopt()
        (adopt_folder if adopt.is_dir() else adopt_file)(adopt, output)
        return
    if not _given() and sys.stdin.isatty() and sys.stdout.isatty():
        flags, save_choices = fill_in(output)
    choices, tree = resolve(**flags)
    tree = with_threads(tree, threads or 1)
    text = tree_text(output, tree, recap(choices))
    written = [output, beside(output), *([] if save_choices is None else [save_choices])]
    for path in written:
        write_output(path, text if path == output else choices_text(choices, threads or 1))
    names = ", ".join(map(str, written))
    click.echo(f"{recap(choices)}\n{expectation(tree, choices.species)}\nwritten: {names}")


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
