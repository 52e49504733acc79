"""Bringing older configurations up to date: what changes, what does not, and what is refused."""

import copy
from pathlib import Path

import pytest
import yaml

from cerebellar_models.circuits.adopt import OVERLAP_RULE, adopt, is_our_pin
from cerebellar_models.circuits.catalogue import morphology_manifest
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.errors import UserError

COMPATIBILITY = Path(__file__).parents[1] / "compatibility"
OLDER = yaml.safe_load((COMPATIBILITY / "older.yaml").read_text())
CORTEX = yaml.safe_load((COMPATIBILITY / "cortex.yaml").read_text())
MANIFEST = morphology_manifest()


def adopted(tree: dict):
    return adopt(tree, MANIFEST, seed=1234)


def test_every_difference_is_told_and_the_old_tree_stays():
    before = copy.deepcopy(OLDER)
    result = adopted(OLDER)
    assert before == OLDER
    told = "\n".join(result.changes)
    for change in (
        "packages: 'cerebellar-models>=0.9' dropped",
        "rng.seed: 1234 added",
        "morphologies[0]: somewhere/GolgiCell.swc -> cerebellum://GolgiCell.swc",
        "morphologies[1]: C:\\models\\GranuleCell.swc -> cerebellum://GranuleCell.swc",
        "bsb.placement.ParticlePlacement -> bsb.placement.RandomPlacement",
        "connectivity.golgi_to_golgi.strategy: voxel_intersection -> ",
        "connection_models.golgi_to_golgi: synapse -> synapses",
        "connection_models.ascending_axon_to_golgi.synapses: synapse_model -> model",
        "simulations.basal_activity.seed: 7 -> rng.settings.basal_activity",
    ):
        assert change in told
    assert len(result.changes) == 11


@pytest.mark.parametrize("tree", [OLDER, CORTEX], ids=["older", "cortex"])
def test_what_is_adopted_needs_nothing_more(tree):
    assert adopted(adopted(tree).tree).changes == ()


def test_our_own_configurations_need_nothing():
    _, tree = resolve("mouse", preset="tiny")
    result = adopted(tree)
    assert (result.tree, result.changes, result.hints) == (tree, (), ())


def test_the_stock_rule_becomes_ours_with_all_its_parameters():
    old, new = OLDER["connectivity"]["golgi_to_golgi"], adopted(OLDER).tree["connectivity"]["golgi_to_golgi"]
    assert new == {**old, "strategy": OVERLAP_RULE, "self_connections": True}


@pytest.mark.parametrize(
    "name",
    ["cerebellar_models.connectome.to_glomerulus.ConnectomeMossyGlomerulus", "mossy_glom", "bsb.AllToAll"],
)
def test_other_rules_stay(name):
    tree = {"connectivity": {"a_to_b": {"strategy": name}}, "rng": {"seed": 3}}
    assert adopted(tree).tree == tree


def test_morphologies_keep_their_name_and_pipeline():
    tree = {
        **OLDER,
        "morphologies": [{"file": "x/PurkinjeCell.swc", "name": "pc", "pipeline": ["centerize"]}],
    }
    (morphology,) = adopted(tree).tree["morphologies"]
    assert (morphology["name"], morphology["pipeline"]) == ("pc", ["centerize"])
    assert morphology["file"] == "cerebellum://PurkinjeCell.swc"
    assert morphology["parser"] == MANIFEST["PurkinjeCell"]["bsb"]["parser"]


@pytest.mark.parametrize("file", ["mine.swc", "https://example.org/GolgiCell.swc", "MyGolgiCell.swc"])
def test_other_files_stay(file):
    assert adopted({**OLDER, "morphologies": [file]}).tree["morphologies"] == [file]


def test_a_seed_and_foreign_pins_stay():
    tree = adopted({**OLDER, "rng": {"seed": 42}}).tree
    assert tree["rng"]["seed"] == 42
    assert tree["packages"] == ["numpy>=1.20"]


@pytest.mark.parametrize(
    ("pin", "ours"),
    [("cerebellar-models~=0.13.0", True), ("Cerebellar_Models", True), ("cerebellar-models-extra>=1", False)],
)
def test_pins_of_this_package_in_any_spelling(pin, ours):
    assert is_our_pin(pin) is ours


def test_parameters_of_the_model_are_only_commented_on():
    result = adopted(CORTEX)
    old, new = CORTEX["simulations"], result.tree["simulations"]
    assert old == new
    hints = "\n".join(result.hints)
    assert "delay 0.1 ms of background_noise, granule_record is one time step" in hints
    assert "granule_cell: k_2 0.041 is below 1/tau_m = 0.04140787" in hints


def test_labels_the_bundled_file_lacks_are_named():
    parser = {"tags": {6: ["axon", "my_label"]}}
    tree = {**OLDER, "morphologies": [{"file": "GolgiCell.swc", "parser": parser}]}
    assert any("labels my_label are not in the bundled GolgiCell.swc" in hint for hint in adopted(tree).hints)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"rule": "one_to_one", "synapses": [{"model": "gap_junction", "weight": 14.3}]}, True),
        ({"rule": "one_to_one", "synapses": [{"model": "static_synapse", "weight": 1}]}, False),
        ({"synapses": [{"model": "gap_junction", "weight": 0.9}]}, False),
        ({"rule": "one_to_one", "synapses": [{"model": {"a": 1}}]}, False),
    ],
    ids=["cells with themselves", "no gap junction", "by contacts", "no name of a model"],
)
def test_gap_junctions_that_couple_nothing_are_told(model, told):
    tree = {
        "network": {},
        "simulations": {"a": {"simulator": "nest", "connection_models": {"gap_goc": model}}},
    }
    hints = [hint for hint in adopted(tree).hints if "GapJunctions" in hint]
    assert [hint.partition(":")[0] for hint in hints] == ["simulations.a.connection_models.gap_goc"] * told


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"colour": "blue"}, "is no BSB configuration"),
        ({"connectivity": [1]}, "connectivity: expected a mapping, found list"),
        ({"connectivity": {"a": 1}}, "connectivity.a: expected a mapping, found int"),
        ({"network": {}, "packages": "x"}, "packages: expected a list, found str"),
        ({"network": {}, "morphologies": {}, "rng": 3}, "rng: expected a mapping, found int"),
        ({"network": {}, "morphologies": "all"}, "morphologies: expected a list, found str"),
        (
            {
                "simulations": {
                    "s": {"simulator": "nest", "connection_models": {"a": {"synapses": {}, "synapse": {}}}}
                }
            },
            "simulations.s.connection_models.a: has both 'synapse' and 'synapses'",
        ),
        (
            {"simulations": {"s": {"simulator": "nest", "connection_models": {"a": {"synapses": "x"}}}}},
            "simulations.s.connection_models.a.synapses: expected a list of mappings",
        ),
        (
            {"simulations": {"s": {"simulator": "nest", "devices": []}}},
            "simulations.s.devices: expected a mapping",
        ),
    ],
)
def test_what_is_no_configuration_is_refused_by_its_key(tree, says):
    with pytest.raises(UserError) as error:
        adopted(tree)
    assert says in str(error.value)
