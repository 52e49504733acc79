"""z is up, x-z is the parasagittal plane, parallel fibres run along y: cell by cell."""

import numpy as np
import pytest
from morphology_bundle import CELLS, points_of, through_bsb


def ends(name: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    points = points_of(through_bsb(CELLS[name]), label)
    return points.min(axis=0), points.max(axis=0)


def test_purkinje_dendrites_are_a_sheet_in_the_parasagittal_plane():
    low, high = ends("PurkinjeCell", "dendrites")
    width, thickness, _ = high - low
    assert 150 < width < 200
    assert thickness < 10
    assert low[2] > -10
    assert high[2] > 150


def test_purkinje_axon_goes_down():
    low, high = ends("PurkinjeCell", "axon")
    np.testing.assert_allclose([low[2], high[2]], [-433, 0], atol=1e-3)


def test_parallel_fibre_runs_along_y():
    low, high = ends("GranuleCell", "parallel_fiber")
    np.testing.assert_allclose([low[1], high[1]], [-1000, 1000])
    np.testing.assert_allclose([low[0], high[0]], 0)
    np.testing.assert_allclose([low[2], high[2]], 142.6, atol=0.05)


def test_ascending_axon_reaches_from_its_initial_segment_to_the_parallel_fibre():
    low, high = ends("GranuleCell", "ascending_axon")
    np.testing.assert_allclose(low, [0, 0, 16.62], atol=0.01)
    np.testing.assert_allclose(high, [0, 0, 142.62], atol=0.01)


def test_golgi_apical_dendrites_are_above_basal_dendrites_above_the_axon():
    tops = [ends("GolgiCell", label)[1][2] for label in ("apical_dendrites", "basal_dendrites", "axon")]
    bottoms = [ends("GolgiCell", label)[0][2] for label in ("apical_dendrites", "basal_dendrites", "axon")]
    assert tops == sorted(tops, reverse=True)
    assert bottoms == sorted(bottoms, reverse=True)


@pytest.mark.parametrize("name", ["GolgiCell", "PurkinjeCell", "StellateCell", "BasketCell"])
def test_all_but_the_granule_cell_are_thinnest_across_the_parasagittal_plane(name):
    width, thickness, height = (high - low for low, high in CELLS[name]["extent_um"].values())
    assert thickness < 0.5 * min(width, height)
