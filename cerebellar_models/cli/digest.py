"""`cerebellar-models digest`."""

import json
from pathlib import Path

import click

from cerebellar_models.cli.shared.bsb_reader import Text, read_with_bsb
from cerebellar_models.cli.shared.reading import read_tree
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.files import read_text
from cerebellar_models.tree import Tree, mappings

_CONFIGURATIONS = (".yaml", ".yml", ".json")
_PARTS_OF_FILES = ("$ref", "$import")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines; of a circuit also each part's digest.")
def digest(file: Path, as_json: bool) -> None:
    """Print what identifies a circuit and its simulations.

    FILE: a compiled circuit, or a configuration (.yaml, .json), which tells of the simulations only. Two circuits have
    the same digest if their cells and contacts are the same, whatever compiled them; two simulations, if their models,
    parameters and devices are. Threads, verbosity, names and seeds of simulations make no difference.
    """
    from cerebellar_models.analysis.digests import FORMAT, simulation_digests

    if file.suffix in _CONFIGURATIONS:
        found: Tree = {"format": FORMAT, "simulations": simulation_digests(_configuration(file))}
    else:
        found = _circuit(file)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if "circuit" in found:
        click.echo(f"{found['circuit']}  circuit")
    for name, text in found["simulations"].items():
        click.echo(f"{text}  simulation {name}")


def _circuit(file: Path) -> Tree:
    """:raises UserError: it is no whole compiled circuit."""
    from cerebellar_models.analysis.read_digests import read_digests

    try:
        found = read_digests(file)
    except RunError as error:  # of a stage it would be a failure; here the file is the input
        raise UserError(str(error)) from error
    parts = {"populations": found.circuit.populations, "projections": found.circuit.projections}
    return found.record() | parts


def _configuration(file: Path) -> Tree:
    """With what it takes from other files in its place.

    :raises UserError: it is no configuration of a circuit.
    """
    tree = read_tree(file)
    text = read_text(file)
    if any(key in text for key in _PARTS_OF_FILES):
        (reading,) = read_with_bsb([Text(text, file)], whole=False)
        if reading.error:
            raise UserError(f"{file}: BSB does not load it: {reading.error}")
        tree = reading.tree
    if not isinstance(tree.get("network"), dict):
        raise UserError(f"{file}: has no 'network': it is no circuit; make one with: configure")
    if not mappings(tree.get("simulations") or {}, f"{file}: simulations"):
        raise UserError(
            f"{file}: simulations: there is none, and only a compiled circuit has a digest of its own"
        )
    return tree
