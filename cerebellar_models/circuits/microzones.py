"""Divides a circuit into microzones: labelled populations, projections among them once per label. Pure."""

import copy
from dataclasses import dataclass

from cerebellar_models.circuits.devices import takes_spikes
from cerebellar_models.tree import Tree

_HOOK = "label_microzones"


@dataclass(frozen=True)
class Zones:
    """How a circuit was divided: labels, divided populations, and the rule each copy was made from."""

    labels: tuple[str, ...]
    cell_types: tuple[str, ...]
    copied_from: dict[str, str]


def divide(
    circuit: Tree, cell_types: tuple[str, ...], labels: tuple[str, ...], axis: str | None
) -> tuple[Tree, Zones]:
    """The circuit with its populations divided at random, or along an axis, into zones of equal size.

    Each projection from a divided population to another becomes one for each label, ``<projection>_<label>``,
    with the same parameters; whatever names such a projection names its copies instead.
    """
    tree = copy.deepcopy(circuit)
    hook = "LabelCells" if axis is None else "LabelMicrozones"
    tree["after_placement"] = {
        **tree.get("after_placement", {}),
        _HOOK: {
            "strategy": f"cerebellar_models.placement.microzones.{hook}",
            "cell_types": list(cell_types),
            "labels": list(labels),
            "same_size": True,
            **({} if axis is None else {"axis": axis}),
        },
    }
    divided = {name for name, rule in tree["connectivity"].items() if _is_within(rule, cell_types)}
    copies = {name: [f"{name}_{label}" for label in labels] for name in divided}
    tree["connectivity"] = {
        new_name: new_rule
        for name, rule in tree["connectivity"].items()
        for new_name, new_rule in _per_label(name, rule, labels, divided)
    }
    for rule in tree["connectivity"].values():
        for key, value in rule.items():
            if isinstance(value, list) and key != "cell_types":
                rule[key] = [new for item in value for new in copies.get(item, [item])]
    tree["after_connectivity"] = {
        new_name: new_hook
        for name, hook_tree in tree.get("after_connectivity", {}).items()
        for new_name, new_hook in _hook_per_label(name, hook_tree, labels, copies)
    }
    origins = {copied: name for name, names in copies.items() for copied in names}
    return tree, Zones(labels, cell_types, origins)


def record_per_label(devices: Tree, zones: Zones) -> Tree:
    """The devices of a simulation, with a recorder of a divided population turned into one for each label."""
    result: Tree = {}
    for name, device in devices.items():
        targets = device["targetting"]
        divided = set(targets["cell_models"]) <= set(zones.cell_types) and targets["strategy"] == "cell_model"
        if not takes_spikes(device) or not divided:
            result[name] = device
            continue
        for label in zones.labels:
            by_label = {**targets, "strategy": "by_label", "labels": [label]}
            result[f"{name}_{label}"] = {**copy.deepcopy(device), "targetting": by_label}
    return result


def _is_within(rule: Tree, cell_types: tuple[str, ...]) -> bool:
    return all(set(rule[side]["cell_types"]) <= set(cell_types) for side in ("presynaptic", "postsynaptic"))


def _per_label(name: str, rule: Tree, labels: tuple[str, ...], divided: set[str]) -> list[tuple[str, Tree]]:
    if name not in divided:
        return [(name, rule)]
    copies = []
    for label in labels:
        copied = copy.deepcopy(rule)
        for side in ("presynaptic", "postsynaptic"):
            copied[side]["labels"] = [label]
        copies.append((f"{name}_{label}", copied))
    return copies


def _hook_per_label(
    name: str, hook: Tree, labels: tuple[str, ...], copies: dict[str, list[str]]
) -> list[tuple[str, Tree]]:
    rule = hook.get("conn_strategy")
    if rule not in copies:
        return [(name, hook)]
    return [
        (f"{name}_{label}", {**copy.deepcopy(hook), "conn_strategy": copied})
        for label, copied in zip(labels, copies[rule], strict=True)
    ]
