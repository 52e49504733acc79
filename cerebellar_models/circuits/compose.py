"""Choices and a catalogue in, one BSB configuration tree out. Pure: no file, simulator or MPI."""

import copy
from collections.abc import Iterator
from typing import Any

from cerebellar_models.circuits import microzones
from cerebellar_models.circuits.catalogue import Species
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.counting import populations
from cerebellar_models.circuits.counting.nodes import Node
from cerebellar_models.circuits.counting.rules import OVERLAP
from cerebellar_models.circuits.large_enough import check_large_enough
from cerebellar_models.circuits.parts import add_parts
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

CIRCUIT_FILE = "cerebellum.hdf5"
_UNDIVIDED = microzones.Zones((), (), {})


def compose(species: Species, choices: CircuitChoices, manifest: Tree) -> Tree:
    """The whole configuration, as BSB reads it.

    :param manifest: the morphologies by name (see :func:`catalogue.morphology_manifest`).
    :raises UserError: the circuit is too small for its own rules.
    """
    circuit = add_parts(species.circuit, species.parts, choices.parts)
    name = ", ".join((circuit.pop("name"), *choices.parts, choices.state))
    x, y = choices.size
    circuit["network"] = {
        "x": x,
        "y": y,
        "z": populations.circuit_height(Node(circuit)),
        **circuit["network"],
    }
    divisible = tuple(circuit.pop("microzones", ()))
    zones = _UNDIVIDED
    if choices.microzones:
        circuit, zones = microzones.divide(circuit, divisible, choices.microzones, choices.microzone_axis)
    check_large_enough(circuit)
    if choices.self_connections:
        for rule in circuit["connectivity"].values():
            if OVERLAP.is_meant_by(rule["strategy"]):
                rule["self_connections"] = True
    return {
        "name": name,
        "components": ["cerebellar_models.nest_models.build_models", *circuit.pop("components", ())],
        "storage": {"engine": "hdf5", "root": CIRCUIT_FILE},
        "rng": {"seed": choices.seed},
        "morphologies": _morphologies(circuit, manifest),
        **circuit,
        "simulations": {
            name: _simulation(species, choices, name, circuit, zones) for name in choices.simulations
        },
    }


def _morphologies(circuit: Tree, manifest: Tree) -> list[Tree]:
    used = [
        name for cell in circuit["cell_types"].values() for name in cell["spatial"].get("morphologies", ())
    ]
    return [copy.deepcopy(manifest[name]["bsb"]) for name in used]


def _simulation(
    species: Species, choices: CircuitChoices, name: str, circuit: Tree, zones: microzones.Zones
) -> Tree:
    paradigm = _paradigm(species.paradigms, name, choices.state)
    neurons = species.neuron_models[choices.neuron_model]
    synapses = _synapses(species.synapse_models, choices.synapse_model, choices.state)
    constants = _for_state(neurons["constants"], choices.state)
    cell_types = circuit["cell_types"]
    cell_models: Tree = {
        relay: {"model": "parrot_neuron"} for relay in paradigm.get("relays", ()) if relay in cell_types
    }
    for cell_type in cell_types:
        if cell_type not in cell_models:
            cell_models[cell_type] = {"model": neurons["nest_model"], "constants": constants[cell_type]}
    devices = {
        key: _device(device, circuit)
        for key, device in paradigm["devices"].items()
        if set(device["targets"]) <= set(cell_types)
    }
    duration = float(paradigm["duration"] if choices.duration is None else choices.duration)
    _check_duration(name, duration, float(paradigm["resolution"]))
    return {
        "simulator": "nest",
        "duration": duration,
        "resolution": paradigm["resolution"],
        "threads": 1,
        "modules": list(neurons["nest_modules"]),
        "cell_models": cell_models,
        "connection_models": dict(_connection_models(circuit, synapses, zones)),
        "devices": microzones.record_per_label(devices, zones),
    }


def _check_duration(name: str, duration: float, resolution: float) -> None:
    """:raises UserError: not a whole number of steps."""
    if abs(duration / resolution - round(duration / resolution)) > 1e-6:
        raise UserError(
            f"duration: {duration:g} ms is not a multiple of the resolution of {name}, {resolution:g} ms"
        )


def _connection_models(circuit: Tree, synapses: Tree, zones: microzones.Zones) -> Iterator[tuple[str, Tree]]:
    """A model for each set of connections that has a row, by its own name or that of its projection.

    A row is one synapse, a list of synapses (one for each receptor), or a whole connection model.
    """
    for rule, tree in circuit["connectivity"].items():
        base = zones.copied_from.get(rule, rule)
        for suffix in _pair_suffixes(tree):
            row = synapses.get(base + suffix, synapses.get(base))
            if row is None:
                continue
            row = copy.deepcopy(row)
            if isinstance(row, dict) and "synapses" in row:
                yield rule + suffix, row
            else:
                yield rule + suffix, {"synapses": row if isinstance(row, list) else [row]}


def _pair_suffixes(rule: Tree) -> list[str]:
    """What BSB appends to a rule's name for each pair of its cell types; nothing where there is one pair."""
    pre, post = rule["presynaptic"]["cell_types"], rule["postsynaptic"]["cell_types"]
    if len(pre) == len(post) == 1:
        return [""]
    return [f"_{source}_to_{target}" for source in pre for target in post]


def _synapses(sets: dict[str, Tree], name: str, state: str) -> Tree:
    """A set's rows for a state, over those of the sets it extends."""
    rows: Tree = {}
    for chosen in _lineage(sets, name):
        rows |= _for_state(chosen["synapses"], state)
    return rows


def _lineage(offered: dict[str, Tree], name: str) -> list[Tree]:
    """What ``name`` extends, from the first that extends nothing to itself."""
    lineage = [offered[name]]
    while (above := lineage[0].get("extends")) is not None:
        lineage.insert(0, offered[above])
    return lineage


def _for_state(tables: dict[str, Tree], state: str) -> Tree:
    """The first state's table with, row by row and field by field, the chosen state's values over it."""
    base = next(iter(tables))
    merged = copy.deepcopy(tables[base])
    if state != base:
        for row, fields in tables.get(state, {}).items():
            if isinstance(fields, dict) and isinstance(merged.get(row), dict):
                merged[row].update(fields)
            else:
                merged[row] = copy.deepcopy(fields)
    return merged


def _paradigm(paradigms: dict[str, Tree], name: str, state: str) -> Tree:
    """A paradigm over those it extends, its devices as the state has them; an empty device removes one."""
    merged: Tree = {"devices": {}}
    for paradigm in _lineage(paradigms, name):
        changes = paradigm.get("states", {}).get(state, {})
        devices = merged["devices"] | paradigm.get("devices", {})
        devices = {key: {**device, **changes.get(key, {})} for key, device in devices.items() if device}
        merged = {**merged, **paradigm, "devices": devices}
    return merged


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
    tree = Node(circuit)
    height = populations.layer_floor(tree, layer) + populations.layer_thickness(tree, layer) / 2
    return [circuit["network"]["x"] / 2, circuit["network"]["y"] / 2, height]
