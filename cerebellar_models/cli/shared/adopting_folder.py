"""The edge of `configure --adopt FOLDER`: all its configurations at once, or none."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from cerebellar_models.circuits.adopting.adopt import is_configuration
from cerebellar_models.circuits.adopting.parts import (
    Part,
    all_taken,
    check_references,
    missing_keys,
    part,
    same_tree,
    taken_files,
)
from cerebellar_models.circuits.texts import tree_text
from cerebellar_models.cli.shared.adopting import adopt_tree, tell_changes, tell_unread
from cerebellar_models.cli.shared.bsb_reader import Reading, Text, read_with_bsb
from cerebellar_models.cli.shared.reading import read_tree
from cerebellar_models.cli.shared.writing import write_output
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

_FORMATS = (".yaml", ".yml", ".json")
_BACKUP = ".before-adopt"


def adopt_folder(folder: Path, output: Path) -> None:
    """Writes the configurations of ``folder``, brought up to date, to ``output``, and lists each change.

    ``output`` is a new folder, or ``folder`` itself; then the old files stay beside the new ones as
    ``*.before-adopt``.

    :raises UserError: there is a file that cannot be adopted, or one that BSB does not load afterwards; or
        ``output`` holds something. Nothing is changed then.
    """
    in_place = output.exists() and output.samefile(folder)
    _check_output(folder, output, in_place)
    parts = _adopt_parts(folder)
    new, inlined = _settle({name: one.adopted.tree for name, one in parts.items()}, parts)
    texts = {
        name: tree_text(Path(name), tree, f"adopted from {Path(name).name}")
        for name, tree in new.items()
        if tree != parts[name].old
    }
    readings = _check(folder, parts, new)
    if in_place:
        _write_in_place(folder, texts)
    else:
        _write_new(folder, output, parts, texts)
    for name, one in parts.items():
        tell_changes(folder / name, one.adopted, commented=name in texts)
        if name in inlined:
            click.echo(
                "  parts of other files: now in the file itself, they cannot be changed for all who take them"
            )
    for name, reading in readings.items():
        tell_unread(folder / name, reading)
    click.echo(f"checked: BSB loads the {len(readings)} whole configurations of {len(parts)} files")
    kept = f"; the old files are there as *{_BACKUP}" if in_place and texts else ""
    click.echo(f"written: {len(texts) if in_place else len(parts)} files in {output}{kept}")


def _check_output(folder: Path, output: Path, in_place: bool) -> None:
    if in_place:
        return
    if output.suffix in _FORMATS:
        raise UserError(
            f"output: {folder} is a folder: name the folder to write with --output, or {folder} itself, "
            f"whose old files then stay as *{_BACKUP}"
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output: {output} is there already; name a new folder, or {folder} itself")


def _adopt_parts(folder: Path) -> dict[str, Part]:
    """By path in the folder.

    :raises UserError: a file cannot be adopted.
    """
    trees = _read_trees(folder)
    try:
        used = check_references(trees)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    wholes = _resolve(folder, trees)
    parts = {}
    for name, tree in trees.items():
        lacking = missing_keys(wholes[name])
        if lacking and name not in used:
            raise UserError(
                f"{folder / name}: is no whole configuration (has no {', '.join(lacking)}) and no other file "
                "takes parts from it; move it elsewhere"
            )
        beside = list(wholes.values())
        adopted = adopt_tree(folder / name, tree, wholes[name], beside)
        goal = None if lacking else adopt_tree(folder / name, wholes[name], beside=beside).tree
        parts[name] = part(tree, wholes[name], adopted, goal)
    return parts


def _read_trees(folder: Path) -> dict[str, Tree]:
    """The configurations and parts of such in a folder and those below it, but for hidden ones."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in _FORMATS and path.is_file())
    names = [str(path.relative_to(folder)) for path in found]
    trees = {
        name: read_tree(folder / name)
        for name in names
        if not any(step.startswith(".") for step in Path(name).parts)
    }
    wanted = {name for name, tree in trees.items() if is_configuration(tree)}
    while True:
        taken = {other for name in wanted for other in taken_files(name, trees[name])}
        if taken & trees.keys() <= wanted:
            break
        wanted |= taken & trees.keys()
    if not wanted:
        raise UserError(f"{folder}: holds no BSB configuration (.yaml, .yml, .json)")
    return {name: tree for name, tree in trees.items() if name in wanted}


def _resolve(folder: Path, trees: Mapping[str, Tree]) -> dict[str, Tree]:
    """:raises UserError: BSB cannot put the parts of a file together."""
    texts = [Text(tree_text(Path(name), tree, name), folder / name) for name, tree in trees.items()]
    readings = dict(zip(trees, read_with_bsb(texts, whole=False), strict=True))
    for name, reading in readings.items():
        if reading.error:
            raise UserError(f"{folder / name}: BSB cannot read it: {reading.error}")
    return {name: reading.tree for name, reading in readings.items()}


def _settle(new: dict[str, Tree], parts: Mapping[str, Part]) -> tuple[dict[str, Tree], set[str]]:
    """The files to write, and which of them hold their parts themselves, as there is no other way for them."""
    goals = {name: one.goal for name, one in parts.items() if one.goal is not None}
    old = {name: one.old for name, one in parts.items()}
    inlined: set[str] = set()
    while True:
        with tempfile.TemporaryDirectory() as scratch:
            readings = _stage(Path(scratch), new, list(goals), whole=False)
        off = {
            name for name in goals if readings[name].error or not same_tree(readings[name].tree, goals[name])
        }
        if not off - inlined:
            return new, inlined
        # What is wrong may be so because of a part: those first that take none which is wrong itself.
        first = {name for name in off if not off & all_taken(name, old)} or off
        inlined |= first
        new = {**new, **{name: goals[name] for name in first}}


def _stage(scratch: Path, trees: Mapping[str, Tree], names: list[str], *, whole: bool) -> dict[str, Reading]:
    """What BSB reads in these files, with all of them laid out in a folder of their own."""
    texts = {name: tree_text(Path(name), tree, name) for name, tree in trees.items()}
    for name, text in texts.items():
        write_output_below(scratch / name, text)
    asked = [Text(texts[name], scratch / name) for name in names]
    return dict(zip(names, read_with_bsb(asked, whole=whole), strict=True))


def _check(folder: Path, parts: Mapping[str, Part], new: Mapping[str, Tree]) -> dict[str, Reading]:
    """:raises UserError: BSB does not load one of the whole configurations."""
    names = [name for name, one in parts.items() if one.goal is not None]
    with tempfile.TemporaryDirectory() as scratch:
        readings = _stage(Path(scratch), new, names, whole=True)
    for name, reading in readings.items():
        if reading.error:
            raise UserError(f"{folder / name}: BSB does not load it: {reading.error}")
    return readings


def write_output_below(path: Path, text: str) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, text)


def _write_new(folder: Path, output: Path, parts: Mapping[str, Part], texts: Mapping[str, str]) -> None:
    """Under a temporary name first: a folder of the final name is whole."""
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        for name in parts:
            if name in texts:
                write_output_below(partial / name, texts[name])
            else:
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, partial / name)
        partial.replace(output)
    except OSError as error:
        raise UserError(f"output: {output} cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_in_place(folder: Path, texts: Mapping[str, str]) -> None:
    """Copies of the old files first; if one cannot be written, all are as they were."""
    backups = {folder / name: folder / f"{name}{_BACKUP}" for name in texts}
    for backup in backups.values():
        if backup.exists():
            raise UserError(f"{backup}: is there from an earlier time; move it elsewhere")
    copied = []
    try:
        for path, backup in backups.items():
            copied.append(path)
            shutil.copy2(path, backup)
        for name, text in texts.items():
            write_output(folder / name, text)
    except BaseException as error:
        for path in copied:
            if backups[path].exists():
                backups[path].replace(path)
        if isinstance(error, OSError):
            raise UserError(f"{folder} cannot be written ({error.strerror})") from error
        raise
