"""The geometry behind expected connections, beside BSB and the compiled kernel of the morphology rule."""

import numpy as np
import pytest
from bsb import parse_morphology_content

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.circuits.counting import overlap, projections
from cerebellar_models.circuits.counting.labelled_points import read_morphology
from cerebellar_models.circuits.counting.nodes import Node
from cerebellar_models.circuits.counting.overlap import Box
from cerebellar_models.connectome import overlap_kernel
from cerebellar_models.installation import bundle_folder

MOUSE = load_species("mouse")
TREE = compose(MOUSE, choose(MOUSE, preset="tiny"), morphology_manifest())
RULES = [name for name, rule in TREE["connectivity"].items() if rule["strategy"].endswith("VoxelOverlap")]
ALONE = np.zeros((1, 3))
UNTURNED = np.empty((0, 3, 3))


@pytest.mark.parametrize("name", sorted(morphology_manifest()))
def test_labelled_points_are_those_bsb_reads(name):
    entry = morphology_manifest()[name]["bsb"]
    content = (bundle_folder("morphologies") / f"{name}.swc").read_text()
    theirs = parse_morphology_content(
        content, parser="bsb", tags=entry["parser"]["tags"], skip_boundary_labels=["soma"]
    )
    ours = read_morphology(entry)
    for label in {label for labels in ours.labels.values() for label in labels}:
        marked = np.concatenate([b.points[b.get_label_mask([label])] for b in theirs.branches])
        unique = {tuple(row) for row in np.round(marked, 4)}
        assert {tuple(row) for row in np.round(ours.labelled((label,)), 4)} == unique, label
    assert np.allclose(ours.extent, theirs.bounds)


@pytest.mark.parametrize("name", sorted(morphology_manifest()))
@pytest.mark.parametrize("count", [1, 50, 500])
def test_voxels_are_as_large_as_those_of_bsb(name, count):
    content = (bundle_folder("morphologies") / f"{name}.swc").read_text()
    theirs = parse_morphology_content(content, parser="bsb").voxelize(count).get_size()
    extent = read_morphology(morphology_manifest()[name]["bsb"]).extent
    assert overlap.voxel_size(extent, count) == pytest.approx(np.broadcast_to(theirs, 3))


@pytest.mark.parametrize("favour", ["pre", "post"])
@pytest.mark.parametrize("name", RULES)
def test_trees_touch_where_those_of_the_kernel_do(name, favour):
    rule = {**TREE["connectivity"][name], "favor_cache": favour}
    sides = [(rule[side], rule[side]["cell_types"][0]) for side in ("presynaptic", "postsynaptic")]
    tree = Node.of(TREE, "")
    geometry = projections._geometry(
        Node.of(rule, f"connectivity.{name}"), tree, *(cell_type for _, cell_type in sides)
    )
    cut = []
    for side, cell_type in sides:
        morphology = projections._morphology_of(tree, cell_type)
        cut += [
            (
                morphology.labelled(tuple(side["morphology_labels"])),
                overlap.voxel_size(morphology.extent, 500),
            )
        ]
    low, high = geometry.reach
    displacements = np.random.default_rng(1).uniform(low, high, (2000, 3))
    pairs = np.column_stack((np.zeros(2000, dtype=int), np.arange(2000)))
    first, second = cut if favour == "pre" else reversed(cut)
    placed = displacements if favour == "pre" else -displacements
    kernel = overlap_kernel.touching(
        overlap_kernel.prepare(*first, *second), ALONE, UNTURNED, placed, UNTURNED, pairs
    )
    ours = geometry.touches(displacements)
    assert kernel.any() and not kernel.all()
    # Ours looks at one point of several that lie close together.
    assert np.mean(kernel != ours) < 0.03
    assert ours.sum() == pytest.approx(kernel.sum(), rel=0.05)


@pytest.mark.parametrize("radius", [5.0, 40.0, 500.0])
def test_pairs_within_a_distance_are_those_of_scattered_cells(radius):
    rng = np.random.default_rng(2)
    first, second = Box((0, 0, 0), (120, 60, 130), 4000), Box((20, -30, 100), (200, 90, 150), 3000)
    scattered = [rng.uniform(box.low, box.high, (int(box.cells), 3)) for box in (first, second)]
    near = sum(
        np.count_nonzero(np.linalg.norm(cell - scattered[1], axis=1) <= radius) for cell in scattered[0]
    )
    expected = overlap.expected_pairs([first], [second], *overlap.sphere(radius))
    assert expected == pytest.approx(near, rel=0.05, abs=20)


def test_a_population_has_no_pair_of_a_cell_with_itself():
    box = Box((0, 0, 0), (100, 100, 100), 10)
    all_near = overlap.sphere(1000.0)
    assert overlap.expected_pairs([box], [box], *all_near, same=True) == pytest.approx(10 * 9, rel=0.02)
    assert overlap.expected_pairs([box], [box], *all_near) == pytest.approx(10 * 10, rel=0.02)
