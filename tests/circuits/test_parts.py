"""Parts of a circuit: which come along, how they merge, what they need."""

import copy
from dataclasses import replace

import pytest

from cerebellar_models.circuits import offers
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.circuits.counting import populations, size
from cerebellar_models.circuits.counting.nodes import Node
from cerebellar_models.circuits.parts import add_parts, with_requirements
from cerebellar_models.errors import UserError

MOUSE = load_species("mouse")
STATIC_OF_UBC = {
    "glomerulus_to_granule_ubc_glomerulus_to_granule_cell",
    "glomerulus_to_golgi_ubc_glomerulus_to_golgi_cell",
}


def tree(**choices) -> dict:
    return compose(MOUSE, choose(MOUSE, **choices), morphology_manifest())


def models(simulation: str = "basal_activity", **choices) -> dict:
    return tree(simulations=[simulation], **choices)["simulations"][simulation]["connection_models"]


@pytest.mark.parametrize(
    ("chosen", "parts"),
    [
        ([], ()),
        (["io"], ("dcn", "io")),
        (["io", "dcn"], ("dcn", "io")),
        (["ubc", "io"], ("dcn", "io", "ubc")),
    ],
    ids=str,
)
def test_parts_bring_along_what_they_require(chosen, parts):
    assert choose(MOUSE, parts=chosen).parts == parts


def test_sensible_combinations():
    assert set(offers.part_sets(MOUSE)) == {
        (), ("dcn",), ("dcn", "io"), ("ubc",), ("dcn", "ubc"), ("dcn", "io", "ubc")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "chosen", "says"),
    [
        ({"a": {}}, ["b"], "part: there is no 'b'; known: a"),
        ({"a": {"requires": ["b"]}}, ["a"], "part: there is no 'b' that 'a' requires; known: a"),
        (
            {"a": {"requires": ["b"]}, "b": {"requires": ["a"]}},
            ["a"],
            "part: 'a' requires itself: a -> b -> a",
        ),
        ({"a": {}}, ["a", "a"], "part: 'a' is given more than once"),
        ({}, ["a"], "known: none"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_parts_are_refused_in_one_line(parts, chosen, says):
    with pytest.raises(UserError) as refusal:
        with_requirements(parts, chosen)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_row_of_a_part_replaces_the_fields_it_gives():
    before = copy.deepcopy(MOUSE.circuit)
    rule = add_parts(MOUSE.circuit, MOUSE.parts, ["ubc"])["connectivity"]["glomerulus_to_granule"]
    cortex = before["connectivity"]["glomerulus_to_granule"]
    assert rule["presynaptic"] == {"cell_types": ["glomerulus", "ubc_glomerulus"]}
    assert [rule[key] for key in ("postsynaptic", "radius", "convergence")] == [
        cortex[key] for key in ("postsynaptic", "radius", "convergence")
    ]
    assert before == MOUSE.circuit


@pytest.mark.parametrize(
    ("parts", "height", "floors"),
    [
        ((), 295, {}),
        (("dcn",), 495, {"dcn_layer": -200}),
        (("io",), 595, {"dcn_layer": -200, "io_layer": -300}),
    ],
    ids=str,
)
def test_layers_below_the_cortex(parts, height, floors):
    composed = tree(parts=parts)
    assert composed["network"]["z"] == height
    assert {layer: populations.layer_floor(Node(composed), layer) for layer in floors} == floors
    assert populations.layer_floor(Node(composed), "granular_layer") == 0


def test_canonical_counts_of_the_parts():
    counts = size.target_counts(tree(parts=["io", "ubc"]))
    expected = {"dcn_p": 119, "dcn_i": 67, "io": 14, "unipolar_brush_cell": 608, "ubc_glomerulus": 2434}
    assert {name: round(counts[name]) for name in expected} == expected


def test_a_stimulus_needs_its_part():
    with pytest.raises(UserError, match="simulation: 'mf_cf_stimulus' needs part io: it stimulates"):
        choose(MOUSE, simulations=["mf_cf_stimulus"])
    assert "mf_cf_stimulus" not in choose(MOUSE, parts=["dcn"]).simulations
    assert "mf_cf_stimulus" in choose(MOUSE, parts=["io"]).simulations


def test_the_field_potential_needs_its_neuron_model():
    with pytest.raises(
        UserError, match="simulation: 'lfp_stimulus' needs neuron model eglif_multirec: it records"
    ):
        choose(MOUSE, simulations=["lfp_stimulus"])
    models = {"neuron_model": "eglif_multirec", "synapse_model": "multirec_static_synapse"}
    devices = tree(simulations=["lfp_stimulus"], **models)["simulations"]["lfp_stimulus"]["devices"]
    assert "background_noise" not in devices
    assert devices["granule_multimeter"]["targetting"]["origin"] == [150, 100, 65]
    assert devices["lfp_stim"]["constants"]["spike_times"][0] + devices["lfp_stim"]["delay"] == pytest.approx(
        1000.1
    )


@pytest.mark.parametrize("parts", offers.part_sets(MOUSE), ids=str)
@pytest.mark.parametrize("state", MOUSE.states)
@pytest.mark.parametrize("synapses", ["static_synapse", "tsodyks2_synapse"])
def test_every_projection_but_the_gap_junctions_has_a_model(parts, state, synapses):
    composed = tree(parts=parts, state=state, synapse_model=synapses)
    for simulation in composed["simulations"].values():
        covered = set(simulation["connection_models"])
        for name, rule in composed["connectivity"].items():
            pre, post = rule["presynaptic"]["cell_types"], rule["postsynaptic"]["cell_types"]
            pairs = {f"{name}_{source}_to_{target}" for source in pre for target in post}
            assert (pairs if len(pre) * len(post) > 1 else {name}) <= covered or name == "gap_goc"


def test_every_population_is_recorded():
    composed = tree(parts=["io", "ubc"])
    for simulation in composed["simulations"].values():
        recorded = [
            cells
            for device in simulation["devices"].values()
            if device["device"] == "spike_recorder"
            for cells in device["targetting"]["cell_models"]
        ]
        assert sorted(recorded) == sorted(composed["cell_types"])


def test_brush_cells_leave_the_plasticity_of_the_cortex_alone():
    cortex, with_ubc = (models(synapse_model="tsodyks2_synapse", parts=parts) for parts in ([], ["ubc"]))
    for name, pair in [
        ("glomerulus_to_granule", "glomerulus_to_granule_glomerulus_to_granule_cell"),
        ("glomerulus_to_golgi", "glomerulus_to_golgi_glomerulus_to_golgi_cell"),
        ("golgi_to_glomerulus", "golgi_to_glomerulus_golgi_cell_to_granule_cell"),
    ]:
        assert with_ubc[pair] == cortex[name]
        assert with_ubc[pair]["synapses"][0]["model"] == "tsodyks2_synapse"
    for name in STATIC_OF_UBC:
        assert with_ubc[name]["synapses"][0]["model"] == "static_synapse"


@pytest.mark.parametrize(
    ("state", "synapses", "name", "weight"),
    [
        ("in_vitro", "static_synapse", "purkinje_to_dcn_p", 0.8),
        ("awake", "static_synapse", "purkinje_to_dcn_p", 0.35),
        ("awake", "tsodyks2_synapse", "purkinje_to_dcn_p", 0.35),
        ("awake", "tsodyks2_synapse", "basket_to_purkinje", 2.28),
        ("awake", "tsodyks2_synapse", "stellate_to_purkinje", 0.48),
        ("awake", "static_synapse", "io_to_mli_io_to_stellate_cell", 5),
        ("awake", "static_synapse", "io_to_mli_io_to_basket_cell", 5),
        ("in_vitro", "tsodyks2_synapse", "io_to_mli_io_to_stellate_cell", 6.5),
    ],
)
def test_weights_of_a_state_and_set(state, synapses, name, weight):
    assert models(state=state, synapse_model=synapses, parts=["io"])[name]["synapses"][0]["weight"] == weight


def test_plastic_synapses_start_rested():
    for model in models(synapse_model="tsodyks2_synapse").values():
        for synapse in model["synapses"]:
            if synapse["model"] == "tsodyks2_synapse":
                assert (synapse["x"], synapse["u"]) == (1, 0)


@pytest.mark.parametrize(("state", "weight"), [("in_vitro", 55), ("awake", 100)])
def test_the_climbing_fibre_stimulus(state, weight):
    simulation = tree(parts=["io"], state=state)["simulations"]["mf_cf_stimulus"]
    tone, puff = (simulation["devices"][name] for name in ("mf_stimulus", "cf_stimulus"))
    published_delay = 0.1
    for device, start, stop in ((tone, 1000, 1250), (puff, 1250, 1260)):
        assert device["start"] + device["delay"] == pytest.approx(start + published_delay)
        assert device["stop"] + device["delay"] == pytest.approx(stop + published_delay)
    assert (puff["weight"], puff["receptor_type"], puff["rate"]) == (weight, 1, 500)
    assert tone["targetting"] == {"strategy": "cell_model", "cell_models": ["mossy_fibers"]}


def test_a_row_may_hold_several_synapses_or_a_whole_model():
    rows = {"in_vitro": {
        "golgi_to_golgi": [{"model": "static_synapse", "receptor_type": 1}, {"model": "static_synapse"}],
        "gap_goc": {"rule": "one_to_one", "synapses": [{"model": "gap_junction", "weight": 1}]},
    }, "awake": {"golgi_to_golgi": [{"model": "static_synapse", "receptor_type": 2}]}}  # fmt: skip
    toy = replace(
        MOUSE, synapse_models={"toy": {"neuron_model": "eglif_cond_alpha_multisyn", "synapses": rows}}
    )
    for state, synapses in (("in_vitro", 2), ("awake", 1)):
        composed = compose(toy, choose(toy, synapse_model="toy", state=state), morphology_manifest())
        connections = composed["simulations"]["basal_activity"]["connection_models"]
        assert len(connections["golgi_to_golgi"]["synapses"]) == synapses
        assert connections["gap_goc"]["rule"] == "one_to_one"


def test_models_without_a_population_are_refused():
    toy = copy.deepcopy(MOUSE)
    model = toy.neuron_models["eglif_cond_alpha_multisyn"]
    del model["constants"]["in_vitro"]["io"]
    with pytest.raises(
        UserError, match="part: neuron model 'eglif_cond_alpha_multisyn' has no parameters for io"
    ):
        choose(toy, parts=["io"])
    model["states"] = ["in_vitro"]
    with pytest.raises(UserError, match="has no parameters for 'awake', only for in_vitro"):
        choose(toy, state="awake")
