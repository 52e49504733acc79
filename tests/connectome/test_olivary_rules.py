"""Rules of the nuclei, the olive and the brush cells, on a circuit of canonical extent."""

import numpy as np
import pytest
from circuit_file import CircuitFile
from olivary_circuit import build, olivary_tree

from cerebellar_models.connectome.glomerulus_ubc import nearest_free, shares
from cerebellar_models.connectome.io_molecular import join_on_second


@pytest.fixture(scope="module")
def circuit(tmp_path_factory) -> CircuitFile:
    path = tmp_path_factory.mktemp("olivary") / "circuit.hdf5"
    build(olivary_tree(), path)
    return CircuitFile(path)


def pairs(circuit: CircuitFile, *names: str) -> set[tuple[int, int]]:
    return {
        pair
        for name in names
        for pair in zip(*(side[:, 0].tolist() for side in circuit.connections[name]), strict=True)
    }


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [("dcn_p", -200, 0), ("dcn_i", -200, 0), ("io", -300, -200), ("unipolar_brush_cell", 0, 130)],
)
def test_cells_lie_in_their_layers(circuit, cells, low, high):
    heights = circuit.positions[cells][:, 2]
    assert len(heights)
    assert low <= heights.min() <= heights.max() <= high


def test_numbers_of_cells(circuit):
    counts = {name: len(positions) for name, positions in circuit.positions.items()}
    assert abs(counts["io"] - counts["purkinje_cell"] / 5) <= 2
    volume = 300 * 200 * 200
    assert abs(counts["dcn_p"] - 9.92e-6 * volume) <= 3
    assert abs(counts["dcn_i"] - 5.58e-6 * volume) <= 3
    assert counts["ubc_glomerulus"] == pytest.approx(4 * counts["unipolar_brush_cell"], rel=0.02)


def test_each_purkinje_cell_has_one_climbing_fibre(circuit):
    links = pairs(circuit, "io_to_purkinje")
    assert sorted(purkinje for _, purkinje in links) == list(range(len(circuit.positions["purkinje_cell"])))


def test_climbing_fibres_make_about_500_contacts(circuit):
    fibres, purkinje = circuit.connections["io_to_purkinje"]
    contacts = np.unique(np.column_stack((fibres[:, 0], purkinje[:, 0])), axis=0, return_counts=True)[1]
    number = len(contacts)
    assert abs(contacts.mean() - 500) < 4 * 5 / np.sqrt(number)
    assert abs(contacts.std() - 5) < 4 * 5 / np.sqrt(2 * number)


def test_interneurons_get_one_contact_for_each_shared_purkinje_cell(circuit):
    climbing = pairs(circuit, "io_to_purkinje")
    for interneuron in ("basket", "stellate"):
        inhibition = pairs(circuit, f"{interneuron}_to_purkinje")
        expected = sorted(
            (olive, cell)
            for olive, reached in climbing
            for cell, inhibited in inhibition
            if inhibited == reached
        )
        rows = circuit.connections[f"io_to_mli_io_to_{interneuron}_cell"]
        assert sorted(zip(*(side[:, 0].tolist() for side in rows), strict=True)) == expected
        assert expected


@pytest.mark.parametrize(
    ("name", "pre", "post", "affinity"),
    [
        ("purkinje_to_dcn_p", "purkinje_cell", "dcn_p", 0.375),
        ("purkinje_to_dcn_i", "purkinje_cell", "dcn_i", 0.18),
        ("mossy_fibers_to_dcn_p", "mossy_fibers", "dcn_p", 0.4),
        ("io_to_dcn_p", "io", "dcn_p", 0.5),
        ("io_to_dcn_i", "io", "dcn_i", 0.5),
        ("dcn_i_to_io", "dcn_i", "io", 0.5),
    ],
)
def test_affinity_is_the_fraction_of_pairs(circuit, name, pre, post, affinity):
    possible = len(circuit.positions[pre]) * len(circuit.positions[post])
    links = pairs(circuit, name)
    assert len(links) == len(circuit.connections[name][0])
    assert abs(len(links) / possible - affinity) < 4 * np.sqrt(affinity * (1 - affinity) / possible)


def test_each_brush_has_one_glomerulus_in_the_ratio_asked_for(circuit):
    served = {}
    for kind in ("glomerulus", "ubc_glomerulus"):
        glomeruli, brushes = circuit.connections[f"glomerulus_to_ubc_{kind}_to_unipolar_brush_cell"]
        served[kind] = brushes[:, 0]
        assert len(np.unique(glomeruli[:, 0])) == len(glomeruli)  # plenty of glomeruli: none serves twice
    total = len(circuit.positions["unipolar_brush_cell"])
    assert np.array_equal(np.sort(np.concatenate(list(served.values()))), np.arange(total))
    assert abs(len(served["ubc_glomerulus"]) - total / 3) <= 1


def test_brushes_take_near_glomeruli(circuit):
    for kind in ("glomerulus", "ubc_glomerulus"):
        glomeruli, brushes = circuit.connections[f"glomerulus_to_ubc_{kind}_to_unipolar_brush_cell"]
        brush = circuit.positions["unipolar_brush_cell"][brushes[:, 0]]
        distances = np.linalg.norm(brush - circuit.positions[kind][glomeruli[:, 0]], axis=1)
        assert np.quantile(distances, 0.95) < 50


def test_each_brush_glomerulus_has_one_brush_cell(circuit):
    glomeruli = circuit.connections["ubc_to_ubc_glomerulus"][1][:, 0]
    assert np.array_equal(np.sort(glomeruli), np.arange(len(circuit.positions["ubc_glomerulus"])))


def test_places_are_taken_once_until_all_are_taken():
    places = np.array([[0.0, 0, 0], [1, 0, 0], [5, 0, 0]])
    cells = np.zeros((7, 3))
    assert nearest_free(cells, places).tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("ratios", "total", "expected"),
    [([1, 2], 9, [3, 6]), ([1, 2], 10, [3, 7]), ([0, 1], 4, [0, 4]), ([1, 1, 1], 0, [0] * 3)],
)
def test_shares_add_up(ratios, total, expected):
    assert shares(ratios, total) == expected


def test_joining_pairs():
    first = np.array([[0, 7], [1, 8], [2, 9]])
    second = np.array([[5, 8], [6, 7], [4, 8]])
    source, target = join_on_second(first, second)
    assert sorted(zip(source.tolist(), target.tolist(), strict=True)) == [(0, 6), (1, 4), (1, 5)]
