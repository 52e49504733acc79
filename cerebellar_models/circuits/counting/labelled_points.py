"""The labelled points of a morphology, read from its SWC file as BSB's own parser reads it, without BSB."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cerebellar_models.installation import bundle_folder
from cerebellar_models.tree import Tree

_PREFIX = "cerebellum://"
# What BSB calls these SWC tags where a configuration does not say.
_BSB_TAGS = {1: "soma", 2: "axon", 3: "dendrites"}
_SOMA = 1


@dataclass(frozen=True, eq=False)
class Morphology:
    """Points (n, 3) µm of a reconstruction, the soma's first at the origin, and their labels."""

    points: np.ndarray
    tags: np.ndarray
    labels: dict[int, frozenset[str]]

    def labelled(self, labels: tuple[str, ...]) -> np.ndarray:
        """The points that carry any of the labels; all of them if none is given."""
        if not labels:
            return self.points
        chosen = [tag for tag in np.unique(self.tags) if self.labels.get(int(tag), frozenset()) & set(labels)]
        return self.points[np.isin(self.tags, chosen)]

    @property
    def extent(self) -> np.ndarray:
        """Low and high corner (2, 3) of the whole cell."""
        return np.array([self.points.min(axis=0), self.points.max(axis=0)])


def read_morphology(entry: Tree | str) -> Morphology:
    """The morphology of an entry of a configuration's ``morphologies``.

    :raises ValueError: it is not an SWC file that BSB's parser reads, or cannot be read here; says why.
    """
    entry = {"file": entry} if isinstance(entry, str) else entry
    file, parser = entry.get("file"), entry.get("parser") or {}
    parser = {"parser": parser} if isinstance(parser, str) else parser
    if not isinstance(parser, dict):
        raise ValueError(f"morphology {file}: parser: expected a name or a mapping")
    if not isinstance(file, str) or not file.lower().endswith(".swc") or parser.get("parser", "bsb") != "bsb":
        raise ValueError(f"morphology {entry.get('name', file)} is no SWC file for BSB's parser")
    if entry.get("pipeline"):
        raise ValueError(f"morphology {file} goes through a pipeline")
    path = bundle_folder("morphologies") / file[len(_PREFIX) :] if file.startswith(_PREFIX) else Path(file)
    try:
        tags = tuple(
            sorted(
                (int(tag), (labels,) if isinstance(labels, str) else tuple(labels))
                for tag, labels in (parser.get("tags") or {}).items()
            )
        )
    except (TypeError, AttributeError) as error:
        raise ValueError(f"morphology {file}: tags: expected labels by tag") from error
    try:
        return _read(path.resolve(), tags)
    except OSError as error:
        raise ValueError(f"morphology {file}: {error.strerror or 'cannot be read'}") from error


@functools.lru_cache(maxsize=64)
def _read(path: Path, tags: tuple[tuple[int, tuple[str, ...]], ...]) -> Morphology:
    with path.open(encoding="utf-8") as file:
        table = np.loadtxt(file, comments="#", ndmin=2)
    if table.shape[1] != 7:
        raise ValueError(f"morphology {path.name}: an SWC file has seven columns, not {table.shape[1]}")
    kinds, points = table[:, 1].astype(int), table[:, 2:5]
    row_of = {int(sample): row for row, sample in enumerate(table[:, 0])}
    parents = np.array([row_of.get(int(parent), -1) for parent in table[:, 6]])
    # A branch begins with a copy of the point it leaves, under its own tag; not where it leaves the soma.
    children = np.bincount(parents[parents >= 0], minlength=len(table))
    begins = (parents >= 0) & (children[parents] > 1) & (kinds[parents] != _SOMA)
    labels = {tag: frozenset([label]) for tag, label in _BSB_TAGS.items()}
    return Morphology(
        np.concatenate((points, points[parents[begins]])),
        np.concatenate((kinds, kinds[begins])),
        labels | {tag: frozenset(names) for tag, names in tags},
    )
