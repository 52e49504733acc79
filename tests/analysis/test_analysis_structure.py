import pytest
from analysis_samples import COUNTS, TREE, circuit, contacts

from cerebellar_models.analysis.data import CircuitData
from cerebellar_models.analysis.structure import Spread, projection_numbers, structure

SAME = ("cell", "cell")


@pytest.mark.parametrize(
    ("pre", "post", "counts", "connections", "convergence", "divergence"),
    [
        ([0, 1], [0, 0], (2, 1), 2, (2, 0), (1, 0)),
        ([0, 0, 0], [0, 0, 0], (1, 1), 1, (1, 0), (1, 0)),  # contacts of a pair are one connection
        ([0, 1], [0, 0], (2, 2), 2, (1, 1), (1, 0)),  # one postsynaptic cell has no input
        ([0, 0], [0, 1], (4, 2), 2, (1, 0), (0.5, 0.75**0.5)),  # three presynaptic cells have no output
        ([], [], (2, 3), 0, (0, 0), (0, 0)),
        ([], [], (0, 0), 0, (None, None), (None, None)),
    ],
)
def test_convergence_and_divergence_count_every_cell(pre, post, counts, connections, convergence, divergence):
    numbers = projection_numbers(contacts(pre, post, types=("a", "b")), {"a": counts[0], "b": counts[1]})
    assert (numbers.contacts, numbers.connections) == (len(pre), connections)
    for found, expected in ((numbers.convergence, convergence), (numbers.divergence, divergence)):
        assert (found.mean, found.sd) == pytest.approx(expected)
    assert numbers.contacts_per_connection == (len(pre) / connections if connections else None)


def test_self_connections_are_pairs_within_one_type():
    rows = ([0, 0, 1, 2], [0, 0, 1, 0])
    assert projection_numbers(contacts(*rows, types=SAME), {"cell": 3}).self_connections == 2
    assert projection_numbers(contacts(*rows, types=("a", "b")), {"a": 3, "b": 3}).self_connections == 0


def test_cells_against_targets():
    granule, purkinje, fibre = structure(circuit()).cells
    # 2e-5 / µm³ x 100 x 50 x 40 µm³ = 4; 4e-4 / µm² x 100 x 50 µm² = 2; half of 4
    assert (granule.target, purkinje.target, fibre.target) == pytest.approx((4, 2, 2))
    assert granule.deviation == pytest.approx(0.25)
    assert (granule.density, granule.density_unit) == (pytest.approx(25_000), "1/mm³")
    assert (purkinje.target_density, purkinje.density_unit) == (pytest.approx(400), "1/mm²")


def test_a_configuration_counted_otherwise_has_no_targets():
    elsewhere = TREE | {"cell_types": {name: {"spatial": {"density_key": "inside"}} for name in COUNTS}}
    cells = structure(CircuitData(elsewhere, COUNTS, {}, ())).cells
    assert [(cell.count, cell.target, cell.deviation) for cell in cells] == [
        (5, None, None),
        (2, None, None),
        (2, None, None),
    ]


def test_projections_follow_the_configuration_and_absent_ones_are_named():
    numbers = structure(circuit())
    assert [projection.name for projection in numbers.projections] == ["granule_to_purkinje", "gap_purkinje"]
    assert numbers.absent == ()
    bare = structure(CircuitData(TREE, COUNTS, {}, ()))
    assert bare.absent == ("granule_to_purkinje", "gap_purkinje")


def test_a_set_named_after_a_pair_of_types_belongs_to_its_projection():
    name = "gap_purkinje_purkinje_cell_to_purkinje_cell"
    one = contacts([0], [1], name, ("purkinje_cell", "purkinje_cell"))
    assert structure(CircuitData(TREE, COUNTS, {}, (one,))).absent == ("granule_to_purkinje",)


def test_sample_projection():
    numbers = structure(circuit()).projections[0]
    assert (numbers.contacts, numbers.connections, numbers.contacts_per_connection) == (5, 4, 1.25)
    assert numbers.convergence == Spread(2.0, 1.0)
    assert numbers.divergence == Spread(pytest.approx(0.8), pytest.approx(0.56**0.5))
