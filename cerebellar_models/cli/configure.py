"""`cerebellar-models configure`."""

import json
from pathlib import Path

import click

from cerebellar_models.circuits.catalogue import Tree
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.cli.choosing import choice_options, configuration_text, expected_cells, recap
from cerebellar_models.deploy.run_folder import write_atomically
from cerebellar_models.errors import UserError


@click.command()
@choice_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("circuit.yaml"), show_default=True
)
def configure(choices: CircuitChoices, tree: Tree, output: Path) -> None:
    """Write one BSB configuration (.yaml or .json) from your choices.

    Needs neither a simulator nor MPI nor a compiler. The file works from any folder:

    \b
        bsb compile circuit.yaml -v4 --clear
        bsb simulate cerebellum.hdf5 basal_activity -o results -v4
    """
    if output.suffix == ".json":
        text = json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    elif output.suffix in (".yaml", ".yml"):
        text = configuration_text(choices, tree)
    else:
        raise UserError(f"output: {output} ends in none of .yaml, .yml, .json")
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(f"output: {output} cannot be written ({error.strerror})") from error
    click.echo(f"{recap(choices)}\n{expected_cells(tree)}\nwritten: {output}")
