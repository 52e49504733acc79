"""The edge of `configure --adopt`: reads the old file, writes the new one, lists what changed."""

from pathlib import Path

import click

from cerebellar_models.circuits.adopt import Adopted, adopt, external_references
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.cli.reading import read_tree
from cerebellar_models.cli.writing import tree_text, write_output
from cerebellar_models.errors import UserError

# The species whose default seed a configuration without one gets.
_SPECIES = "mouse"


def adopt_file(old: Path, output: Path) -> None:
    """Writes ``old``, brought up to date, to ``output`` and lists each change.

    :raises UserError: ``old`` is no configuration, or ``output`` is the same file or cannot be written.
    """
    tree = read_tree(old)
    if output.exists() and output.samefile(old):
        raise UserError(f"output: {output} is the file to adopt; choose another with --output")
    try:
        adopted = adopt(tree, morphology_manifest(), load_species(_SPECIES).defaults["seed"])
    except UserError as error:
        raise UserError(f"{old}: {error}") from error
    others = external_references(tree)
    if others and output.resolve().parent != old.resolve().parent:
        raise UserError(f"output: {old} refers to {', '.join(others)}; write to its folder with --output")
    write_output(output, tree_text(output, adopted.tree, f"adopted from {old.name}"))
    _tell(old, adopted)
    click.echo(f"written: {output}")


def _tell(old: Path, adopted: Adopted) -> None:
    number = len(adopted.changes)
    click.echo(f"{old}: {number or 'no'} change{'' if number == 1 else 's'}")
    for change in adopted.changes:
        click.echo(f"  {change}")
    if old.suffix != ".json":
        click.echo("  comments are not carried over")
    for hint in adopted.hints:
        click.echo(f"hint, not changed: {hint}")
