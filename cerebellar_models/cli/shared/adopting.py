"""The edge of `configure --adopt`: reads the old file, has BSB load the new one, writes it, lists what changed."""

from collections.abc import Sequence
from pathlib import Path

import click

from cerebellar_models.circuits.adopting.adopt import Adopted, adopt, external_references
from cerebellar_models.circuits.adopting.morphologies import file_name
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.texts import tree_text
from cerebellar_models.cli.shared.bsb_reader import Reading, Text, read_with_bsb
from cerebellar_models.cli.shared.reading import read_tree
from cerebellar_models.cli.shared.writing import write_output
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder
from cerebellar_models.tree import Tree

# The species whose default seed a configuration without one gets.
_SPECIES = "mouse"


def adopt_file(old: Path, output: Path) -> None:
    """Writes ``old``, brought up to date, to ``output`` and lists each change.

    :raises UserError: ``old`` is no configuration, what it becomes is none that BSB loads, or ``output`` is the same
        file or cannot be written. Nothing is written then.
    """
    tree = read_tree(old)
    if output.is_dir():
        raise UserError(f"output: {output} is a folder; name a file in it")
    if output.exists() and output.samefile(old):
        raise UserError(f"output: {output} is the file to adopt; choose another with --output")
    adopted = adopt_tree(old, tree)
    others = external_references(tree)
    if others and output.resolve().parent != old.resolve().parent:
        raise UserError(
            f"output: {old} refers to {', '.join(others)}; write to its folder with --output, "
            "or adopt the folder that holds them all"
        )
    text = tree_text(output, adopted.tree, f"adopted from {old.name}")
    (reading,) = read_with_bsb([Text(text, output)], whole=True)
    if reading.error:
        raise UserError(f"{old}: BSB does not load it: {reading.error}")
    write_output(output, text)
    tell_changes(old, adopted)
    tell_unread(old, reading)
    click.echo("checked: BSB loads it")
    click.echo(f"written: {output}")


def adopt_tree(old: Path, tree: Tree, whole: Tree | None = None, beside: Sequence[Tree] = ()) -> Adopted:
    """As :func:`adopt`, with the morphology files that are found from here or from a folder above ``old``.

    :raises UserError: names the file too.
    """
    manifest, seed = morphology_manifest(), load_species(_SPECIES).defaults["seed"]
    folders = [*old.resolve().parents, Path()]
    try:
        return adopt(
            tree,
            manifest,
            seed,
            lambda file: _morphology_text(file, folders),
            whole=whole,
            beside=beside,
        )
    except UserError as error:
        raise UserError(f"{old}: {error}") from error


def _morphology_text(file: str, folders: list[Path]) -> str | None:
    """BSB looks in the folder it runs in, which is most often this one or that of a checkout around the file."""
    ours = bundle_folder("morphologies")
    if file.startswith("cerebellum://"):
        return (ours / file_name(file)).read_text(encoding="utf-8")
    for folder in folders:
        path = folder / file.removeprefix("file://")
        # A bundled file is not the one that the configuration was written for.
        if path.is_file() and path.resolve().parent != ours.resolve():
            return path.read_text(encoding="utf-8", errors="replace")
    return None


def tell_changes(old: Path, adopted: Adopted, *, commented: bool = True) -> None:
    """Lists what was changed in a file, and what deserves a second look.

    :param commented: the file was written anew, without its comments.
    """
    number = len(adopted.changes)
    click.echo(f"{old}: {number or 'no'} change{'' if number == 1 else 's'}")
    for change in adopted.changes:
        click.echo(f"  {change}")
    if commented and old.suffix != ".json":
        click.echo("  comments are not carried over")
    for hint in adopted.hints:
        click.echo(f"hint, not changed: {hint}")


def tell_unread(old: Path, reading: Reading) -> None:
    """Names the simulations that BSB could not be asked about."""
    for name in reading.unread:
        simulator = reading.tree["simulations"][name].get("simulator")
        click.echo(
            f"hint, not checked: {old}: simulations.{name}: no BSB package for '{simulator}' is installed"
        )
