"""The SWC files are what the manifest and the README say, in the file itself and through BSB's parser."""

import hashlib

import numpy as np
import pytest
from morphology_bundle import CELLS, FOLDER, path_of, points_of, samples, through_bsb


def test_manifest_lists_every_file():
    assert {entry["file"] for entry in CELLS.values()} == {file.name for file in FOLDER.glob("*.swc")}
    assert set(CELLS) == {"GranuleCell", "GolgiCell", "PurkinjeCell", "StellateCell", "BasketCell"}


def test_checksum(cell):
    assert hashlib.sha256(path_of(cell).read_bytes()).hexdigest() == cell["sha256"]


def test_one_tree_with_the_soma_first(cell):
    rows = samples(cell)
    numbers, parents = rows[:, 0], rows[:, 6]
    assert np.array_equal(numbers, np.arange(1, len(rows) + 1))
    assert parents[0] == -1
    assert rows[0, 1] == 1
    assert not rows[0, 2:5].any()
    assert (parents[1:] >= 1).all()
    assert (parents[1:] < numbers[1:]).all()


def test_no_segment_of_zero_length(cell):
    rows = samples(cell)
    steps = rows[1:, 2:5] - rows[rows[1:, 6].astype(int) - 1, 2:5]
    assert np.linalg.norm(steps, axis=1).min() > 1e-4
    for branch in through_bsb(cell).branches:
        assert (np.linalg.norm(np.diff(branch.points, axis=0), axis=1) > 1e-4).all()
    assert (rows[:, 5] > 0).all()


def test_soma_is_one_piece_and_whole(cell):
    """Every neurite leaves from its end, so that BSB loses no part of it."""
    rows = samples(cell)
    soma = rows[rows[:, 1] == 1]
    first_of_neurite = (rows[:, 1] != 1) & np.isin(rows[:, 6], soma[:, 0])
    assert set(rows[first_of_neurite, 6]) == {soma[-1, 0]}
    length = np.linalg.norm(np.diff(soma[:, 2:5], axis=0), axis=1).sum()
    assert cell["morphometrics_um"]["soma"] | {"mean_diameter": 0} == {
        "points": len(soma),
        "branches": 1,
        "length": pytest.approx(length, abs=0.006),
        "mean_diameter": 0,
    }


def test_labels_of_every_tag_through_bsb(cell):
    morphology = through_bsb(cell)
    assert len(morphology.roots) == 1
    tags = np.concatenate([branch.tags for branch in morphology.branches])
    assert set(np.unique(tags)) == set(cell["tags"])
    for tag, labels in cell["tags"].items():
        seen = {
            frozenset(branch.labels.labels[code])
            for branch in morphology.branches
            for code in np.unique(np.asarray(branch.labels)[branch.tags == tag])
        }
        assert seen == {frozenset(labels)}


def test_label_sets_are_distinct(cell):
    label_sets = [frozenset(labels) for labels in cell["tags"].values()]
    assert len(set(label_sets)) == len(label_sets)


def test_extent_through_bsb(cell):
    points = np.concatenate([branch.points for branch in through_bsb(cell).branches])
    expected = np.array([cell["extent_um"][axis] for axis in "xyz"])
    np.testing.assert_allclose(np.column_stack([points.min(axis=0), points.max(axis=0)]), expected, atol=1e-4)


def test_lengths_through_bsb(cell):
    """The manifest's lengths, measured another way than the script does."""
    morphology = through_bsb(cell)
    for label, numbers in cell["morphometrics_um"].items():
        total = 0.0
        for branch in morphology.branches:
            inside = branch.get_label_mask([label])
            for here, there, *ends in zip(inside, inside[1:], branch.points, branch.points[1:], strict=False):
                total += np.linalg.norm(ends[1] - ends[0]) if here and there else 0
        assert total == pytest.approx(numbers["length"], abs=0.006)
        assert len(points_of(morphology, label)) == numbers["points"]


def test_header_names_origin_licence_and_tags(cell):
    header = [line for line in path_of(cell).read_text().splitlines() if line.startswith("#")]
    origin = cell["origin"]
    assert f"{origin['package']} {origin['version']}" in header[0]
    assert header[1] == "# Licence: GPL-3.0-or-later"
    for tag, labels in cell["tags"].items():
        assert f"#   {tag} {' '.join(labels)}" in header


def test_readme_has_the_extents(cell):
    extents = " | ".join(f"{low:.1f} to {high:.1f}" for low, high in cell["extent_um"].values())
    assert f"| `{cell['file']}` | {extents} |" in (FOLDER / "README.md").read_text()
