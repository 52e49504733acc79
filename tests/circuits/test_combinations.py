"""Everything the catalogue offers composes to a tree BSB accepts."""

import itertools
import json
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest
from bsb import parse_configuration_content

from cerebellar_models.circuits import offers
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose

MOUSE = load_species("mouse")
COMBINATIONS = list(offers.combinations(MOUSE))


def tree(**choices) -> dict:
    return compose(MOUSE, choose(MOUSE, preset="tiny", **choices), morphology_manifest())


@pytest.fixture(scope="module")
def bsb_accepts():
    """Has BSB parse a tree without its simulations; returns what it found, or fails with its refusal."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("configuration_reader.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:

        def accept(composed: dict) -> dict:
            reader.stdin.write(json.dumps(composed) + "\n")
            reader.stdin.flush()
            found = json.loads(reader.stdout.readline())
            assert "refused" not in found, found["refused"]
            return found

        yield accept
        reader.stdin.close()
        reader.wait(timeout=30)


def test_every_part_state_model_and_paradigm_is_offered():
    offered = [set(names) for names in zip(*map(astuple, COMBINATIONS), strict=True)]
    assert offered[0] == set(offers.part_sets(MOUSE))
    assert offered[1:] == [
        set(MOUSE.states),
        set(MOUSE.neuron_models),
        set(MOUSE.synapse_models),
        set(MOUSE.paradigms),
    ]


@pytest.mark.parametrize("offered", COMBINATIONS, ids=lambda offered: "-".join(map(str, astuple(offered))))
def test_bsb_accepts_every_combination(offered, bsb_accepts):
    composed = tree(
        parts=offered.parts,
        state=offered.state,
        neuron_model=offered.neuron_model,
        synapse_model=offered.synapse_model,
        simulations=[offered.paradigm],
    )
    found = bsb_accepts(composed)
    assert found == {
        "connectivity": sorted(composed["connectivity"]),
        "simulations": [offered.paradigm],
        "seed": 1234,
    }


@pytest.mark.parametrize("axis", [None, "y"])
def test_bsb_accepts_microzones(axis, bsb_accepts):
    choices = choose(
        MOUSE, preset="canonical", parts=["io", "ubc"], microzones=["a", "b", "c"], microzone_axis=axis
    )
    bsb_accepts(compose(MOUSE, choices, morphology_manifest()))


def test_a_refusal_is_noticed(bsb_accepts):
    composed = tree()
    composed["connectivity"]["golgi_to_golgi"]["presynaptic"]["cell_types"] = ["yeti"]
    with pytest.raises(AssertionError, match="yeti"):
        bsb_accepts(composed)


MODELS = [
    (state, neurons, synapses, max((c.parts for c in COMBINATIONS if c.neuron_model == neurons), key=len))
    for state, neurons, synapses in itertools.product(MOUSE.states, MOUSE.neuron_models, MOUSE.synapse_models)
    if any((c.state, c.neuron_model, c.synapse_model) == (state, neurons, synapses) for c in COMBINATIONS)
]


@pytest.mark.parametrize(("state", "neurons", "synapses", "parts"), MODELS, ids=str)
def test_nest_knows_every_model(state, neurons, synapses, parts, nest_installed):
    """NEST looks up every model name; a value of a wrong type or an unknown key fails here."""
    composed = tree(parts=parts, state=state, neuron_model=neurons, synapse_model=synapses)
    configuration = parse_configuration_content(json.dumps(composed), parser="json")
    assert set(configuration.simulations) == set(composed["simulations"])
