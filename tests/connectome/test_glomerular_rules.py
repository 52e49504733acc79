"""The glomerular rules on the compiled tiny circuit, cell by cell."""

import numpy as np
import pytest
from bsb import parse_morphology_file

from cerebellar_models.circuits.catalogue import morphology_manifest
from cerebellar_models.installation import bundle_folder


def morphology(name: str):
    parser = morphology_manifest()[name]["bsb"]["parser"]
    return parse_morphology_file(str(bundle_folder("morphologies") / f"{name}.swc"), **parser)


@pytest.fixture
def fibre_of_glomerulus(tiny_circuit):
    fibres, glomeruli = tiny_circuit.connections["mossy_fibers_to_glomerulus"]
    owner = np.full(len(tiny_circuit.positions["glomerulus"]), -1)
    owner[glomeruli[:, 0]] = fibres[:, 0]
    return owner


def test_each_glomerulus_has_one_fibre(tiny_circuit):
    glomeruli = tiny_circuit.connections["mossy_fibers_to_glomerulus"][1][:, 0]
    assert np.array_equal(np.sort(glomeruli), np.arange(len(tiny_circuit.positions["glomerulus"])))


def test_the_fibre_lies_in_the_box_or_is_the_nearest(tiny_circuit, fibre_of_glomerulus):
    offsets = tiny_circuit.positions["glomerulus"][:, None] - tiny_circuit.positions["mossy_fibers"]
    boxed = (np.abs(offsets[..., 0]) <= 60) & (np.abs(offsets[..., 1]) <= 20)
    rows = np.arange(len(offsets))
    nearest = np.argmin(np.linalg.norm(offsets, axis=2), axis=1)
    alone = ~boxed.any(axis=1)
    assert boxed[rows, fibre_of_glomerulus][~alone].all()
    assert np.array_equal(fibre_of_glomerulus[alone], nearest[alone])


def test_granule_cells_have_four_fibres_on_four_dendrites(tiny_circuit, fibre_of_glomerulus):
    glomeruli, granules = tiny_circuit.connections["glomerulus_to_granule"]
    cells = len(tiny_circuit.positions["granule_cell"])
    assert np.array_equal(np.bincount(granules[:, 0], minlength=cells), np.full(cells, 4))
    by_cell = np.argsort(granules[:, 0], kind="stable").reshape(cells, 4)
    for values in (fibre_of_glomerulus[glomeruli[by_cell, 0]], glomeruli[by_cell, 0], granules[by_cell, 1]):
        ordered = np.sort(values, axis=1)
        assert (np.diff(ordered, axis=1) > 0).all()


def test_granule_contacts_lie_on_the_tips_of_dendrites(tiny_circuit):
    granule = morphology("GranuleCell")
    tips = {
        (number, len(branch) - 1)
        for number, branch in enumerate(granule.branches)
        if branch.is_terminal and "dendrites" in branch.list_labels()
    }
    assert len(tips) == 4
    assert {tuple(row[1:]) for row in tiny_circuit.connections["glomerulus_to_granule"][1]} == tips


def test_glomeruli_come_from_within_reach_where_fibres_suffice(tiny_circuit, fibre_of_glomerulus):
    glomeruli, granules = tiny_circuit.connections["glomerulus_to_granule"]
    places, cells = tiny_circuit.positions["glomerulus"], tiny_circuit.positions["granule_cell"]
    near = np.linalg.norm(cells[:, None] - places, axis=2) <= 40
    fibres_near = np.array([len(np.unique(fibre_of_glomerulus[row])) for row in near])
    served = fibres_near[granules[:, 0]] >= 4
    assert served.sum() > 1000
    assert near[granules[served, 0], glomeruli[served, 0]].all()


def test_golgi_cells_take_every_glomerulus_within_reach_once(tiny_circuit):
    glomeruli, golgi = tiny_circuit.connections["glomerulus_to_golgi"]
    near = np.linalg.norm(
        tiny_circuit.positions["golgi_cell"][:, None] - tiny_circuit.positions["glomerulus"], axis=2
    )
    expected = {tuple(pair) for pair in np.argwhere(near <= 50)}
    pairs = list(zip(golgi[:, 0], glomeruli[:, 0], strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected


def test_golgi_contacts_lie_on_near_basal_tips(tiny_circuit):
    cell = morphology("GolgiCell")
    tips = {
        (number, len(branch) - 1): branch.points[-1]
        for number, branch in enumerate(cell.branches)
        if branch.is_terminal and "basal_dendrites" in branch.list_labels()
    }
    glomeruli, golgi = tiny_circuit.connections["glomerulus_to_golgi"]
    assert {tuple(row[1:]) for row in golgi} <= set(tips)
    offsets = (
        tiny_circuit.positions["glomerulus"][glomeruli[:, 0]]
        - tiny_circuit.positions["golgi_cell"][golgi[:, 0]]
    )
    distances = np.linalg.norm(offsets[:, None] - np.array(list(tips.values())), axis=2)
    own = distances[np.arange(len(golgi)), [list(tips).index(tuple(row[1:])) for row in golgi]]
    rank = (distances < own[:, None]).sum(axis=1)
    # The exponential is cut at 0.15 of the tips; the nearest tip is the commonest.
    assert rank.max() < 0.15 * len(tips)
    assert np.argmax(np.bincount(rank)) == 0


def test_golgi_cells_inhibit_through_their_nearest_glomeruli(tiny_circuit):
    golgi, granules = tiny_circuit.connections["golgi_to_glomerulus"]
    source, target = tiny_circuit.connections["glomerulus_to_granule"]
    distances = np.linalg.norm(
        tiny_circuit.positions["golgi_cell"][:, None] - tiny_circuit.positions["glomerulus"], axis=2
    )
    expected = []
    for cell, row in enumerate(distances):
        nearest = np.argsort(row)[:40]
        rows = target[np.isin(source[:, 0], nearest[row[nearest] <= 150])]
        expected.append(np.column_stack((np.full(len(rows), cell), rows)))
    found = np.column_stack((golgi[:, 0], granules))
    wanted = np.concatenate(expected)
    assert np.array_equal(found[np.lexsort(found.T)], wanted[np.lexsort(wanted.T)])


def test_golgi_axons_end_at_random_tips(tiny_circuit):
    cell = morphology("GolgiCell")
    tips = {
        (number, len(branch) - 1)
        for number, branch in enumerate(cell.branches)
        if branch.is_terminal and "axon" in branch.list_labels()
    }
    used = {tuple(row[1:]) for row in tiny_circuit.connections["golgi_to_glomerulus"][0]}
    assert used == tips  # 20 000 draws from some tens of tips leave none out
