"""What identifies a circuit, and what identifies a simulation, whatever file they lie in. Values in, digests out.

A circuit's digest stands for its content: of each population the position, rotation, morphology and labels of every
cell, of each projection the pairs of cells with the branches and points of their contacts. Chunks, their order, the
order of rows, the numbers that stand for labels and the ranks that compiled it leave no trace. Cells have no name
that lasts, so they are put in the order of their content; those alike in all of it (such as cells that are nowhere
in space) keep the order in which BSB numbers them, and so are still told apart by their contacts.

Contacts are sorted and hashed by postsynaptic cell, and these hashes by cell: memory is bounded by a block of the file
(the contacts onto the cells of one chunk), and a collision is one of BLAKE2b, which a sum of hashes of rows would not
promise.

A simulation's digest stands for its models, parameters and devices. It leaves out `_RESOURCES`, `_DISPLAY` and
`_SEEDS`, and the simulation's own name. A default that is written out counts as a value: which defaults there are only
the simulator knows.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.tree import Tree

FORMAT = 1
"""digests of different formats cannot be compared"""
_BYTES = 16
# Keys of a simulation that say by what means it runs,
_RESOURCES = ("threads",)
# what is shown of it,
_DISPLAY = ("verbosity",)
# and where its random numbers start: other seeds are repetitions of one simulation. (`seed` is of BSB before 8.)
_SEEDS = ("rng", "seed")
_LARGEST_PLACE = 2**31 - 2


@dataclass(frozen=True, eq=False)
class Cells:
    """A population, in the order in which BSB numbers its cells."""

    positions: NDArray[np.float64]  # (cells, 3), µm; NaN: nowhere in space
    rotations: NDArray[np.float64]  # (cells, 3), degrees; NaN: none
    morphologies: list[str]  # (cells,); empty text: none
    labels: list[tuple[str, ...]]  # (cells,): each sorted


@dataclass(frozen=True, eq=False)
class Ends:
    """Contacts between cells, numbered as their populations are. A row is cell, branch, point; -1: no morphology."""

    pre: NDArray[np.int64]  # (contacts, 3)
    post: NDArray[np.int64]  # (contacts, 3)


@dataclass(frozen=True)
class CircuitDigests:
    """Of a circuit, and of what it consists of, which tells in what two circuits differ.

    A projection's digest counts the cells in the order of their content: it may change with a cell's position, too.
    """

    circuit: str
    populations: dict[str, str]
    projections: dict[str, str]


def simulation_digests(configuration: Tree) -> dict[str, str]:
    """By the name of each simulation that a configuration holds."""
    return {name: simulation_digest(tree) for name, tree in (configuration.get("simulations") or {}).items()}


def simulation_digest(simulation: Tree) -> str:
    left_out = {*_RESOURCES, *_DISPLAY, *_SEEDS}
    kept = {key: value for key, value in simulation.items() if key not in left_out}
    return _of_value({"format": FORMAT, "simulation": kept})


def circuit_digests(populations: Mapping[str, str], projections: Mapping[str, str]) -> CircuitDigests:
    """:param projections: those that have contacts; one without is none."""
    content = {"format": FORMAT, "populations": dict(populations), "projections": dict(projections)}
    return CircuitDigests(_of_value(content), dict(populations), dict(projections))


def population_digest(cells: Cells, shapes: Mapping[str, str]) -> tuple[str, NDArray[np.int64]]:
    """The digest, and the place (cells,) of each cell in the order by content.

    :param shapes: digest of each morphology, by its name.
    """
    # Names stand in the order of the alphabet, so that their numbers do not depend on who was first.
    morphologies, labels = sorted(set(cells.morphologies)), sorted(set(cells.labels))
    numbers = {name: number for number, name in enumerate(morphologies)}
    sets = {names: number for number, names in enumerate(labels)}
    rows = np.empty((len(cells.positions), 8), "<f8")
    rows[:, :3], rows[:, 3:6] = cells.positions, cells.rotations
    rows[:, 6] = [numbers[name] for name in cells.morphologies]
    rows[:, 7] = [sets[names] for names in cells.labels]
    rows += 0.0  # -0.0 is 0.0
    rows[np.isnan(rows)] = np.nan  # whatever its bits
    order = np.lexsort(rows.T[::-1])
    places = np.empty(len(rows), np.int64)
    places[order] = np.arange(len(rows))
    head = {"morphologies": [[name, shapes.get(name, "")] for name in morphologies], "labels": labels}
    return _hashed(_text(head).encode(), rows[order].tobytes()), places


def projection_digest(
    types: tuple[str, str],
    blocks: Iterable[Ends],
    pre_places: NDArray[np.int64],
    post_places: NDArray[np.int64],
) -> str:
    """:param types: of the cells before and after the synapse.
    :param blocks: each has all contacts onto its postsynaptic cells.
    :param pre_places, post_places: see `population_digest`.
    :raises ValueError: a branch or point is no number that a morphology can have.
    """
    of_cell = np.zeros((len(post_places), _BYTES), np.uint8)
    contacted = np.zeros(len(post_places), bool)
    for block in blocks:
        pre, post = pre_places[block.pre[:, 0]], post_places[block.post[:, 0]]
        rows = np.stack([pre, _place(block.pre), _place(block.post)], axis=1).astype("<i8")
        # By pair of cells, then by where they touch.
        order = np.lexsort((rows[:, 2], rows[:, 1], post * len(pre_places) + pre))
        rows, post = rows[order], post[order]
        begins = np.flatnonzero(np.diff(post, prepend=-1))
        for begin, end in zip(begins, [*begins[1:], len(post)], strict=True):
            of_cell[post[begin]] = np.frombuffer(_digest(rows[begin:end]), np.uint8)
        contacted[post[begins]] = True
    cells = np.flatnonzero(contacted).astype("<i8")
    return _hashed(_text(types).encode(), cells.tobytes(), of_cell[cells].tobytes())


def morphology_digest(
    points: NDArray[np.float64], graph: NDArray[np.int64], labels: list[tuple[str, ...]]
) -> str:
    """:param points: (points, columns): x, y, z, radius in µm, and what else is known of a point.
    :param graph: (branches, 2): end of each branch in the points, and the branch it grows from.
    :param labels: (points,): each sorted.
    """
    sets = sorted(set(labels))
    numbers = {names: number for number, names in enumerate(sets)}
    coded = np.array([numbers[names] for names in labels], "<i8")
    head = {"labels": sets, "shapes": [points.shape, graph.shape]}
    values = (points + 0.0).astype("<f8")
    return _hashed(_text(head).encode(), values.tobytes(), graph.astype("<i8").tobytes(), coded.tobytes())


def _place(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Branch and point in one number."""
    where = ends[:, 1:]
    if where.size and not -1 <= where.min() <= where.max() <= _LARGEST_PLACE:
        raise ValueError(f"branches and points from {where.min()} to {where.max()}")
    return ((where[:, 0] + 1) << 32) | (where[:, 1] + 1)


def _of_value(content: Any) -> str:
    return _hashed(_text(content).encode())


def _text(content: Any) -> str:
    """The same for values that mean the same: 1 and 1.0, and keys in any order."""
    return json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _canonical(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _hashed(*parts: bytes) -> str:
    """Of parts of known number, each by its length, so that none can pass for the begin of the next."""
    digest = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _digest(rows: NDArray[np.int64]) -> bytes:
    return hashlib.blake2b(rows.data, digest_size=_BYTES).digest()
