"""Brings a configuration written for an older package up to date. Pure: tree in, tree and changes out.

What is changed is what no longer loads, what this package does faster at the same result, and what ties the
file to one machine or to one draw of random numbers. A parameter of the model is never changed: where one
deserves a second look, there is a hint instead.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cerebellar_models.errors import UserError

Tree = dict[str, Any]

GAP_JUNCTIONS = "cerebellar_models.gap_junctions.GapJunctions"
OVERLAP_RULE = "cerebellar_models.connectome.voxel_overlap.VoxelOverlap"
# BSB's rule, by its class, by any path to it and by its short name.
_STOCK_OVERLAP_RULE = re.compile(r"bsb\.(\w+\.)*VoxelIntersection|voxel_intersection")
# BSB's older names of classes that are still there.
_RENAMED_CLASSES = {
    "bsb.placement.ParticlePlacement": "bsb.placement.RandomPlacement",
    "particle_placement": "bsb.placement.RandomPlacement",
}
_RENAMED_SYNAPSE_KEYS = {"synapse_model": "model"}
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


def adopt(old: Tree, manifest: Tree, seed: int) -> Adopted:
    """Brings a configuration up to date; ``old`` stays as it is. Adopting the result changes nothing more.

    :param manifest: the bundled morphologies by name (see :func:`catalogue.morphology_manifest`).
    :param seed: what a configuration without a seed gets.
    :raises UserError: not a BSB configuration; names the key.
    """
    tree = copy.deepcopy(old)
    if not any(key in tree for key in (*_CONFIGURATION_KEYS, "$import")):
        raise UserError(f"is no BSB configuration: it has none of {', '.join(sorted(_CONFIGURATION_KEYS))}")
    hints = list(_hints(tree, manifest))
    changes = (
        *_drop_our_pins(tree),
        *_write_seed(tree, seed),
        *_use_bundled_morphologies(tree, manifest),
        *_rename_classes(tree),
        *_use_our_overlap_rule(tree),
        *_rename_synapses(tree),
        *_move_kernel_seeds(tree),
    )
    return Adopted(tree, changes, tuple(hints))


def is_our_pin(requirement: object) -> bool:
    """Whether an entry of ``packages`` names this package, in any spelling of its name."""
    return _OUR_NAME.match(str(requirement)) is not None


def _drop_our_pins(tree: Tree) -> Iterator[str]:
    pins = tree.get("packages", [])
    if not isinstance(pins, list):
        raise UserError(f"packages: expected a list, found {type(pins).__name__}")
    for pin in [pin for pin in pins if is_our_pin(pin)]:
        pins.remove(pin)
        yield f"packages: '{pin}' dropped, it names releases of the published package"
    if "packages" in tree and not pins:
        del tree["packages"]


def _write_seed(tree: Tree, seed: int) -> Iterator[str]:
    if _mapping(tree, "rng").get("seed") is None:
        tree["rng"] = {**(tree.get("rng") or {}), "seed": seed}
        yield f"rng.seed: {seed} added, without a seed no two compilations are the same"


def _use_bundled_morphologies(tree: Tree, manifest: Tree) -> Iterator[str]:
    bundled = {entry["file"]: entry["bsb"] for entry in manifest.values()}
    for path, entries, number in _morphology_places(tree):
        entry = entries[number]
        file = entry.get("file") if isinstance(entry, dict) else entry
        ours = bundled.get(_file_name(file))
        if ours is None or file == ours["file"]:
            continue
        kept = (
            {key: value for key, value in entry.items() if key != "parser"} if isinstance(entry, dict) else {}
        )
        entries[number] = {**kept, "file": ours["file"], "parser": copy.deepcopy(ours["parser"])}
        yield f"{path}: {file} -> {ours['file']} with the labels of that file"


def _rename_classes(tree: Tree) -> Iterator[str]:
    for path, node in _nodes(tree, "placement"):
        new = _RENAMED_CLASSES.get(str(node.get("strategy")))
        if new is not None:
            yield f"{path}.strategy: {node['strategy']} -> {new}"
            node["strategy"] = new


def _use_our_overlap_rule(tree: Tree) -> Iterator[str]:
    for path, rule in _nodes(tree, "connectivity"):
        old = str(rule.get("strategy"))
        if _STOCK_OVERLAP_RULE.fullmatch(old):
            rule["strategy"] = OVERLAP_RULE
            # Only so does the rule stay the stock one, which lets a cell contact itself.
            rule["self_connections"] = True
            yield f"{path}.strategy: {old} -> {OVERLAP_RULE}, self_connections: true (the same rule, faster)"


def _rename_synapses(tree: Tree) -> Iterator[str]:
    for path, model in _nest_nodes(tree, "connection_models"):
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


def _move_kernel_seeds(tree: Tree) -> Iterator[str]:
    """A simulation's own seed, which BSB 8 wants under ``rng.settings`` and refuses elsewhere."""
    for path, simulation in _nest_simulations(tree):
        if "seed" not in simulation:
            continue
        seed, name = simulation.pop("seed"), path.rpartition(".")[2]
        if seed is not None:
            settings = _mapping(tree["rng"], "settings", "rng")
            tree["rng"]["settings"] = {**settings, name: {"strategy": "nest", "seed": seed}}
            simulation["rng"] = name
            yield f"{path}.seed: {seed} -> rng.settings.{name}, where BSB 8 looks for it"


def _hints(tree: Tree, manifest: Tree) -> Iterator[str]:
    yield from _hints_of_files(tree, manifest)
    for path, simulation in _nest_simulations(tree):
        yield from _hints_of_delays(path, simulation)
        yield from _hints_of_known_slips(path, simulation)
        yield from _hints_of_gap_junctions(path, simulation)


def _hints_of_delays(path: str, simulation: Tree) -> Iterator[str]:
    step = simulation.get("resolution")
    devices = _mapping(simulation, "devices", path)
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
    granule = _mapping(_mapping(simulation, "cell_models", path), "granule_cell", cells)
    constants = _mapping(granule, "constants", f"{cells}.granule_cell")
    k_2, tau_m = constants.get("k_2"), constants.get("tau_m")
    # 1e-6: the full precision of the published value is 1e-8.
    if isinstance(k_2, int | float) and isinstance(tau_m, int | float) and 0 < k_2 * tau_m < 1 - 1e-6:
        yield f"{cells}.granule_cell: k_2 {k_2} is below 1/tau_m = {1 / tau_m:.8f}: the cell fires by itself"
    name = "ubc_glomerulus_record"
    recorder = _mapping(_mapping(simulation, "devices", path), name, f"{path}.devices")
    targets = _mapping(recorder, "targetting", f"{path}.devices.{name}").get("cell_models")
    if isinstance(targets, list) and "ubc_glomerulus" not in targets:
        yield f"{path}.devices.{name}: records {', '.join(map(str, targets))}, not ubc_glomerulus"


def _hints_of_gap_junctions(path: str, simulation: Tree) -> Iterator[str]:
    for model_path, model in _nodes(simulation, "connection_models", path):
        names = [
            synapse.get("model") or synapse.get("synapse_model") for synapse in _synapses(model_path, model)
        ]
        if model.get("rule") == "one_to_one" and "gap_junction" in names:
            yield (
                f"{model_path}: one_to_one couples the cells of a population to themselves, that is to nothing; "
                f"model_strategy: {GAP_JUNCTIONS} couples the cells that have contacts"
            )


def _hints_of_files(tree: Tree, manifest: Tree) -> Iterator[str]:
    bundled = {entry["file"]: entry["bsb"]["parser"] for entry in manifest.values()}
    for path, own in own_morphologies(tree, manifest):
        yield f"{path}: {own} is looked for in the working directory, not beside the configuration"
    for path, entries, number in _morphology_places(tree):
        entry = entries[number]
        file = entry.get("file") if isinstance(entry, dict) else entry
        ours = bundled.get(_file_name(file))
        if ours is not None and isinstance(entry, dict):
            lost = _labels(_mapping(entry, "parser", path)) - _labels(ours)
            if lost:
                yield f"{path}: labels {', '.join(sorted(lost))} are not in the bundled {_file_name(file)}"
    for file in external_references(tree):
        yield f"{file} is read by this configuration and was not changed: adopt it too"


def _labels(parser: Tree) -> set[str]:
    labels = (parser.get("tags") or {}).values()
    return {label for some in labels for label in ([some] if isinstance(some, str) else some)}


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
    for path, entries, number in _morphology_places(tree):
        entry = entries[number]
        file = entry.get("file") if isinstance(entry, dict) else entry
        found_anywhere = not isinstance(file, str) or "://" in file or file.startswith("/")
        if not found_anywhere and _file_name(file) not in bundled:
            yield path, str(file)


def _morphology_places(tree: Tree) -> Iterator[tuple[str, list[Any], int]]:
    """Path, list and index of each morphology file named at the top of a configuration."""
    morphologies = tree.get("morphologies") or []
    if not isinstance(morphologies, list):
        raise UserError(f"morphologies: expected a list, found {type(morphologies).__name__}")
    for number, entry in enumerate(morphologies):
        if isinstance(entry, dict) and isinstance(entry.get("files"), list):
            for inner in range(len(entry["files"])):
                yield f"morphologies[{number}].files[{inner}]", entry["files"], inner
        else:
            yield f"morphologies[{number}]", morphologies, number


def _file_name(file: Any) -> str:
    """The last part of a path, Linux or Windows, or of our own address; nothing of any other address."""
    text = str(file)
    if "://" in text and not text.startswith(("file://", "cerebellum://")):
        return ""
    return re.split(r"[/\\]", text)[-1]


def _nest_simulations(tree: Tree) -> Iterator[tuple[str, Tree]]:
    return ((path, node) for path, node in _nodes(tree, "simulations") if node.get("simulator") == "nest")


def _nest_nodes(tree: Tree, block: str) -> Iterator[tuple[str, Tree]]:
    for path, simulation in _nest_simulations(tree):
        yield from _nodes(simulation, block, path)


def _synapses(path: str, model: Tree) -> list[Tree]:
    synapses = model.get("synapses") or []
    if not isinstance(synapses, list) or not all(isinstance(synapse, dict) for synapse in synapses):
        raise UserError(f"{path}.synapses: expected a list of mappings")
    return synapses


def _nodes(tree: Tree, block: str, above: str = "") -> Iterator[tuple[str, Tree]]:
    """Path and content of each node of a block, without its references to other places (``$ref``)."""
    for key, node in _mapping(tree, block, above).items():
        if str(key).startswith("$"):
            continue
        path = f"{above}.{block}.{key}".lstrip(".")
        if not isinstance(node, dict):
            raise UserError(f"{path}: expected a mapping, found {type(node).__name__}")
        yield path, node


def _mapping(tree: Tree, key: str, above: str = "") -> Tree:
    """What a key holds, an empty mapping where it is missing or empty."""
    node = tree.get(key)
    if node is None:
        return {}
    if not isinstance(node, dict):
        raise UserError(f"{f'{above}.{key}'.lstrip('.')}: expected a mapping, found {type(node).__name__}")
    return node
