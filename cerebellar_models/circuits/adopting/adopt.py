"""Brings a configuration written for an older package up to date. Pure: tree in, tree and changes out.

What is changed is what no longer loads, what this package does faster at the same result, and what ties the
file to one machine or to one draw of random numbers. A parameter of the model is never changed: where one
deserves a second look, there is a hint instead.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cerebellar_models.circuits.adopting.morphologies import (
    Reading,
    file_name,
    morphology_places,
    use_bundled_morphologies,
)
from cerebellar_models.circuits.counting.rules import OVERLAP, STOCK_OVERLAP
from cerebellar_models.errors import UserError
from cerebellar_models.installation import IMPORTED_FROM
from cerebellar_models.tree import Tree, inner, nodes

GAP_JUNCTIONS = "cerebellar_models.gap_junctions.GapJunctions"
# BSB's older names of classes that are still there.
_RENAMED_CLASSES = {
    "bsb.placement.ParticlePlacement": "bsb.placement.RandomPlacement",
    "particle_placement": "bsb.placement.RandomPlacement",
}
_RENAMED_SYNAPSE_KEYS = {"synapse_model": "model"}
# A module of this package by the path to its file, as checkouts of the published package name it.
_OUR_MODULE = re.compile(r"(?:.*[/\\])?(cerebellar_models[/\\][\w/\\]+)\.py")
_OUR_NAME = re.compile(r"\s*cerebellar[-_.]+models(?![-_.]*\w)", re.IGNORECASE)
# Keys of which every BSB configuration has some, in itself or through a reference.
_CONFIGURATION_KEYS = {
    "network",
    "regions",
    "partitions",
    "cell_types",
    "placement",
    "connectivity",
    "simulations",
}


@dataclass(frozen=True)
class Adopted:
    """The tree brought up to date, each change made, and what was left although it deserves a second look."""

    tree: Tree
    changes: tuple[str, ...]
    hints: tuple[str, ...]


def adopt(
    old: Tree,
    manifest: Tree,
    seed: int,
    reading: Reading = lambda file: None,
    *,
    whole: Tree | None = None,
    beside: Sequence[Tree] = (),
) -> Adopted:
    """Brings a configuration up to date; ``old`` stays as it is. Adopting the result changes nothing more.

    :param manifest: the bundled morphologies by name (see :func:`catalogue.morphology_manifest`).
    :param seed: what a configuration without a seed gets.
    :param reading: text of a morphology file, bundled or not; of a file it has not, the name is believed.
    :param whole: what ``old`` is together with the parts it takes from other files; then ``old`` is one file of
        several, gets no seed, and need be no configuration by itself.
    :param beside: the other files, which may speak of labels.
    :raises UserError: not a BSB configuration; names the key.
    """
    tree = copy.deepcopy(old)
    if whole is None and not is_configuration(tree):
        raise UserError(f"is no BSB configuration: it has none of {', '.join(sorted(_CONFIGURATION_KEYS))}")
    simulations = dict(_simulations(whole or tree))
    nest = {name for name, node in simulations.items() if node.get("simulator") == "nest"}
    seeds = {name: simulations[name]["seed"] for name in sorted(nest) if "seed" in simulations[name]}
    hints = list(_hints(tree, manifest, nest, alone=whole is None))
    first = [
        *_drop_our_pins(tree, shared=whole is not None),
        *_use_our_modules(tree),
        *(_write_seed(tree, seed) if whole is None else ()),
    ]
    morphologies, kept = use_bundled_morphologies(tree, manifest, reading, beside)
    changes = (
        *first,
        *morphologies,
        *_rename_classes(tree),
        *_use_our_overlap_rule(tree),
        *_rename_synapses(tree, nest),
        *_move_kernel_seeds(tree, seeds),
    )
    return Adopted(tree, changes, (*hints, *kept))


def is_configuration(tree: Tree) -> bool:
    """Whether a tree is a BSB configuration or a part of one."""
    return any(key in tree for key in (*_CONFIGURATION_KEYS, "$import"))


def is_our_pin(requirement: object) -> bool:
    """Whether an entry of ``packages`` names this package, in any spelling of its name."""
    return _OUR_NAME.match(str(requirement)) is not None


def _drop_our_pins(tree: Tree, *, shared: bool) -> Iterator[str]:
    """An empty list stays where other files may take it."""
    pins = tree.get("packages", [])
    if not isinstance(pins, list):
        raise UserError(f"packages: expected a list, found {type(pins).__name__}")
    for pin in [pin for pin in pins if is_our_pin(pin)]:
        pins.remove(pin)
        yield f"packages: '{pin}' dropped, it names releases of the published package"
    if "packages" in tree and not pins and not shared:
        del tree["packages"]


def _write_seed(tree: Tree, seed: int) -> Iterator[str]:
    if inner(tree, "rng").get("seed") is None:
        tree["rng"] = {**(tree.get("rng") or {}), "seed": seed}
        yield f"rng.seed: {seed} added, without a seed no two compilations are the same"


def _use_our_modules(tree: Tree) -> Iterator[str]:
    """Modules by their names, which are found from any folder, in place of paths into a checkout."""
    components = tree.get("components") or []
    if not isinstance(components, list):
        raise UserError(f"components: expected a list, found {type(components).__name__}")
    for number, entry in enumerate(components):
        old = str(entry.get("module") if isinstance(entry, dict) else entry)
        match = _OUR_MODULE.fullmatch(old)
        parts = re.split(r"[/\\]", match[1]) if match else []
        if parts and IMPORTED_FROM.joinpath(*parts).with_suffix(".py").is_file():
            name = ".".join(parts)
            components[number] = {**entry, "module": name} if isinstance(entry, dict) else name
            yield f"components[{number}]: {old} -> {name}, found from any folder"


def _rename_classes(tree: Tree) -> Iterator[str]:
    for path, node in nodes(tree, "placement").items():
        new = _RENAMED_CLASSES.get(str(node.get("strategy")))
        if new is not None:
            yield f"{path}.strategy: {node['strategy']} -> {new}"
            node["strategy"] = new


def _use_our_overlap_rule(tree: Tree) -> Iterator[str]:
    for path, rule in nodes(tree, "connectivity").items():
        old = str(rule.get("strategy"))
        if STOCK_OVERLAP.is_meant_by(old):
            rule["strategy"] = OVERLAP.path
            # Only so does the rule stay the stock one, which lets a cell contact itself.
            rule["self_connections"] = True
            yield f"{path}.strategy: {old} -> {OVERLAP.path}, self_connections: true (the same rule, faster)"


def _rename_synapses(tree: Tree, nest: set[str]) -> Iterator[str]:
    for path, model in _nest_nodes(tree, nest, "connection_models"):
        if _replace_import(model, "synapse", "synapses"):
            yield f"{path}.$import: synapse -> synapses"
        if "synapse" in model:
            if "synapses" in model:
                raise UserError(f"{path}: has both 'synapse' and 'synapses', keep one")
            synapses = model.pop("synapse")
            model["synapses"] = synapses if isinstance(synapses, list) else [synapses]
            yield f"{path}: synapse -> synapses, a list"
        for synapse in _synapses(path, model):
            for old, new in _RENAMED_SYNAPSE_KEYS.items():
                if old in synapse and new not in synapse:
                    synapse[new] = synapse.pop(old)
                    yield f"{path}.synapses: {old} -> {new}"
            if synapse.get("model", "static_synapse") in (None, ""):
                synapse["model"] = "static_synapse"
                yield f"{path}.synapses: empty model -> static_synapse"


def _move_kernel_seeds(tree: Tree, seeds: dict[str, Any]) -> Iterator[str]:
    """A simulation's own seed, which BSB 8 wants under ``rng.settings`` and refuses elsewhere."""
    for name, simulation in _simulations(tree):
        if name not in seeds:
            continue
        seed, path = seeds[name], f"simulations.{name}"
        own = "seed" in simulation
        simulation.pop("seed", None)
        if _replace_import(simulation, "seed", None):
            yield f"{path}.$import: seed dropped, it is under rng.settings.{name}"
        if seed is not None:
            rng = inner(tree, "rng")
            settings = inner(rng, "settings", "rng")
            tree["rng"] = {**rng, "settings": {**settings, name: {"strategy": "nest", "seed": seed}}}
            simulation["rng"] = name
            if own:
                yield f"{path}.seed: {seed} -> rng.settings.{name}, where BSB 8 looks for it"


def _replace_import(node: Tree, old: str, new: str | None) -> bool:
    """Renames or drops what a node takes from another file; returns whether it did take it."""
    taken = node.get("$import")
    values = taken.get("values") if isinstance(taken, dict) else None
    if not isinstance(values, list) or old not in values:
        return False
    values[:] = [new if value == old else value for value in values if value != old or new]
    return True


def _hints(tree: Tree, manifest: Tree, nest: set[str], alone: bool) -> Iterator[str]:
    yield from _hints_of_files(tree, manifest, alone)
    for path, simulation in _nest_simulations(tree, nest):
        yield from _hints_of_delays(path, simulation)
        yield from _hints_of_known_slips(path, simulation)
        yield from _hints_of_gap_junctions(path, simulation)


def _hints_of_delays(path: str, simulation: Tree) -> Iterator[str]:
    step = simulation.get("resolution")
    devices = inner(simulation, "devices", path)
    fast = [
        name for name, device in devices.items() if isinstance(device, dict) and device.get("delay") == step
    ]
    if step is not None and fast:
        yield (
            f"{path}.devices: delay {step} ms of {', '.join(fast)} is one time step, so that NEST exchanges "
            "spikes at every step (2.7 times slower); 1.0 ms is as good where no synapse is faster"
        )


def _hints_of_known_slips(path: str, simulation: Tree) -> Iterator[str]:
    """Values in which the published tables are known to be rounded or mistaken."""
    cells = f"{path}.cell_models"
    granule = inner(inner(simulation, "cell_models", path), "granule_cell", cells)
    constants = inner(granule, "constants", f"{cells}.granule_cell")
    k_2, tau_m = constants.get("k_2"), constants.get("tau_m")
    # 1e-6: the full precision of the published value is 1e-8.
    if isinstance(k_2, int | float) and isinstance(tau_m, int | float) and 0 < k_2 * tau_m < 1 - 1e-6:
        yield f"{cells}.granule_cell: k_2 {k_2} is below 1/tau_m = {1 / tau_m:.8f}: the cell fires by itself"
    name = "ubc_glomerulus_record"
    recorder = inner(inner(simulation, "devices", path), name, f"{path}.devices")
    targets = inner(recorder, "targetting", f"{path}.devices.{name}").get("cell_models")
    if isinstance(targets, list) and "ubc_glomerulus" not in targets:
        yield f"{path}.devices.{name}: records {', '.join(map(str, targets))}, not ubc_glomerulus"


def _hints_of_gap_junctions(path: str, simulation: Tree) -> Iterator[str]:
    for model_path, model in nodes(simulation, "connection_models", path).items():
        names = [
            synapse.get("model") or synapse.get("synapse_model") for synapse in _synapses(model_path, model)
        ]
        if model.get("rule") == "one_to_one" and "gap_junction" in names:
            yield (
                f"{model_path}: one_to_one couples the cells of a population to themselves, that is to nothing; "
                f"model_strategy: {GAP_JUNCTIONS} couples the cells that have contacts"
            )


def _hints_of_files(tree: Tree, manifest: Tree, alone: bool) -> Iterator[str]:
    for path, own in own_morphologies(tree, manifest):
        yield f"{path}: {own} is looked for in the working directory, not beside the configuration"
    for file in external_references(tree) if alone else ():
        yield f"{file} is read by this configuration and was not changed: adopt it too"


def external_references(tree: Tree) -> list[str]:
    """Other files the tree takes parts from (``$ref``, ``$import``), by paths relative to its own file."""
    return sorted({ref.partition("#")[0] for ref in _references(tree) if "#" in ref and ref[0] != "#"})


def _references(node: Any) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == "$ref":
            yield str(value)
        elif key == "$import" and isinstance(value, dict):
            yield str(value.get("ref", ""))
        elif isinstance(value, dict | list):
            yield from _references(value)


def own_morphologies(tree: Tree, manifest: Tree) -> Iterator[tuple[str, str]]:
    """Key and file of each morphology that BSB looks for in the folder it runs in, since the package has none such."""
    bundled = {entry["file"] for entry in manifest.values()}
    for place in morphology_places(tree):
        file = place.file
        found_anywhere = not isinstance(file, str) or "://" in file or file.startswith("/")
        if not found_anywhere and file_name(file) not in bundled:
            yield place.path, str(file)


def _simulations(tree: Tree) -> Iterator[tuple[str, Tree]]:
    return ((path.partition(".")[2], node) for path, node in nodes(tree, "simulations").items())


def _nest_simulations(tree: Tree, nest: set[str]) -> Iterator[tuple[str, Tree]]:
    """Of these names: a file may take from another that they are NEST's."""
    for name, simulation in _simulations(tree):
        if name in nest:
            yield f"simulations.{name}", simulation


def _nest_nodes(tree: Tree, nest: set[str], block: str) -> Iterator[tuple[str, Tree]]:
    for path, simulation in _nest_simulations(tree, nest):
        yield from nodes(simulation, block, path).items()


def _synapses(path: str, model: Tree) -> list[Tree]:
    synapses = model.get("synapses") or []
    if not isinstance(synapses, list) or not all(isinstance(synapse, dict) for synapse in synapses):
        raise UserError(f"{path}.synapses: expected a list of mappings")
    return synapses
