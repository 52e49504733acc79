"""Checks a site's file against jobscripts/site.schema.json, and says in one line what is wrong."""

from pathlib import Path
from typing import Any

from cerebellar_models import schemas
from cerebellar_models.installation import bundle_folder


def check(content: dict[str, Any], path: Path) -> None:
    """:raises UserError: something in the file is not as the schema wants it: file, key, what is allowed."""
    schemas.check(content, path, bundle_folder("jobscripts") / "site.schema.json")
