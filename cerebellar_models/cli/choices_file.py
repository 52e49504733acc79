"""Choices as a file that can be committed and replayed: ``--from`` reads it, ``--save-choices`` writes it.

Its keys are those of :func:`choices.choose`, and every choice is written out, so that replaying it does not
depend on defaults.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import yaml

from cerebellar_models.circuits.catalogue import read_yaml
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.resolve import CHOICES, resolve
from cerebellar_models.errors import UserError


def choices_text(choices: CircuitChoices) -> str:
    """The file's content."""
    rows = {key: _plain(value) for key, value in asdict(choices).items() if value is not None}
    head = "# Replay with: cerebellar-models configure --from <this file>\n"
    return head + yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _take_choices(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Makes the file's choices the flags' defaults, after checking that the file is good by itself."""
    if path is None:
        return
    options = {option.name: option for option in context.command.params if option.name in CHOICES}
    rows = {key: value for key, value in read_yaml(path).items() if value is not None}
    unknown = [str(key) for key in rows if key not in options]
    if unknown:
        raise UserError(
            f"{path}: {unknown[0]}: there is no such choice; known: {', '.join(map(str, options))}"
        )
    given = {key: _typed(context, options[key], value, path) for key, value in rows.items()}
    try:
        resolve(**{"species": options["species"].default, **given})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    context.default_map = {**(context.default_map or {}), **given}


def _typed(context: click.Context, option: click.Parameter, value: Any, path: Path) -> Any:
    """The value as the flag would take it from the command line, so that 1.5 is no whole number."""
    takes_list = option.nargs != 1 or getattr(option, "multiple", False)
    if takes_list != isinstance(value, list):
        raise UserError(
            f"{path}: {option.name}: expected {'a list' if takes_list else 'one value'}, found {value}"
        )
    try:
        return option.type_cast_value(context, _as_typed_in(value))
    except click.BadParameter as error:
        raise UserError(f"{path}: {option.name}: {error.message}") from error


def _as_typed_in(value: Any) -> Any:
    return [_as_typed_in(item) for item in value] if isinstance(value, list) else str(value)


choices_file_option = click.option(
    "--from",
    "choices_file",
    type=click.Path(path_type=Path),
    metavar="CHOICES.YAML",
    is_eager=True,  # before the flags, whose defaults it sets
    expose_value=False,
    callback=_take_choices,
    help="Take the choices of this file; a flag replaces the file's choice.",
)
