"""The composed tree: what it holds."""

import copy
import subprocess
import sys

import pytest

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose

MOUSE = load_species("mouse")


def tree(**choices) -> dict:
    return compose(MOUSE, choose(MOUSE, **choices), morphology_manifest())


def test_fifteen_projections_and_the_gap_junctions():
    connectivity = tree()["connectivity"]
    assert len(connectivity) == 16
    for simulation in tree()["simulations"].values():
        assert set(connectivity) - set(simulation["connection_models"]) == {"gap_goc"}


def test_composing_leaves_the_catalogue_alone():
    before = copy.deepcopy(MOUSE)
    tree(state="awake", self_connections=True, size=(400, 100))
    assert before == MOUSE


@pytest.mark.parametrize(
    ("state", "cell", "parameter", "value"),
    [
        ("in_vitro", "purkinje_cell", "I_e", 590),
        ("awake", "purkinje_cell", "I_e", 700),
        ("awake", "purkinje_cell", "lambda_0", 4),
        ("awake", "purkinje_cell", "C_m", 334),
        ("awake", "granule_cell", "k_2", 0.041407868),
    ],
)
def test_awake_values_replace_in_vitro_values(state, cell, parameter, value):
    models = tree(state=state)["simulations"]["basal_activity"]["cell_models"]
    assert models[cell]["constants"][parameter] == value


@pytest.mark.parametrize(
    ("state", "projection", "weight"),
    [
        ("in_vitro", "parallel_fiber_to_purkinje", 0.05),
        ("awake", "parallel_fiber_to_purkinje", 0.14),
        ("awake", "basket_to_purkinje", 0.8),
        ("awake", "stellate_to_purkinje", 0.17),
    ],
)
def test_awake_weights_replace_in_vitro_weights(state, projection, weight):
    synapse = tree(state=state)["simulations"]["basal_activity"]["connection_models"][projection]["synapses"]
    assert [entry["weight"] for entry in synapse] == [weight]


def test_adaptation_is_stable_in_every_cell():
    for cell, model in tree()["simulations"]["basal_activity"]["cell_models"].items():
        if "constants" in model:
            assert model["constants"]["k_2"] > 1 / model["constants"]["tau_m"], cell


def test_relays_repeat_spikes():
    models = tree()["simulations"]["basal_activity"]["cell_models"]
    assert {cell for cell, model in models.items() if model["model"] == "parrot_neuron"} == {
        "mossy_fibers",
        "glomerulus",
    }


@pytest.mark.parametrize(("extent", "centre"), [((300, 200), [150, 100, 65]), ((500, 80), [250, 40, 65])])
def test_the_stimulus_moves_with_the_granular_layer(extent, centre):
    stimulus = tree(size=extent)["simulations"]["mf_stimulus"]["devices"]["mf_stimulus"]
    assert stimulus["targetting"] == {
        "strategy": "sphere",
        "cell_models": ["mossy_fibers"],
        "radius": 90,
        "origin": centre,
    }


def test_no_delay_is_below_the_smallest_synaptic_delay():
    """A device at 0.1 ms would set NEST's communication interval and slow the simulation down 2.7 times."""
    for simulation in tree()["simulations"].values():
        synaptic = [
            s["delay"] for model in simulation["connection_models"].values() for s in model["synapses"]
        ]
        assert min(device["delay"] for device in simulation["devices"].values()) >= min(synaptic)


def test_stimulus_spikes_arrive_at_the_published_time():
    devices = tree()["simulations"]["mf_stimulus"]["devices"]
    stimulus, published_delay = devices["mf_stimulus"], 0.1
    assert stimulus["start"] + stimulus["delay"] == pytest.approx(1200 + published_delay)
    assert stimulus["stop"] + stimulus["delay"] == pytest.approx(1260 + published_delay)


def test_the_published_rule_is_one_switch():
    changed = {
        name
        for name, rule in tree(self_connections=True)["connectivity"].items()
        if rule != tree()["connectivity"][name]
    }
    rules = MOUSE.circuit["connectivity"]
    assert changed == {name for name, rule in rules.items() if rule["strategy"].endswith("VoxelOverlap")}


def test_configuring_imports_neither_simulator_nor_mpi(tmp_path):
    code = (
        "import sys; from cerebellar_models.cli import main;"
        "main(['configure', '--preset', 'tiny'], standalone_mode=False);"
        "print(sorted({'nest', 'bsb', 'mpi4py', 'numba', 'neuron'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip().endswith("[]")
