"""Bringing older configurations up to date: what changes, what does not, and what is refused."""

import copy
from pathlib import Path

import pytest
import yaml
from published_circuit import SWAP, exchanged, morphology

from cerebellar_models.circuits.adopting.adopt import adopt, is_our_pin
from cerebellar_models.circuits.catalogue import morphology_manifest
from cerebellar_models.circuits.counting.rules import OVERLAP
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder

COMPATIBILITY = Path(__file__).parents[1] / "compatibility"
OLDER = yaml.safe_load((COMPATIBILITY / "older.yaml").read_text())
CORTEX = yaml.safe_load((COMPATIBILITY / "cortex.yaml").read_text())
MANIFEST = morphology_manifest()
MANIFEST_ENTRY = {key: MANIFEST["PurkinjeCell"]["bsb"][key] for key in ("file", "parser")}


def bundled_text(name: str) -> str:
    return (bundle_folder("morphologies") / name).read_text(encoding="utf-8")


def adopted(tree: dict, texts: dict[str, str | None] | None = None):
    """``texts`` are the morphology files there are, beside the bundled ones."""
    bundled = {entry["bsb"]["file"]: bundled_text(entry["file"]) for entry in MANIFEST.values()}
    return adopt(tree, MANIFEST, 1234, (bundled | (texts or {})).get)


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
    assert new == {**old, "strategy": OVERLAP.path, "self_connections": True}


@pytest.mark.parametrize(
    "name",
    ["cerebellar_models.connectome.to_glomerulus.ConnectomeMossyGlomerulus", "mossy_glom", "bsb.AllToAll"],
)
def test_other_rules_stay(name):
    tree = {"connectivity": {"a_to_b": {"strategy": name}}, "rng": {"seed": 3}}
    assert adopted(tree).tree == tree


PURKINJE = bundled_text("PurkinjeCell.swc")
TURN = {"func": "rotate", "rotation": [0, 0, 90]}


def shortened(text: str) -> str:
    """The cell without its last sample."""
    rows = text.splitlines()
    return "\n".join(rows[:-1])


@pytest.mark.parametrize(
    ("text", "pipeline", "left"),
    [
        (exchanged("PurkinjeCell"), [SWAP], None),
        (exchanged("PurkinjeCell"), [SWAP, TURN], [TURN]),
        (exchanged("PurkinjeCell"), [SWAP, "close_gaps"], ["close_gaps"]),
        (PURKINJE, [], None),
        (PURKINJE, [SWAP], [SWAP]),
        (PURKINJE, [SWAP, SWAP], [SWAP, SWAP]),
        (None, [], None),
        (None, [SWAP], None),
        (None, [SWAP, TURN], [TURN]),
    ],
    ids=[
        "published",
        "published and turned",
        "published and mended",
        "as ours",
        "as ours, laid on its side",
        "as ours, exchanged twice",
        "not here",
        "not here, published",
        "not here, published and turned",
    ],
)
def test_a_published_file_gives_way_with_the_steps_made_for_it(text, pipeline, left):
    entry = morphology("PurkinjeCell", pipeline) | {"name": "pc"}
    result = adopted({**OLDER, "morphologies": [entry]}, {entry["file"]: text})
    (new,) = result.tree["morphologies"]
    assert new == {"name": "pc", **MANIFEST_ENTRY, **({"pipeline": left} if left else {})}
    told = [change for change in result.changes if change.startswith("morphologies[0].pipeline: ")]
    assert told == ["morphologies[0].pipeline: swap_axes dropped, the bundled file lies as it should"] * (
        len(pipeline) > len(left or [])
    )


@pytest.mark.parametrize(
    ("text", "pipeline", "parser", "because"),
    [
        (exchanged("StellateCell"), [SWAP], {}, "another cell than the bundled one (182 x 8 x 614 µm)"),
        (exchanged("PurkinjeCell"), [], {}, "another cell than the bundled one"),
        (exchanged("PurkinjeCell"), ["center", SWAP], {}, "another cell than the bundled one"),
        (shortened(PURKINJE), [], {}, "another cell than the bundled one"),
        (exchanged("PurkinjeCell"), [SWAP, "mine.prune"], {}, "mine.prune was written for it"),
        (PURKINJE, [], {"parser": "morphio"}, "not made for the parser morphio"),
        (PURKINJE, [], {"tags": {"11": ["pf_targets"]}}, "dendrites is another part of the cell"),
        ("no SWC", [SWAP], {}, "cannot be read as SWC"),
        (None, ["center"], {}, "it is not found here, and its pipeline is not that of the published file"),
    ],
    ids=[
        "another cell",
        "never turned",
        "moved first",
        "cut",
        "code of the user",
        "another parser",
        "another label",
        "no SWC",
        "not here",
    ],
)
def test_in_doubt_a_file_stays_with_its_pipeline(text, pipeline, parser, because):
    entry = morphology("PurkinjeCell", pipeline)
    entry["parser"] = {**entry["parser"], **parser}
    uses = {"pf": {"strategy": "mine.Rule", "presynaptic": {"morphology_labels": ["dendrites"]}}}
    result = adopted({**OLDER, "connectivity": uses, "morphologies": [entry]}, {entry["file"]: text})
    assert result.tree["morphologies"] == [entry]
    (hint,) = [hint for hint in result.hints if "stays, with its pipeline" in hint]
    assert because in hint


def test_of_files_with_one_pipeline_those_replaced_stand_by_themselves():
    files = [{"file": "a/PurkinjeCell.swc", "name": "pc"}, "mine.swc", "b/StellateCell.swc"]
    group = {"files": files, "pipeline": [SWAP, TURN]}
    texts = {"a/PurkinjeCell.swc": exchanged("PurkinjeCell")}
    result = adopted({"network": {}, "morphologies": [group]}, texts)
    stellate = MANIFEST["StellateCell"]["bsb"]
    assert result.tree["morphologies"] == [
        {"name": "pc", **MANIFEST_ENTRY, "pipeline": [TURN]},
        {"file": stellate["file"], "parser": stellate["parser"], "pipeline": [TURN]},
        {"files": ["mine.swc"], "pipeline": [SWAP, TURN]},
    ]


def test_a_bundled_cell_that_an_earlier_release_laid_on_its_side_is_told():
    result = adopted({"network": {}, "morphologies": [{**MANIFEST_ENTRY, "pipeline": [SWAP]}]})
    assert result.tree["morphologies"][0]["pipeline"] == [SWAP]
    assert any("lays the cell on its side" in hint for hint in result.hints)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cerebellar_models/nest_models/build_models.py", "cerebellar_models.nest_models.build_models"),
        ("./cerebellar_models/nest_models/build_models.py", "cerebellar_models.nest_models.build_models"),
        ("C:\\lab\\cerebellar_models\\placement\\microzones.py", "cerebellar_models.placement.microzones"),
        (
            {"module": "../cerebellar_models/streams.py", "attr": "a"},
            {"module": "cerebellar_models.streams", "attr": "a"},
        ),
        ("cerebellar_models/mine.py", None),
        ("my_cerebellar_models/pins.py", None),
        ("rules.py", None),
        ("cerebellar_models.nest_models.build_models", None),
    ],
)
def test_components_that_are_paths_to_this_package_become_its_modules(old, new):
    result = adopted({"network": {}, "rng": {"seed": 1}, "components": [old]})
    assert result.tree["components"] == [old if new is None else new]
    assert len(result.changes) == (new is not None)


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
        ({"network": {}, "components": "x"}, "components: expected a list, found str"),
        (
            {"network": {}, "morphologies": [{"file": "GolgiCell.swc", "pipeline": 1}]},
            "morphologies[0].pipeline: expected a list",
        ),
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
