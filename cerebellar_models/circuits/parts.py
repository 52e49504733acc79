"""Parts that can be added to a circuit: what belongs together, how one merges into the tree. Pure."""

import copy
from collections.abc import Iterable, Mapping

from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

# The blocks of a part that merge into the circuit, row by row.
BLOCKS = (
    "regions",
    "partitions",
    "cell_types",
    "placement",
    "after_placement",
    "connectivity",
    "after_connectivity",
)


def with_requirements(parts: Mapping[str, Tree], chosen: Iterable[str]) -> tuple[str, ...]:
    """The chosen parts and those they bring along, each once, a part after those it requires.

    :raises UserError: a part that does not exist, is given twice, or requires itself.
    """
    chosen = tuple(chosen)
    repeated = sorted({name for name in chosen if chosen.count(name) > 1})
    if repeated:
        raise UserError(f"part: '{repeated[0]}' is given more than once")
    ordered: dict[str, None] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise UserError(
                f"part: '{name}' requires itself: {' -> '.join((*above[above.index(name) :], name))}"
            )
        if name not in parts:
            origin = f" that '{above[-1]}' requires" if above else ""
            raise UserError(
                f"part: there is no '{name}'{origin}; known: {', '.join(sorted(parts)) or 'none'}"
            )
        for required in parts[name].get("requires", ()):
            add(required, (*above, name))
        ordered[name] = None

    for name in sorted(chosen, key=lambda name: list(parts).index(name) if name in parts else -1):
        add(name, ())
    return tuple(ordered)


def add_parts(circuit: Tree, parts: Mapping[str, Tree], names: Iterable[str]) -> Tree:
    """A circuit with the parts added in order.

    A part's row with the name of a row that is there replaces the fields it gives; the row keeps its others.
    """
    merged = copy.deepcopy(circuit)
    for name in names:
        part = copy.deepcopy(parts[name])
        for block in BLOCKS:
            for row, fields in part.get(block, {}).items():
                merged.setdefault(block, {}).setdefault(row, {}).update(fields)
        merged["microzones"] = [*merged.get("microzones", ()), *part.get("microzones", ())]
    return merged
