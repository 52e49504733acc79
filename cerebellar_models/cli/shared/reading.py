"""A configuration from a file, YAML or JSON."""

import json
from pathlib import Path

from cerebellar_models.circuits.catalogue import read_yaml
from cerebellar_models.errors import UserError
from cerebellar_models.files import read_text
from cerebellar_models.tree import Tree


def read_tree(path: Path) -> Tree:
    """:raises UserError: missing, unreadable, or not a mapping."""
    if path.suffix != ".json":
        return read_yaml(path)
    try:
        tree = json.loads(read_text(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path}: is nested too deeply") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping at the top, found {type(tree).__name__}")
    return tree
