"""Checks what a file holds against a JSON schema, and says in one line what is wrong and what would be right.

Two things are stricter than in JSON Schema: a number is finite, and 1.0 is no whole number. One keyword is more:
``openTo`` says what a mapping may hold beside its ``properties``, so that any key is good but one that is nearly a
property which the mapping lacks. Other readers of a schema pass over it.
"""

import difflib
import functools
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from cerebellar_models.errors import UserError

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
# Share of letters in common. A name that may be anything is taken for a misspelling only if it is nearer.
_ALIKE, _MISSPELT = 0.6, 0.8
_MOST_SHOWN = 60  # characters of a value


def check(content: Any, path: Path, schema: Path, kind: str | None = None) -> None:
    """:param kind: the definition of the schema that holds for this file; None: the schema itself.

    :raises UserError: something in the file is not as the schema wants it: file, key, what would be right.
    """
    try:
        errors = list(_validator(schema, kind).iter_errors(content))
    except RecursionError as error:
        raise UserError(f"{path}: is nested too deeply, or refers to itself") from error
    if errors:  # what is wrong further up is told first
        raise UserError(f"{path}: {_explained(min(errors, key=lambda error: len(error.absolute_path)))}")


def instead(name: object, known: Iterable[object]) -> str:
    """What would be right in place of a name: the one that it nearly is, or else all there are."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), names, 1, _ALIKE)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"


@functools.cache
def _validator(schema: Path, kind: str | None) -> Any:
    content = json.loads(schema.read_text(encoding="utf-8"))
    of_kind = content if kind is None else {"$ref": f"#/$defs/{kind}", "$defs": content["$defs"]}
    types = Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number).redefine("integer", _is_whole)
    kind_of_ours = extend(Draft202012Validator, {"openTo": _misspelt}, type_checker=types)  # type: ignore[no-untyped-call]
    return kind_of_ours(of_kind)


def _is_number(_checker: Any, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(_checker: Any, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _misspelt(validator: Any, _open_to: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    lacking = [name for name in known if name not in instance]
    for key in instance:
        if key not in known and (near := difflib.get_close_matches(str(key), lacking, 1, _MISSPELT)):
            yield ValidationError(f"there is no key '{key}'; did you mean '{near[0]}'?")


def _explained(error: Any) -> str:
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    place = f"{key.removeprefix('.')}: " if key else ""
    if error.validator == "openTo":
        return f"{place}{error.message}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next(name for name in error.instance if name not in known)
        return f"{place}there is no key '{unknown}'; {instead(unknown, known)}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{place}has no '{missing}'"
    if error.validator in ("minProperties", "minItems", "maxItems") and error.instance in ({}, []):
        return f"{place}is empty; expected {_allowed(error)}"
    return f"{place}{_shown(error.instance)} is not {_allowed(error)}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _allowed(error: Any) -> str:
    if error.validator == "enum":
        return f"one of {', '.join(map(str, error.validator_value))}"
    if error.validator == "type":
        wanted = error.validator_value
        return " or ".join(_TYPES[name] for name in ([wanted] if isinstance(wanted, str) else wanted))
    return str(error.schema.get("description", error.message))
