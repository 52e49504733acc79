"""Microzones: labels of cells, and projections and recorders for each label."""

import itertools

import numpy as np
import pytest
from bsb import Configuration, ConfigurationError
from circuit_file import CircuitFile
from olivary_circuit import build, olivary_tree

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.errors import UserError
from cerebellar_models.placement.microzones import equal_zones

MOUSE = load_species("mouse")
DIVIDED = ("purkinje_cell", "dcn_p", "dcn_i", "io")
AMONG = (
    "purkinje_to_dcn_p",
    "purkinje_to_dcn_i",
    "io_to_purkinje",
    "io_to_dcn_p",
    "io_to_dcn_i",
    "dcn_i_to_io",
)
ENDS = {
    "purkinje_to_dcn_p": ("purkinje_cell", "dcn_p"),
    "purkinje_to_dcn_i": ("purkinje_cell", "dcn_i"),
    "io_to_purkinje": ("io", "purkinje_cell"),
    "io_to_dcn_p": ("io", "dcn_p"),
    "io_to_dcn_i": ("io", "dcn_i"),
    "dcn_i_to_io": ("dcn_i", "io"),
}


def zones_of(scaffold, cell_type: str, labels: tuple[str, ...]) -> list[np.ndarray]:
    cells = scaffold.get_placement_set(cell_type)
    return [np.flatnonzero(cells.get_label_mask([label])) for label in labels]


def only_placed(tree: dict) -> dict:
    return {key: value for key, value in tree.items() if key not in ("connectivity", "after_connectivity")}


@pytest.mark.parametrize(
    ("labels", "axis"), list(itertools.product([("plus", "minus"), ("a", "b", "c")], [None, "x", "y"]))
)
def test_zones_are_equal_within_one_cell(tmp_path, labels, axis):
    tree = olivary_tree(microzones=labels, microzone_axis=axis)
    scaffold = build(only_placed(tree) | {"connectivity": {}}, tmp_path / "zones.hdf5")
    for cell_type in DIVIDED:
        zones = zones_of(scaffold, cell_type, labels)
        positions = scaffold.get_placement_set(cell_type).load_positions()
        assert np.array_equal(np.sort(np.concatenate(zones)), np.arange(len(positions)))
        assert max(map(len, zones)) - min(map(len, zones)) <= 1
        if axis is not None:
            along = [positions[zone, "xyz".index(axis)] for zone in zones]
            assert all(before.max() <= after.min() for before, after in itertools.pairwise(along))


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    """A divided circuit: its file, and the cells of each zone by cell type."""
    labels = ("plus", "minus")
    path = tmp_path_factory.mktemp("divided") / "circuit.hdf5"
    scaffold = build(olivary_tree(microzones=labels), path)
    return CircuitFile(path), {name: zones_of(scaffold, name, labels) for name in DIVIDED}


@pytest.mark.parametrize("name", AMONG)
def test_projections_stay_within_their_zone(divided, name):
    circuit, zones = divided
    assert name not in circuit.connections
    for number, label in enumerate(("plus", "minus")):
        rows = circuit.connections[f"{name}_{label}"]
        for side, cell_type in zip(rows, ENDS[name], strict=True):
            assert len(side)
            assert set(side[:, 0]) <= set(zones[cell_type][number])


def test_climbing_fibres_of_zones(divided):
    circuit, zones = divided
    for number, label in enumerate(("plus", "minus")):
        fibres, purkinje = circuit.connections[f"io_to_purkinje_{label}"]
        links, contacts = np.unique(
            np.column_stack((fibres[:, 0], purkinje[:, 0])), axis=0, return_counts=True
        )
        assert sorted(links[:, 1]) == sorted(zones["purkinje_cell"][number])
        assert abs(contacts.mean() - 500) < 5


def test_interneurons_hear_the_fibres_of_all_zones(divided):
    circuit, _ = divided
    reached = set(circuit.connections["io_to_mli_io_to_basket_cell"][0][:, 0])
    climbing = [circuit.connections[f"io_to_purkinje_{label}"][0][:, 0] for label in ("plus", "minus")]
    assert reached <= set(np.concatenate(climbing))
    assert all(reached & set(fibres) for fibres in climbing)


def test_recorders_and_models_of_zones():
    choices = choose(MOUSE, parts=["io"], microzones=["plus", "minus"], simulations=["mf_cf_stimulus"])
    tree = compose(MOUSE, choices, morphology_manifest())
    simulation = tree["simulations"]["mf_cf_stimulus"]
    for cells in ("purkinje", "dcn_p", "dcn_i", "io"):
        assert f"{cells}_record" not in simulation["devices"]
        for label in ("plus", "minus"):
            targets = simulation["devices"][f"{cells}_record_{label}"]["targetting"]
            assert (targets["strategy"], targets["labels"]) == ("by_label", [label])
    assert simulation["devices"]["cf_stimulus"]["targetting"]["strategy"] == "cell_model"
    unmodelled = {name for name in tree["connectivity"] if name not in simulation["connection_models"]}
    assert unmodelled == {"gap_goc", "io_to_mli"}  # of io_to_mli there is one for each type of interneuron
    assert set(tree["after_connectivity"]) == {"duplicate_conn_io_pc_plus", "duplicate_conn_io_pc_minus"}


def test_uneven_zones_follow_the_extent(tmp_path):
    tree = olivary_tree(microzones=["low", "high"], microzone_axis="x")
    tree["after_placement"]["label_microzones"]["same_size"] = False
    scaffold = build(only_placed(tree) | {"connectivity": {}}, tmp_path / "zones.hdf5")
    low, high = zones_of(scaffold, "dcn_p", ("low", "high"))
    along = scaffold.get_placement_set("dcn_p").load_positions()[:, 0]
    middle = (along.min() + along.max()) / 2
    assert along[low].max() < middle <= along[high].min()


@pytest.mark.parametrize(("key", "value"), [("labels", ["a", "a"]), ("labels", []), ("axis", "w")])
def test_bad_hooks_are_refused(key, value):
    tree = only_placed(olivary_tree(microzones=["a", "b"], microzone_axis="x")) | {"connectivity": {}}
    tree["after_placement"]["label_microzones"][key] = value
    with pytest.raises(ConfigurationError):
        Configuration(**tree).after_placement["label_microzones"].boot()


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"microzones": ["a", "a"]}, "microzones: label 'a' is given more than once"),
        ({"microzones": ["a"]}, "give at least two"),
        ({"microzones": ["a b", "c"]}, "letters, digits and underscores"),
        ({"microzones": ["a", "b"], "microzone_axis": "w"}, "microzone axis: there is no 'w'"),
        ({"microzone_axis": "x"}, "give the labels"),
        ({"microzones": ["a", "b"], "parts": []}, "add one of them"),
        ({"microzones": ["a", "b"], "preset": "tiny"}, "io for certain where 2 must be there"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_choices_are_refused_in_one_line(choices, says):
    with pytest.raises(UserError) as refusal:
        compose(MOUSE, choose(MOUSE, **({"parts": ["io"]} | choices)), morphology_manifest())
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("cells", "zones"), list(itertools.product([0, 1, 5, 14], [1, 2, 3])))
def test_equal_zones(cells, zones):
    sizes = np.bincount(equal_zones(cells, zones), minlength=zones)
    assert sizes.sum() == cells
    assert sizes.max() - sizes.min() <= 1
