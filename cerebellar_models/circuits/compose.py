"""Choices and a catalogue in, one BSB configuration tree out. Pure: no file, simulator or MPI."""

import copy
from typing import Any

from cerebellar_models.circuits import size
from cerebellar_models.circuits.catalogue import Species, Tree
from cerebellar_models.circuits.choices import CircuitChoices

CIRCUIT_FILE = "cerebellum.hdf5"
_OVERLAP_RULE = "cerebellar_models.connectome.voxel_overlap.VoxelOverlap"


def compose(species: Species, choices: CircuitChoices, manifest: Tree) -> Tree:
    """The whole configuration, as BSB reads it.

    :param manifest: the morphologies by name (see :func:`catalogue.morphology_manifest`).
    :raises UserError: the circuit is too small for its own rules.
    """
    circuit = copy.deepcopy(species.circuit)
    x, y = choices.size
    circuit["network"] = {"x": x, "y": y, "z": size.circuit_height(circuit), **circuit["network"]}
    size.check_large_enough(circuit)
    if choices.self_connections:
        for rule in circuit["connectivity"].values():
            if rule["strategy"] == _OVERLAP_RULE:
                rule["self_connections"] = True
    return {
        "name": f"{circuit.pop('name')}, {choices.state}",
        "components": ["cerebellar_models.nest_models.build_models"],
        "storage": {"engine": "hdf5", "root": CIRCUIT_FILE},
        "rng": {"seed": choices.seed},
        "morphologies": _morphologies(circuit, manifest),
        **circuit,
        "simulations": {name: _simulation(species, choices, name, circuit) for name in choices.simulations},
    }


def _morphologies(circuit: Tree, manifest: Tree) -> list[Tree]:
    used = [
        name for cell in circuit["cell_types"].values() for name in cell["spatial"].get("morphologies", ())
    ]
    return [copy.deepcopy(manifest[name]["bsb"]) for name in used]


def _simulation(species: Species, choices: CircuitChoices, name: str, circuit: Tree) -> Tree:
    paradigm = _with_base(species.paradigms, name)
    neurons = species.neuron_models[choices.neuron_model]
    synapses = _for_state(species.synapse_models[choices.synapse_model]["synapses"], choices.state)
    constants = _for_state(neurons["constants"], choices.state)
    cell_models: Tree = {relay: {"model": "parrot_neuron"} for relay in paradigm["relays"]}
    for cell_type in circuit["cell_types"]:
        if cell_type not in cell_models:
            cell_models[cell_type] = {"model": neurons["nest_model"], "constants": constants[cell_type]}
    return {
        "simulator": "nest",
        "duration": float(paradigm["duration"] if choices.duration is None else choices.duration),
        "resolution": paradigm["resolution"],
        "threads": choices.threads,
        "modules": list(neurons["nest_modules"]),
        "cell_models": cell_models,
        "connection_models": {
            rule: {"synapses": [synapses[rule]]} for rule in circuit["connectivity"] if rule in synapses
        },
        "devices": {key: _device(device, circuit) for key, device in paradigm["devices"].items()},
    }


def _for_state(tables: dict[str, Tree], state: str) -> Tree:
    """The first state's table with, row by row and field by field, the chosen state's values over it."""
    base = next(iter(tables))
    merged = copy.deepcopy(tables[base])
    if state != base:
        for row, fields in tables.get(state, {}).items():
            merged.setdefault(row, {}).update(fields)
    return merged


def _with_base(paradigms: dict[str, Tree], name: str) -> Tree:
    paradigm = paradigms[name]
    if "extends" not in paradigm:
        return paradigm
    base = _with_base(paradigms, paradigm["extends"])
    return {**base, **paradigm, "devices": {**base["devices"], **paradigm["devices"]}}


def _device(device: Tree, circuit: Tree) -> Tree:
    targets: Tree = {"strategy": "cell_model", "cell_models": list(device["targets"])}
    if "sphere" in device:
        sphere = device["sphere"]
        targets |= {
            "strategy": "sphere",
            "radius": sphere["radius"],
            "origin": _centre_of(circuit, sphere["centre_of"]),
        }
    settings = {key: value for key, value in device.items() if key not in ("targets", "sphere")}
    return {**settings, "targetting": targets}


def _centre_of(circuit: Tree, layer: str) -> list[Any]:
    """Centre of a layer, µm: where a stimulus sphere of the published circuit moves with another extent."""
    height = size.layer_floor(circuit, layer) + size.layer_thickness(circuit, layer) / 2
    return [circuit["network"]["x"] / 2, circuit["network"]["y"] / 2, height]
