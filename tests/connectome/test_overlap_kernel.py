"""What the kernel remembers of a pair of trees changes nothing of what it finds."""

import numpy as np
import pytest

from cerebellar_models.connectome import overlap_kernel

UNTURNED = np.empty((0, 3, 3))
FLAT = np.array([1.0, 0.0, 1.0])  # along y


def tree(seed, extent, points=300):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (points, 3)) * extent


def found(geometry, cells=40):
    """Which of many placed pairs touch, and three contacts of each that does."""
    rng = np.random.default_rng(5)
    fixed, moving = rng.uniform(0, 60, (cells, 3)), rng.uniform(0, 60, (cells, 3))
    pairs = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), axis=-1).reshape(-1, 2)
    placed = (geometry, fixed, UNTURNED, moving, UNTURNED)
    touching = overlap_kernel.touching(*placed, pairs)
    contacts = np.full(touching.sum(), 3)
    uniforms = rng.random(3 * touching.sum())
    return touching, overlap_kernel.draw_contacts(*placed, pairs[touching], contacts, uniforms)


@pytest.mark.parametrize("flat", [(), ("fixed",), ("moving",), ("fixed", "moving")], ids=str)
@pytest.mark.parametrize("sizes", [(4.0, 4.0), (1.0, 7.0), (7.0, 1.0)], ids=str)
def test_few_slots_find_what_many_find(sizes, flat):
    sides = []
    for seed, (name, size) in enumerate(zip(("fixed", "moving"), sizes, strict=True)):
        shape = FLAT if name in flat else np.ones(3)
        sides += [tree(seed, 40.0 * shape), size * shape]
    many = overlap_kernel.prepare(*sides)
    one = many._replace(slots=np.full(1, -1))  # every place drives out the one before
    touching, points = found(many)
    assert touching.any() and not touching.all()
    assert points.min() >= 0
    for other in (found(one), found(many)):  # and again, with all slots filled
        assert np.array_equal(other[0], touching)
        assert np.array_equal(other[1], points)
    assert (many.slots >= 0).sum() > 10


def test_voxels_beyond_all_measure_are_refused():
    with pytest.raises(ValueError, match=r"voxels of \[1.e-07 .* are too small for a tree of"):
        overlap_kernel.prepare(tree(0, 4000.0), np.full(3, 40.0), tree(1, 1.0), np.full(3, 1e-7))
