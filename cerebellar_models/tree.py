"""Trees of plain values, as YAML and JSON files hold them."""

from typing import Any

from cerebellar_models.errors import UserError

Tree = dict[str, Any]


def mapping(content: Any, where: str) -> Tree:
    """What should be a mapping.

    :param where: file, keys, or both; stands before what is wrong.
    :raises UserError: it is none.
    """
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping, found {type(content).__name__}")
    return content


def mappings(content: Any, where: str) -> dict[str, Tree]:
    """What should be a mapping of mappings.

    :raises UserError: it is none, or one of its rows is not; names it.
    """
    return {name: mapping(row, f"{where}.{name}") for name, row in mapping(content, where).items()}


def inner(tree: Tree, key: str, above: str = "") -> Tree:
    """The mapping under a key, an empty one where it is missing or empty.

    :param above: path of the tree.
    :raises UserError: it is none.
    """
    return {} if tree.get(key) is None else mapping(tree[key], f"{above}.{key}".lstrip("."))


def nodes(tree: Tree, block: str, above: str = "") -> dict[str, Tree]:
    """By its path, each node of a block, without the block's references to other places (``$ref``).

    :raises UserError: the block or one of its nodes is no mapping.
    """
    path = f"{above}.{block}".lstrip(".")
    rows = mappings(without_references(inner(tree, block, above)), path)
    return {f"{path}.{name}": node for name, node in rows.items()}


def without_references(block: Tree) -> Tree:
    """Its rows, but for what it takes from other places (``$ref``, ``$import``)."""
    return {name: row for name, row in block.items() if not str(name).startswith("$")}


def merged(tree: Tree, changes: Tree) -> Tree:
    """The tree with the values of another over it, key by key at every depth."""
    both = dict(tree)
    for key, value in changes.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both
