"""Where the bundled reconstructions can stand for the morphology files of an older configuration. Pure.

A file is replaced only if the circuit stays the same: the bundled cell has to have the shape of the file as
its pipeline turns it, and the labels that the configuration speaks of have to lie where they lay. Published
files have y and z exchanged, and a pipeline that exchanges them back; the bundled ones need none.
"""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

Reading = Callable[[str], str | None]
"""Text of a morphology file by its name in the configuration, None where it is not found."""

# What BSB's SWC parser calls the standard tags.
_STANDARD_LABELS = {1: ["soma"], 2: ["axon"], 3: ["dendrites"]}
_SOMA = 1
# µm: samples that mark a change of label lie half a nanometre off in the bundled files.
_SAME_PLACE = 0.01
# Of the length of all neurites, which lose points that lie on one another and nothing else.
_SAME_LENGTH = 1e-3
# The exchange that files of the published package need, as axes in ascending order.
_PUBLISHED_SWAP = (1, 2)


@dataclass(frozen=True)
class MorphologyPlace:
    """One morphology file of a configuration: where it is named, and all that shapes it."""

    path: str
    entry: Any
    shared: Tree
    """the group it belongs to, empty if none; its pipeline comes after the file's own"""

    @property
    def file(self) -> Any:
        return self.entry.get("file") if isinstance(self.entry, dict) else self.entry

    @property
    def steps(self) -> list[Any]:
        """:raises UserError: a pipeline is no list."""
        own = self.entry if isinstance(self.entry, dict) else {}
        return [*_list(own, "pipeline", self.path), *_list(self.shared, "pipeline", self.path)]

    @property
    def parser(self) -> Any:
        own = self.entry.get("parser") if isinstance(self.entry, dict) else None
        return own or self.shared.get("parser") or {}


@dataclass(frozen=True)
class _Shape:
    """Lowest and highest coordinates (µm) of a cell and of each label, and the length (µm) of its neurites."""

    length: float
    bounds: NDArray[np.float64]
    labels: dict[str, NDArray[np.float64]]

    def swapped(self, axes: tuple[int, int]) -> "_Shape":
        order = [0, 1, 2]
        order[axes[0]], order[axes[1]] = axes[1], axes[0]
        labels = {label: bounds[:, order] for label, bounds in self.labels.items()}
        return _Shape(self.length, self.bounds[:, order], labels)

    def size(self) -> str:
        return " x ".join(f"{side:.0f}" for side in self.bounds[1] - self.bounds[0]) + " µm"


@dataclass(frozen=True)
class _Verdict:
    """Whether the bundled cell stands for a file, and which steps of the pipeline still apply to it."""

    kept_because: str = ""
    steps: tuple[Any, ...] = ()


def use_bundled_morphologies(
    tree: Tree, manifest: Tree, reading: Reading, beside: Sequence[Tree]
) -> tuple[list[str], list[str]]:
    """Replaces files in ``tree``; returns the changes, and hints on files that stay.

    :param beside: other files that may speak of labels.
    """
    bundled = {entry["file"]: entry["bsb"] for entry in manifest.values()}
    changes: list[str] = []
    hints: list[str] = []
    new: list[Any] = []
    for old, places in _grouped_places(tree):
        left = []
        for place in places:
            ours = bundled.get(file_name(place.file))
            if ours is None or place.file == ours["file"]:
                left.append(place.entry)
                hints += _hints_of_side(place.path, ours, place.steps) if ours else ()
                continue
            words = _words_for(_name(place), [tree, *beside])
            verdict = _verdict(place, ours, reading, words)
            if verdict.kept_because:
                left.append(place.entry)
                hints.append(f"{place.path}: {place.file} stays, with its pipeline: {verdict.kept_because}")
                continue
            new.append(_bundled_entry(place, ours, verdict.steps))
            changes.append(f"{place.path}: {place.file} -> {ours['file']} with the labels of that file")
            changes += _told_steps(place, verdict.steps)
            hints += (*_hints_of_labels(place, ours), *_hints_of_side(place.path, ours, verdict.steps))
        if left:
            new.append({**old, "files": left} if is_group(old) else old)
    if "morphologies" in tree and changes:
        tree["morphologies"] = new
    return changes, hints


def morphology_places(tree: Tree) -> Iterator[MorphologyPlace]:
    """Each morphology file named at the top of a configuration.

    :raises UserError: ``morphologies`` is no list.
    """
    for _, places in _grouped_places(tree):
        yield from places


def _grouped_places(tree: Tree) -> Iterator[tuple[Any, list[MorphologyPlace]]]:
    for number, entry in enumerate(_list(tree, "morphologies", "")):
        path = f"morphologies[{number}]"
        if is_group(entry):
            files = enumerate(entry["files"])
            yield entry, [MorphologyPlace(f"{path}.files[{inner}]", file, entry) for inner, file in files]
        else:
            yield entry, [MorphologyPlace(path, entry, {})]


def is_group(entry: Any) -> bool:
    """Whether an entry of ``morphologies`` is several files with one pipeline."""
    return isinstance(entry, dict) and isinstance(entry.get("files"), list)


def file_name(file: Any) -> str:
    """The last part of a path, Linux or Windows, or of our own address; nothing of any other address."""
    text = str(file)
    if "://" in text and not text.startswith(("file://", "cerebellum://")):
        return ""
    return re.split(r"[/\\]", text)[-1]


def labels_of(parser: Any) -> dict[int, list[str]]:
    """The labels a parser of BSB's gives to each tag, beside the standard ones."""
    tags = parser.get("tags") if isinstance(parser, dict) else None
    try:
        return {
            int(tag): [some] if isinstance(some, str) else list(some) for tag, some in (tags or {}).items()
        }
    except (TypeError, ValueError, AttributeError):
        return {}


def _verdict(place: MorphologyPlace, ours: Tree, reading: Reading, words: set[str]) -> _Verdict:
    steps, swaps = place.steps, _leading_swaps(place.steps)
    text, bundled = reading(str(place.file)), reading(ours["file"])
    if text is None or bundled is None:
        if not steps or swaps[:1] == [_PUBLISHED_SWAP]:
            return _with_rest(steps[1:])
        return _Verdict("it is not found here, and its pipeline is not that of the published file")
    if (name := _parser_name(place.parser)) != "bsb":
        return _Verdict(f"the bundled file is not made for the parser {name}")
    old, new = _shape(text, labels_of(place.parser)), _shape(bundled, labels_of(ours["parser"]))
    if old is None or new is None:
        return _Verdict("it cannot be read as SWC")
    for number in range(len(swaps) + 1):
        if _same(old, new):
            elsewhere = _moved_labels(old, new, words)
            if elsewhere:
                return _Verdict(f"in the bundled file {', '.join(elsewhere)} is another part of the cell")
            return _with_rest(steps[number:])
        if number < len(swaps):
            old = old.swapped(swaps[number])
    return _Verdict(f"it is another cell than the bundled one ({new.size()})")


def _with_rest(rest: list[Any]) -> _Verdict:
    """Steps of BSB's mean the same on the same shape; what other code makes of single points is not known."""
    foreign = [name for name in map(_step_name, rest) if "." in name]
    return _Verdict(f"{foreign[0]} was written for it") if foreign else _Verdict(steps=tuple(rest))


def _leading_swaps(steps: Sequence[Any]) -> list[tuple[int, int]]:
    """The exchanges of axes a pipeline starts with."""
    swaps: list[tuple[int, int]] = []
    for step in steps:
        axes = [step.get(key) for key in ("axis1", "axis2")] if isinstance(step, dict) else []
        first, second = axes or (None, None)
        if _step_name(step) != "swap_axes" or not isinstance(first, int) or not isinstance(second, int):
            break
        if not {first, second} <= {0, 1, 2}:
            break
        swaps.append((min(first, second), max(first, second)))
    return swaps


def _step_name(step: Any) -> str:
    return str(step.get("func")) if isinstance(step, dict) else str(step)


def _parser_name(parser: Any) -> str:
    return str(parser.get("parser", "bsb")) if isinstance(parser, dict) else str(parser)


def _shape(text: str, labels: dict[int, list[str]]) -> _Shape | None:
    """Of an SWC file, None if it is none."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        rows = np.array([line.split() for line in lines], dtype=float)
        samples, tags, points = rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:5]
        row_of = {sample: row for row, sample in enumerate(samples.tolist())}
        parents = np.array([row_of[parent] if parent >= 0 else -1 for parent in rows[:, 6].astype(int)])
    except (ValueError, IndexError, KeyError):
        return None
    # Where neurites are attached to the soma is the one thing that differs between the bundled and the source's files.
    neurite = (parents >= 0) & (tags != _SOMA) & (tags[parents] != _SOMA)
    length = np.linalg.norm(points - points[parents], axis=1)[neurite].sum()
    names = _STANDARD_LABELS | labels
    of_label: dict[str, list[int]] = {}
    for tag in np.unique(tags).tolist():
        for label in names.get(tag, [f"tag_{tag}"]):
            of_label.setdefault(label, []).append(tag)
    return _Shape(
        length=float(length),
        bounds=_bounds(points),
        labels={label: _bounds(points[np.isin(tags, some)]) for label, some in of_label.items()},
    )


def _bounds(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([points.min(axis=0), points.max(axis=0)])


def _same(old: _Shape, new: _Shape) -> bool:
    return (
        np.allclose(old.bounds, new.bounds, rtol=0, atol=_SAME_PLACE)
        and abs(old.length - new.length) <= _SAME_LENGTH * new.length
    )


def _moved_labels(old: _Shape, new: _Shape, words: set[str]) -> list[str]:
    """Labels the configuration speaks of that the two files give to different parts."""
    return [
        label
        for label in sorted(words & {*old.labels, *new.labels})
        if label not in old.labels
        or label not in new.labels
        or not np.allclose(old.labels[label], new.labels[label], rtol=0, atol=_SAME_PLACE)
    ]


def _bundled_entry(place: MorphologyPlace, ours: Tree, steps: tuple[Any, ...]) -> Tree:
    old = place.entry if isinstance(place.entry, dict) else {}
    kept = {key: old[key] for key in old if key not in ("file", "parser", "pipeline", "tags")}
    rest = {"pipeline": list(steps)} if steps else {}
    return {**kept, "file": ours["file"], "parser": copy.deepcopy(ours["parser"]), **rest}


def _told_steps(place: MorphologyPlace, left: tuple[Any, ...]) -> Iterator[str]:
    dropped = [_step_name(step) for step in place.steps[: len(place.steps) - len(left)]]
    if dropped:
        yield f"{place.path}.pipeline: {', '.join(dropped)} dropped, the bundled file lies as it should"


def _hints_of_labels(place: MorphologyPlace, ours: Tree) -> Iterator[str]:
    lost = _all_labels(place.parser) - _all_labels(ours["parser"])
    if lost:
        yield f"{place.path}: labels {', '.join(sorted(lost))} are not in the bundled {file_name(place.file)}"


def _hints_of_side(path: str, ours: Tree, steps: Sequence[Any]) -> Iterator[str]:
    """An earlier release replaced the file and left the pipeline."""
    if _leading_swaps(steps)[:1] == [_PUBLISHED_SWAP]:
        yield f"{path}: {ours['file']} needs no swap_axes: this lays the cell on its side"


def _all_labels(parser: Any) -> set[str]:
    return {label for labels in labels_of(parser).values() for label in labels}


def _name(place: MorphologyPlace) -> str:
    """What cell types call the morphology."""
    own = place.entry.get("name") if isinstance(place.entry, dict) else None
    return str(own or file_name(place.file).rpartition(".")[0])


def _words_for(name: str, trees: Sequence[Tree]) -> set[str]:
    """All texts that may be labels of a morphology: those of rules for cells of other morphologies are not."""
    users: dict[Any, set[Any]] = {}
    for tree in trees:
        types = tree.get("cell_types")
        for cell_type, node in types.items() if isinstance(types, dict) else ():
            spatial = node.get("spatial") if isinstance(node, dict) else None
            names = spatial.get("morphologies") if isinstance(spatial, dict) else None
            if isinstance(names, list) and all(isinstance(some, str) for some in names):
                users.setdefault(cell_type, set()).update(names)
    others = {cell_type for cell_type, names in users.items() if name not in names}
    return {
        word for tree in trees for key in tree if key != "morphologies" for word in _words(tree[key], others)
    }


def _words(node: Any, others: set[Any]) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        types = node.get("cell_types")
        for_others = isinstance(types, list) and all(
            isinstance(some, str) and some in others for some in types
        )
        for key, value in node.items():
            yield str(key)
            if not (for_others and key == "morphology_labels"):
                yield from _words(value, others)
    elif isinstance(node, list):
        for value in node:
            yield from _words(value, others)


def _list(tree: Tree, key: str, above: str) -> list[Any]:
    some = tree.get(key) or []
    if not isinstance(some, list):
        raise UserError(f"{f'{above}.{key}'.lstrip('.')}: expected a list, found {type(some).__name__}")
    return some
