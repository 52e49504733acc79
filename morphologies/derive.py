"""Derives the five SWC files and ``manifest.yaml`` of this folder from the PyPI wheel ``dbbs-models``.

    python morphologies/derive.py [--wheel FILE] [--output FOLDER]

The same wheel gives the same bytes. Lengths are µm. What is changed, and why, is told in the README of this
folder; whatever contradicts it in the source (another wheel, another orientation, a second root, a branching
soma) stops the script with one line, before a file is written.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import yaml
from bsb import Morphology, parse_morphology_content
from numpy.typing import NDArray

PACKAGE, VERSION, LICENCE = "dbbs-models", "6.0.0", "GPL-3.0-or-later"
WHEEL_SHA256 = "5d737c1ae3cb221acac274d52af426590dedd7c34c5bf2103726ef3d23c3628d"

SOMA = 1
STANDARD_LABELS = {1: ["soma"], 2: ["axon"], 3: ["dendrites"]}
PARSER = {"parser": "bsb", "skip_boundary_labels": ["soma"]}

DUPLICATE = 1e-6
"""Consecutive samples closer than this (µm) are one point; the source's shortest true segment is 0.01."""
STEP = 5e-4
"""How far (µm) a sample that only marks a change of label moves along its own neurite."""
DECIMALS = 4
"""Of coordinates and radii (µm)."""
ROUND_TO = {"points": 0, "branches": 0, "length": 2, "mean_diameter": 3}
"""Decimals of the manifest's morphometrics."""
LENGTH_TOLERANCE = 1e-3
"""Largest relative change of the length under a label."""

X, Y, Z = 0, 1, 2
# Where the parts of a correctly oriented cell end: (label, axis, lowest (from, to), highest (from, to)), µm.
# z is up, x-z the parasagittal plane, y the direction of the parallel fibres.
ORIENTATION = {
    "GranuleCell": [
        ("parallel_fiber", Y, (-1001, -999), (999, 1001)),
        ("parallel_fiber", Z, (142, 143), (142, 143)),
        ("ascending_axon", Z, (16, 17), (142, 143)),
    ],
    "GolgiCell": [
        ("apical_dendrites", Z, (0, 50), (200, 250)),
        ("axon", Z, (-150, -100), (0, 50)),
        ("axon", Y, (-80, 0), (0, 80)),
    ],
    "PurkinjeCell": [
        ("dendrites", X, (-100, -50), (80, 130)),
        ("dendrites", Y, (-10, 0), (0, 10)),
        ("dendrites", Z, (-10, 10), (170, 200)),
        ("axon", Z, (-440, -420), (-1, 1)),
    ],
    "StellateCell": [("dendrites", Y, (-20, 0), (0, 20)), ("dendrites", Z, (-80, -50), (60, 90))],
    "BasketCell": [("axon", X, (-200, -150), (0, 60)), ("dendrites", Z, (-60, -30), (150, 180))],
}


Labels = dict[int, list[str]]
"""SWC tag -> labels."""


@dataclass(frozen=True)
class Tree:
    """Samples of one cell, parents before children. ``parents`` holds row numbers, -1 for the root."""

    tags: NDArray[np.int64]
    points: NDArray[np.float64]
    radii: NDArray[np.float64]
    parents: NDArray[np.int64]

    def children(self) -> list[list[int]]:
        out: list[list[int]] = [[] for _ in self.parents]
        for row, parent in enumerate(self.parents):
            if parent >= 0:
                out[parent].append(row)
        return out

    def segment_lengths(self) -> NDArray[np.float64]:
        """Distance of every sample to its parent; 0 for the root."""
        lengths = np.linalg.norm(self.points - self.points[self.parents], axis=1)
        lengths[self.parents < 0] = 0
        return lengths


def stop(message: str) -> NoReturn:
    raise SystemExit(f"derive.py: {message}")


def fetch_wheel(folder: Path) -> Path:
    """Downloads the wheel into ``folder`` from the package index pip is configured for."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    result = subprocess.run([*command, f"{PACKAGE}=={VERSION}"], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        stop(f"cannot download {PACKAGE} {VERSION}: {result.stderr.strip()[-300:]}")
    return wheels[0]


def read_labels(wheel: zipfile.ZipFile, cell: str) -> Labels:
    """Labels of every SWC tag: the standard three and the wheel's own ``swc_tags`` of the cell's model."""
    module = f"dbbs_models/{cell.removesuffix('Cell').lower()}_cell_models.py"
    for node in ast.parse(wheel.read(module)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == f"{cell}Model.swc_tags":
            return STANDARD_LABELS | ast.literal_eval(node.value)
    stop(f"{module} holds no swc_tags")


def read_swc(text: str) -> Tree:
    rows = np.array([line.split() for line in text.splitlines() if line and line[0] != "#"], dtype=float)
    numbers, parents = rows[:, 0].astype(int), rows[:, 6].astype(int)
    row_of = {int(number): row for row, number in enumerate(numbers)} | {-1: -1}
    tree = Tree(rows[:, 1].astype(int), rows[:, 2:5], rows[:, 5], np.array([row_of[p] for p in parents]))
    if (tree.parents < 0).sum() != 1 or (tree.parents >= np.arange(len(rows))).any():
        stop("the samples are not one tree with parents before children")
    if tree.tags[0] != SOMA or tree.points[0].any():
        stop("the samples do not start with a soma sample at the origin")
    return tree


def hang_on_soma_end(tree: Tree) -> Tree:
    """Makes every neurite a child of the last soma sample, so that the soma is one unbranched piece.

    BSB ends a branch at every sample with several children and, skipping soma boundaries, draws no segment to
    any of them: a soma that bears neurites along its way would lose the segments in between.
    """
    soma = np.flatnonzero(tree.tags == SOMA)
    if not np.array_equal(tree.parents[soma], [-1, *soma[:-1]]):
        stop("source soma is not one unbranched run of samples")
    first_of_neurite = (tree.tags != SOMA) & (tree.tags[tree.parents] == SOMA)
    return replace(tree, parents=np.where(first_of_neurite, soma[-1], tree.parents))


def drop_duplicates(tree: Tree) -> Tree:
    """Without segments of zero length; geometry, branching and labels as BSB sees them stay.

    A duplicate of its parent goes, and its children hang on the parent: where that branches, BSB itself
    starts each child branch with a copy of the branch point under the child's label. Only where the label
    changes and nothing branches, or at the soma, does the duplicate hold information, the start of the
    labelled part; it stays, ``STEP`` further along.
    """
    parents, points = tree.parents.copy(), tree.points.copy()
    kept = np.ones(len(parents), dtype=bool)
    children = tree.children()
    for row in np.flatnonzero(tree.segment_lengths() < DUPLICATE)[1:]:
        parent = parents[row]
        only_child = len(children[parent]) == 1 and len(children[row]) == 1
        at_soma = tree.tags[parent] == SOMA
        if tree.tags[row] != tree.tags[parent] and (only_child or at_soma):
            if len(children[row]) != 1:
                stop(f"sample {row + 1}: cannot tell where to move a duplicate point")
            ahead = points[children[row][0]] - points[row]
            points[row] += ahead / np.linalg.norm(ahead) * STEP
            continue
        if any(tree.tags[child] != tree.tags[row] for child in children[row]):
            stop(f"sample {row + 1}: a duplicate point with a label of its own")
        kept[row] = False
        parents[children[row]] = parent
        children[parent] = [c for c in children[parent] if c != row] + children[row]
    return renumber(replace(tree, points=points, parents=parents), kept)


def renumber(tree: Tree, kept: NDArray[np.bool_]) -> Tree:
    """The kept samples only, in depth-first order from the root."""
    children: dict[int, list[int]] = {}
    for row in np.flatnonzero(kept):
        children.setdefault(int(tree.parents[row]), []).append(int(row))
    order, stack = [], [0]
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(children.get(order[-1], [])))
    new_row = {row: i for i, row in enumerate(order)} | {-1: -1}
    parents = np.array([new_row[int(tree.parents[row])] for row in order])
    return Tree(tree.tags[order], tree.points[order], tree.radii[order], parents)


def render_swc(cell: str, tree: Tree, labels: Labels) -> str:
    """Text of the file; numbers have a fixed number of decimals."""
    header = [
        f"# {cell}, derived from the reconstruction in the PyPI package {PACKAGE} {VERSION}",
        f"# Licence: {LICENCE}",
        "# Derived by morphologies/derive.py, changes told in morphologies/README.md; do not edit.",
        "# Units: um. z is up, x-z the parasagittal plane, y the direction of the parallel fibres.",
        "# The first soma sample is the origin. Tags:",
        *(f"#   {tag} {' '.join(labels[tag])}" for tag in np.unique(tree.tags)),
        "# sample tag x y z radius parent",
    ]
    # Adding 0 turns -0.0 into 0.0.
    numbers = np.round(np.column_stack([tree.points, tree.radii]), DECIMALS) + 0.0
    rows = (
        f"{row + 1} {tree.tags[row]} {' '.join(f'{n:.{DECIMALS}f}' for n in numbers[row])} "
        f"{tree.parents[row] + 1 or -1}"
        for row in range(len(numbers))
    )
    return "\n".join([*header, *rows]) + "\n"


def parse_with_bsb(text: str, labels: Labels) -> Morphology:
    return parse_morphology_content(text, tags=own_tags(labels), **PARSER)


def own_tags(labels: Labels) -> dict[str, list[str]]:
    """The tags BSB has to be told of. Text keys: the compiled file stores its configuration as JSON."""
    return {str(tag): names for tag, names in labels.items() if tag not in STANDARD_LABELS}


def label_mask(morphology: Morphology, label: str) -> NDArray[np.bool_]:
    """Which of the morphology's points, branch by branch, have the label."""
    return np.asarray(morphology.get_label_mask([label]), dtype=bool)


def measure(morphology: Morphology, label: str) -> dict[str, float | int]:
    """Points, branches, length (µm) and length-weighted mean diameter (µm) of a labelled part.

    A segment belongs to the part if both its ends do.
    """
    mask = label_mask(morphology, label)
    sizes = [len(branch) for branch in morphology.branches]
    branch = np.repeat(np.arange(len(sizes)), sizes)
    inside = mask[1:] & mask[:-1] & (branch[1:] == branch[:-1])
    lengths = np.linalg.norm(np.diff(morphology.points, axis=0), axis=1)[inside]
    diameters = (morphology.radii[1:] + morphology.radii[:-1])[inside]
    return {
        "points": int(mask.sum()),
        "branches": len(np.unique(branch[mask])),
        "length": float(lengths.sum()),
        "mean_diameter": float(np.average(diameters, weights=lengths)),
    }


def bounds(points: NDArray) -> tuple[NDArray, NDArray]:
    """Lowest and highest coordinates."""
    return points.min(axis=0), points.max(axis=0)


def label_names(tree: Tree, labels: Labels) -> list[str]:
    """Labels in use, in the order of their tags."""
    return list(dict.fromkeys(name for tag in np.unique(tree.tags) for name in labels[int(tag)]))


def check(cell: str, source_text: str, text: str, labels: Labels) -> Morphology:
    """Reads the rendered file back, by itself and through BSB, and compares it with the source."""
    source, tree = read_swc(source_text), read_swc(text)
    if (tree.segment_lengths()[1:] < 10.0**-DECIMALS).any():
        stop(f"{cell}: a segment of zero length is left")
    before, after = parse_with_bsb(source_text, labels), parse_with_bsb(text, labels)
    if len(after.roots) != 1:
        stop(f"{cell}: {len(after.roots)} roots")
    for name in label_names(source, labels):
        # BSB loses part of the source's soma (see hang_on_soma_end): measure that in the file itself.
        in_file = source.segment_lengths()[source.tags == SOMA].sum()
        old = in_file if name == "soma" else measure(before, name)["length"]
        new = measure(after, name)["length"]
        if abs(new - old) > LENGTH_TOLERANCE * old:
            stop(f"{cell}: the length of {name} changes from {old:.4f} to {new:.4f}")
    for name, axis, *expected in ORIENTATION[cell]:
        for found, (low, high) in zip(bounds(after.points[label_mask(after, name)]), expected, strict=True):
            if not low <= found[axis] <= high:
                stop(f"{cell}: {name} ends at {'xyz'[axis]} = {found[axis]}, expected {low} to {high}")
    return after


def describe(cell: str, source: bytes, text: str, labels: Labels, morphology: Morphology) -> dict:
    """The cell's entry in the manifest."""
    tree = read_swc(text)
    low, high = (np.round(corner, DECIMALS).tolist() for corner in bounds(morphology.points))
    return {
        "name": cell,
        "file": f"{cell}.swc",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "licence": LICENCE,
        "origin": {
            "package": PACKAGE,
            "version": VERSION,
            "wheel_sha256": WHEEL_SHA256,
            "path": source_path(cell),
            "sha256": hashlib.sha256(source).hexdigest(),
        },
        "tags": {int(tag): labels[int(tag)] for tag in np.unique(tree.tags)},
        "extent_um": {
            axis: list(ends) for axis, ends in zip("xyz", zip(low, high, strict=True), strict=True)
        },
        "morphometrics_um": {
            name: {key: round(value, ROUND_TO[key]) for key, value in measure(morphology, name).items()}
            for name in label_names(tree, labels)
        },
        "bsb": {
            "file": f"cerebellum://{cell}.swc",
            "name": cell,
            "parser": {"parser": PARSER["parser"], "tags": own_tags(labels)}
            | {"skip_boundary_labels": PARSER["skip_boundary_labels"]},
        },
    }


def source_path(cell: str) -> str:
    return f"dbbs_models/morphologies/{cell}.swc"


class _Plain(yaml.SafeDumper):
    """YAML without anchors: lists that occur twice are written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def derive(wheel_file: Path) -> dict[str, str]:
    """File names and texts of everything this script writes."""
    found = hashlib.sha256(wheel_file.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        stop(f"{wheel_file.name} has the SHA-256 {found}, expected {WHEEL_SHA256}")
    texts, cells = {}, []
    with zipfile.ZipFile(wheel_file) as wheel:
        for cell in ORIENTATION:
            source, labels = wheel.read(source_path(cell)), read_labels(wheel, cell)
            tree = drop_duplicates(hang_on_soma_end(read_swc(source.decode())))
            if unknown := set(tree.tags.tolist()) - set(labels):
                stop(f"{cell}: tags {sorted(unknown)} have no labels")
            text = render_swc(cell, tree, labels)
            morphology = check(cell, source.decode(), text, labels)
            cells.append(describe(cell, source, text, labels, morphology))
            texts[f"{cell}.swc"] = text
    note = "# Written by derive.py; do not edit. Lengths are um; mean diameters are weighted by length.\n"
    manifest = {"morphologies": cells}
    texts["manifest.yaml"] = note + yaml.dump(
        manifest, Dumper=_Plain, sort_keys=False, default_flow_style=None
    )
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wheel", type=Path, help="the wheel, if it is here already (no download)")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    choices = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        texts = derive(choices.wheel or fetch_wheel(Path(scratch)))
    for name, text in texts.items():
        (choices.output / name).write_bytes(text.encode())


if __name__ == "__main__":
    main()
