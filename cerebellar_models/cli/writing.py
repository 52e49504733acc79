"""Configurations as text, and onto disk."""

import json
from pathlib import Path
from typing import Any

import yaml

from cerebellar_models.circuits.catalogue import Tree
from cerebellar_models.deploy.run_folder import write_atomically
from cerebellar_models.errors import UserError


def tree_text(output: Path, tree: Tree, head: str) -> str:
    """The configuration in the format of the output's name, headed by a comment where the format has them.

    :raises UserError: the name ends in no format BSB reads.
    """
    if output.suffix == ".json":
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    if output.suffix in (".yaml", ".yml"):
        return yaml_text(tree, head)
    raise UserError(f"output: {output} ends in none of .yaml, .yml, .json")


def yaml_text(tree: Tree, head: str) -> str:
    return f"# {head}\n" + yaml.dump(tree, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=110)


def write_output(output: Path, text: str) -> None:
    """:raises UserError: the file cannot be written."""
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(f"output: {output} cannot be written ({error.strerror})") from error


class _NoAliases(yaml.SafeDumper):
    """Tables that occur twice are written twice: BSB's parser and people read no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
