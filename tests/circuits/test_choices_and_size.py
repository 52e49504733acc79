"""Names and numbers that are refused, and the closed-form counts."""

from dataclasses import replace

import pytest

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest, read_yaml
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.circuits.counting import populations, size
from cerebellar_models.circuits.counting.nodes import Node
from cerebellar_models.errors import UserError

MOUSE = load_species("mouse")


def tree(**choices) -> dict:
    return compose(MOUSE, choose(MOUSE, **choices), morphology_manifest())


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"state": "asleep"}, "state: there is no 'asleep'; known: awake, in_vitro"),
        ({"preset": "huge"}, "preset: there is no 'huge'; known: canonical, tiny"),
        (
            {"simulations": ["nap"]},
            f"simulation: there is no 'nap'; known: {', '.join(sorted(MOUSE.paradigms))}",
        ),
        ({"neuron_model": "lif"}, "neuron model: there is no 'lif'; known: eglif_cond_alpha_multisyn"),
        (
            {"synapse_model": "gap"},
            f"synapse model: there is no 'gap'; known: {', '.join(sorted(MOUSE.synapse_models))}",
        ),
        ({"size": (-1, 100)}, "size x: -1 µm"),
        ({"size": (100, 0)}, "size y: 0 µm"),
        ({"size": (float("nan"), 100)}, "size x: nan µm"),
        ({"size": (float("inf"), 100)}, "size x: inf µm"),
        ({"size": (100, 1e9)}, "size y: 1e+09 µm"),
        ({"size": (100, 100), "preset": "tiny"}, "size, preset: give one of the two"),
        ({"duration": 0.0}, "duration: 0 ms"),
        ({"seed": 0}, "seed: 0 is not between"),
        ({"seed": 2**32}, "seed: 4294967296 is not between"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_choices_are_refused_in_one_line(choices, says):
    with pytest.raises(UserError) as refusal:
        choose(MOUSE, **choices)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "neurons", "synapses"),
    [
        ({}, "eglif_cond_alpha_multisyn", "static_synapse"),
        ({"neuron_model": "eglif_cond_alpha_multisyn"}, "eglif_cond_alpha_multisyn", "static_synapse"),
        ({"neuron_model": "eglif_multirec"}, "eglif_multirec", "multirec_static_synapse"),
        ({"synapse_model": "multirec_tsodyks_synapse"}, "eglif_multirec", "multirec_tsodyks_synapse"),
        ({"synapse_model": "tsodyks2_synapse"}, "eglif_cond_alpha_multisyn", "tsodyks2_synapse"),
    ],
    ids=str,
)
def test_one_of_neurons_and_synapses_brings_the_other(given, neurons, synapses):
    chosen = choose(MOUSE, **given)
    assert (chosen.neuron_model, chosen.synapse_model) == (neurons, synapses)


def test_neurons_and_synapses_that_do_not_fit_are_refused_with_those_that_do():
    with pytest.raises(
        UserError, match=r"'static_synapse' is fitted to .* not 'eglif_multirec'; fitted"
    ) as told:
        choose(MOUSE, neuron_model="eglif_multirec", synapse_model="static_synapse")
    fitting = [name for name in MOUSE.synapse_models if name.startswith("multirec_")]
    assert str(told.value).endswith(f"fitted to that: {', '.join(fitting)}")


def test_neurons_without_synapses_are_refused():
    species = replace(
        MOUSE, neuron_models=MOUSE.neuron_models | {"lif": MOUSE.neuron_models["eglif_multirec"]}
    )
    with pytest.raises(UserError, match="neuron model: no synapse model is fitted to 'lif'"):
        choose(species, neuron_model="lif")


@pytest.mark.parametrize(
    ("extent", "cells"),
    [
        ((50, 50), "purkinje_cell"),
        ((45, 40), "golgi_cell|mossy_fibers"),
        ((10, 200), "purkinje_cell"),
        ((0.1, 0.1), "granule_cell"),
    ],
)
def test_circuits_too_small_are_refused_before_anything_runs(extent, cells):
    with pytest.raises(UserError, match=rf"size: .* too small: .*\d ({cells}) for certain where"):
        tree(size=extent)


@pytest.mark.parametrize("preset", sorted(MOUSE.presets))
def test_presets_hold_every_cell_type(preset):
    counts = size.target_counts(tree(preset=preset))
    assert set(counts) == set(MOUSE.circuit["cell_types"])
    assert min(counts.values()) >= 2


def test_canonical_counts_are_the_published_ones():
    counts = {name: round(number) for name, number in size.target_counts(tree(preset="canonical")).items()}
    assert counts == {
        "glomerulus": 2340,
        "mossy_fibers": 117,
        "granule_cell": 30420,
        "golgi_cell": 70,
        "purkinje_cell": 70,
        "basket_cell": 150,
        "stellate_cell": 300,
    }


def test_placed_cells_meet_their_targets(tiny_circuit, tiny_tree):
    for cell_type, target in size.target_counts(tiny_tree).items():
        placed = len(tiny_circuit.positions[cell_type])
        allowed = 0.01 * target if target > 1000 else max(3, 0.05 * target)
        assert abs(placed - target) <= allowed, f"{cell_type}: {placed}, target {target:.1f}"


def test_layers_are_stacked_from_the_bottom():
    circuit = tree(preset="tiny")
    node = Node(circuit)
    assert [populations.layer_floor(node, layer) for layer in circuit["partitions"]] == [0, 130, 145, 195]
    assert populations.circuit_height(node) == circuit["network"]["z"] == 295


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        ("a: [", "not valid YAML"),
        ("- a", "expected a mapping"),
        (b"\xff\xfe\x00", "line 1 is not UTF-8 text (byte 0xff); save the file as UTF-8"),
    ],
)
def test_unreadable_files_name_the_file(tmp_path, content, says):
    path = tmp_path / "species.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as refusal:
        read_yaml(path)
    assert str(path) in str(refusal.value)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"size": (1e5, 1e5)}, "holds 5.6e+09 cells; a circuit of more than 1e+09 is refused"),
        ({"size": (500, 12)}, "leaves no room for 2 purkinje_cell one after another in y"),
        ({"duration": 100.05, "simulations": ["basal_activity"]}, "is not a multiple of the resolution"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_would_fail_later_is_refused_now(choices, says):
    with pytest.raises(UserError) as refusal:
        tree(**choices)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
