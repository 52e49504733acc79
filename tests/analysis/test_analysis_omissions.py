import pytest
from analysis_samples import TREE, circuit

from cerebellar_models.analysis.omissions import omissions, unsimulated
from cerebellar_models.analysis.structure import ProjectionNumbers, Spread, structure
from cerebellar_models.circuits.adopting.adopt import GAP_JUNCTIONS

PROJECTIONS = structure(circuit()).projections
SIMULATION = TREE["simulations"]["basal_activity"]


def test_what_nest_leaves_out():
    told = omissions(SIMULATION, PROJECTIONS)
    assert len(told) == 3
    assert "where on a cell" in told[0]
    assert "5 contacts are 4 connections" in told[1]  # gap_purkinje is not simulated, so not counted
    assert told[2].startswith("gap_purkinje has no connection model")
    assert "electrical coupling is off" in told[2]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            {"model_strategy": GAP_JUNCTIONS},
            "both ways, whichever way its contacts go, with the weight of one",
        ),
        ({"model_strategy": GAP_JUNCTIONS, "per_contact": False}, "with one weight however many there are"),
        ({"rule": "one_to_one"}, "to itself alone (one_to_one): electrical coupling is off (1 pairs"),
        ({"rule": "all_to_all"}, "by NEST's rule all_to_all"),
        ({}, "in the direction of its contacts"),
    ],
    ids=["of a contact", "of a pair", "with themselves", "by a rule", "one way"],
)
def test_gap_junctions_are_no_sum_of_contacts(model, says):
    models = SIMULATION["connection_models"] | {
        "gap_purkinje": {**model, "synapses": [{"model": "gap_junction", "weight": 0.9}]}
    }
    _, chemical, electrical = omissions(SIMULATION | {"connection_models": models}, PROJECTIONS)
    assert "5 contacts are 4 connections" in chemical
    assert electrical.startswith("gap_purkinje c")
    assert says in electrical


def test_nothing_is_left_out_of_a_simulation_with_a_model_for_everything():
    models = {"granule_to_purkinje": {}, "gap_purkinje": {}}
    assert omissions({"simulator": "neuron", "connection_models": models}, PROJECTIONS) == ()


def test_a_chemical_projection_without_a_model_has_no_effect():
    told = omissions({"simulator": "neuron", "connection_models": {"gap_purkinje": {}}}, PROJECTIONS)
    (sentence,) = told
    assert sentence.startswith("granule_to_purkinje has no connection model")
    assert sentence.endswith("it has no effect (4 pairs of cells).")


def test_models_named_after_a_pair_of_types_count():
    pair = ProjectionNumbers("out_io_to_mli", "io", "mli", 1, 1, 1.0, Spread(1, 0), Spread(1, 0), 0)
    for model in ("out_io_to_mli", "out"):
        assert unsimulated({"connection_models": {model: {}}}, [pair]) == ()
    whole = ProjectionNumbers("out", "io", "mli", 1, 1, 1.0, Spread(1, 0), Spread(1, 0), 0)
    assert unsimulated({"connection_models": {"out_io_to_mli": {}}}, [whole]) == ()
    assert unsimulated({"connection_models": {"other": {}}}, [whole]) == ("out",)
