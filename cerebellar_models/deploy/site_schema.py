"""Checks a site's file against jobscripts/site.schema.json, and says in one line what is wrong."""

import functools
import json
from pathlib import Path
from typing import Any

from cerebellar_models.bundle import bundle_folder
from cerebellar_models.errors import UserError
from cerebellar_models.extras import install_hint

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def check(content: dict[str, Any], path: Path) -> None:
    """:raises UserError: something in the file is not as the schema wants it: file, key, what is allowed."""
    from jsonschema.exceptions import relevance

    errors = list(_validator().iter_errors(content))
    if errors:
        raise UserError(f"{path}: {_explained(max(errors, key=relevance))}")


@functools.cache
def _validator() -> Any:
    try:
        from jsonschema import Draft202012Validator
    except ModuleNotFoundError as error:
        raise UserError(f"reading sites needs jsonschema: {install_hint('deploy')}") from error
    return Draft202012Validator(json.loads((bundle_folder("jobscripts") / "site.schema.json").read_text()))


def _explained(error: Any) -> str:
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    place = f"{key.removeprefix('.')}: " if key else ""
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = ", ".join(sorted(set(error.instance) - set(known)))
        return f"{place}there is no key '{unknown}'; known: {', '.join(sorted(known))}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{place}has no '{missing[0]}'"
    return f"{place}{error.instance!r} is not {_allowed(error)}"


def _allowed(error: Any) -> str:
    if error.validator == "enum":
        return f"one of {', '.join(map(str, error.validator_value))}"
    if error.validator == "type":
        wanted = error.validator_value
        return " or ".join(_TYPES[name] for name in ([wanted] if isinstance(wanted, str) else wanted))
    return str(error.schema.get("description", error.message))
