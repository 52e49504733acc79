"""The random draws of the glomerular rules follow the distributions they are written down with."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cerebellar_models.connectome.glomerulus_golgi import connect_to_tips
from cerebellar_models.connectome.glomerulus_granule import _draw_of_different_fibres
from cerebellar_models.connectome.to_glomerulus import _choose


@pytest.fixture
def rng():
    """A stream of its own for each test, whatever ran before it."""
    return np.random.default_rng(5)


def agrees(counts: np.ndarray, shares: np.ndarray) -> bool:
    """Chi-squared within four standard deviations of its mean."""
    expected = shares * counts.sum()
    held = expected > 0
    assert counts[~held].sum() == 0
    chi_squared = np.sum((counts[held] - expected[held]) ** 2 / expected[held])
    freedom = np.count_nonzero(held) - 1
    return chi_squared < freedom + 4 * np.sqrt(2 * freedom)


def test_fibres_of_a_glomerulus_are_ranked_exponentially(rng):
    """Rank floor(n x), x = (exp(-2r) - exp(-2)) / (1 - exp(-2)): the share of a rank follows from r of its bounds."""
    near, draws = 5, 20000
    distances = np.tile([9.0, 1.0, 3.0, 2.0, 8.0, 4.0, 0.5], (draws, 1))
    mask = np.tile([True, True, True, True, False, True, False], (draws, 1))
    chosen = _choose(distances, mask, rng.random(draws))
    rank_of_column = {1: 0, 3: 1, 2: 2, 5: 3, 0: 4}
    ranks = np.bincount([rank_of_column[column] for column in chosen], minlength=near)
    bounds = -np.log(np.arange(near + 1) / near * (1 - np.exp(-2)) + np.exp(-2)) / 2
    assert agrees(ranks, -np.diff(bounds))


def test_without_a_near_fibre_the_nearest_is_taken():
    assert list(_choose(np.array([[3.0, 1.0, 2.0]]), np.zeros((1, 3), dtype=bool), np.array([0.3]))) == [1]


def test_fibres_of_a_granule_cell_are_equally_likely_and_so_are_their_glomeruli(rng):
    """Four of six fibres, whatever number of glomeruli each has near; of a fibre's glomeruli, one."""
    cells = 20000
    fibres = np.array([0, 0, 0, 0, 0, 1, 2, 2, 3, 4, 5])
    first = np.arange(cells + 1) * len(fibres)
    uniforms = rng.random((cells * len(fibres), 2))
    candidates = np.tile(np.arange(len(fibres)), cells)
    chosen, found = _draw_of_different_fibres(first, candidates, np.tile(fibres, cells), uniforms, 4)
    assert (found == 4).all()
    drawn = fibres[chosen]
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    assert agrees(np.bincount(drawn.ravel(), minlength=6), np.full(6, 1 / 6))
    assert agrees(np.bincount(chosen[drawn == 0], minlength=11), np.r_[np.full(5, 0.2), np.zeros(6)])


@pytest.mark.parametrize("turned", [False, True])
def test_golgi_contacts_take_tips_by_a_cut_exponential(turned, rng):
    """Rank floor(n x) by distance, x exponential of scale 0.03 cut at 0.15, also where the cell is rotated."""
    tips = rng.uniform(-40, 40, (60, 3))
    locations = np.column_stack((np.arange(60), np.zeros(60, dtype=int)))
    glomeruli = rng.uniform(-25, 25, (20000, 3))
    turn = Rotation.from_euler("xyz", [40, 70, 110], degrees=True)
    turns = turn.as_matrix()[np.newaxis] if turned else np.empty((0, 3, 3))
    source, target = connect_to_tips(glomeruli, np.zeros((1, 3)), turns, 50.0, tips, locations, rng)
    assert np.array_equal(source[:, 0], np.arange(20000))
    placed = turn.apply(tips) if turned else tips
    distances = np.linalg.norm(glomeruli[:, None] - placed, axis=2)
    own = distances[np.arange(20000), target[:, 1]]
    ranks = np.bincount((distances < own[:, None]).sum(axis=1), minlength=9)
    bounds = np.arange(10) / 60
    assert agrees(ranks, np.diff(np.exp(-bounds / 0.03)) / (np.exp(-5) - 1))
