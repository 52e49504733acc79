"""Choices as a file that can be committed and replayed: ``--from`` reads it, ``--save-choices`` writes it.

Its keys are those of :func:`choices.choose`, and every choice is written out, so that replaying it does not
depend on defaults; and ``threads``, where others than one were asked for.
"""

from pathlib import Path
from typing import Any

import click
import yaml

from cerebellar_models.circuits.catalogue import read_yaml
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.resolve import CHOICES, resolve
from cerebellar_models.circuits.texts import rows
from cerebellar_models.errors import UserError


def choices_text(choices: CircuitChoices, threads: int = 1) -> str:
    """The file's content."""
    head = "# Replay with: cerebellar-models configure --from <this file>\n"
    content = rows(choices) | ({"threads": threads} if threads > 1 else {})
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)


def beside(circuit: Path) -> Path:
    """The choices file that `configure` writes beside a circuit, under its name: ``circuit.choices.yaml``."""
    return circuit.with_name(f"{circuit.stem}.choices.yaml")


def named_by(choices: Path) -> str:
    """The name of the circuit that a choices file is of: ``circuit`` of ``circuit.choices.yaml``."""
    return choices.stem.removesuffix(".choices")


def _take_choices(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Makes the file's choices the flags' defaults, after checking that the file is good by itself."""
    if path is None:
        return
    names = (*CHOICES, "threads")
    options = {option.name: option for option in context.command.params if option.name in names}
    given = {key: value for key, value in read_yaml(path).items() if value is not None}
    unknown = [str(key) for key in given if key not in options]
    if unknown:
        raise UserError(
            f"{path}: {unknown[0]}: there is no such choice; known: {', '.join(map(str, options))}"
        )
    given = {key: _typed(context, options[key], value, path) for key, value in given.items()}
    try:
        chosen = {key: value for key, value in given.items() if key in CHOICES}
        resolve(**{"species": options["species"].default, **chosen})
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
