"""What a species' files name in one another, and what a row needs once it is whole: what no schema can say. Pure.

A name must stand for something in the circuit that it is part of: for a part, the cortex and the parts it requires.
Devices, relays, constants and synapses serve any circuit of the species, so that any of its parts may hold theirs.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cerebellar_models.circuits.parts import BLOCKS, add_parts, with_requirements
from cerebellar_models.errors import UserError
from cerebellar_models.schemas import instead
from cerebellar_models.tree import Tree

_NEEDED = {
    "regions": ("children",),
    "partitions": ("thickness",),
    "cell_types": ("spatial",),
    "placement": ("strategy", "partitions", "cell_types"),
    "after_placement": ("strategy",),
    "connectivity": ("strategy", "presynaptic", "postsynaptic"),
    "after_connectivity": ("strategy",),
}
_SPACING = "spacing_x"  # of a placement in rows


class References:
    """The files of one species, each as its schema wants it.

    :param files: by their path in ``folder``, such as ``parts/io.yaml``.
    :param morphologies: the names in the manifest.
    """

    def __init__(self, folder: Path, files: Mapping[str, Tree], morphologies: Iterable[str]):
        self._folder = folder
        self._morphologies = set(morphologies)
        self._head, self._circuit = files["species.yaml"], files["circuit.yaml"]
        self._parts, self._neurons = _in(files, "parts"), _in(files, "neurons")
        self._synapses, self._paradigms = _in(files, "synapses"), _in(files, "paradigms")
        self._reference = files.get("reference.yaml")
        self._anywhere = {block: _names(block, self._circuit, *self._parts.values()) for block in BLOCKS}

    def check(self) -> None:
        """:raises UserError: a name of nothing, a circle, or a row that lacks something: file, key, what is right."""
        self._check_defaults()
        self._check_tree("circuit.yaml", self._circuit, {})
        for name, part in self._parts.items():
            file = f"parts/{name}.yaml"
            self._all(file, "requires", "part", part.get("requires", ()), self._parts)
            self._check_tree(file, part, self._below(file, name))
        for name, neurons in self._neurons.items():
            self._check_neurons(f"neurons/{name}.yaml", neurons)
        for name, synapses in self._synapses.items():
            self._check_synapses(f"synapses/{name}.yaml", name, synapses)
        for name, paradigm in self._paradigms.items():
            self._check_paradigm(f"paradigms/{name}.yaml", name, paradigm)
        if self._reference is not None:
            self._check_reference("reference.yaml", self._reference)

    def _check_defaults(self) -> None:
        offered = {
            "state": self._head["states"],
            "preset": self._head["presets"],
            "neuron_model": self._neurons,
            "synapse_model": self._synapses,
        }
        for key, names in offered.items():
            kind = key.replace("_", " ")
            self._all("species.yaml", f"defaults.{key}", kind, [self._head["defaults"][key]], names)

    def _below(self, file: str, part: str) -> Tree:
        """By block, the rows of the circuit to which a part is added."""
        try:
            required = with_requirements(self._parts, [part])[:-1]
        except UserError as error:
            raise self._fault(file, "requires", str(error)) from None
        return add_parts(self._circuit, self._parts, required)

    def _check_tree(self, file: str, tree: Tree, below: Tree) -> None:
        """A circuit, or a part upon what is below it."""
        both = add_parts(below, {file: tree}, [file])
        whole = {block: both.get(block, {}) for block in BLOCKS}
        for block in BLOCKS:
            for row in tree.get(block, {}):
                self._check_whole(
                    file, f"{block}.{row}", _needed(block, whole[block][row]), whole[block][row]
                )
        for key, block, names in _named_in(tree):
            known = set().union(*(whole[each] for each in block.split("|")))
            self._all(file, key, _KINDS[block], names, known)
        for name, cell in tree.get("cell_types", {}).items():
            used = cell.get("spatial", {}).get("morphologies", ())
            key = f"cell_types.{name}.spatial.morphologies"
            self._all(file, key, "morphology", used, self._morphologies)
        self._check_rows(file, tree, whole)

    def _check_rows(self, file: str, tree: Tree, whole: Tree) -> None:
        """Cells in rows need room of their own."""
        for name in tree.get("placement", {}):
            row = whole["placement"][name]
            for cell_type in row["cell_types"] if _SPACING in row else ():
                spatial = whole["cell_types"][cell_type]["spatial"]
                self._check_whole(file, f"cell_types.{cell_type}.spatial", ("radius",), spatial)

    def _check_neurons(self, file: str, neurons: Tree) -> None:
        states = self._head["states"]
        self._all(file, "states", "state", neurons.get("states", ()), states)
        self._all(file, "constants", "state", neurons["constants"], states)
        for state, table in neurons["constants"].items():
            self._all(file, f"constants.{state}", "cell type", table, self._anywhere["cell_types"])

    def _check_synapses(self, file: str, name: str, synapses: Tree) -> None:
        self._all(file, "neuron_model", "neuron model", [synapses["neuron_model"]], self._neurons)
        self._lineage(file, name, "synapse model", self._synapses)
        self._all(file, "synapses", "state", synapses["synapses"], self._head["states"])
        known = self._anywhere["connectivity"]
        for state, rows in synapses["synapses"].items():
            strange = [row for row in rows if not self._is_connection(row)]
            self._all(file, f"synapses.{state}", "projection", strange, known)

    def _is_connection(self, name: str) -> bool:
        """Of a projection, or of one pair of its cell types: ``<projection>_<pre>_to_<post>``."""
        projections, cell_types = self._anywhere["connectivity"], self._anywhere["cell_types"]
        if name in projections:
            return True
        pairs = (name[len(rule) + 1 :] for rule in projections if name.startswith(f"{rule}_"))
        return any(
            pair.startswith(f"{source}_to_") and pair[len(source) + 4 :] in cell_types
            for pair in pairs
            for source in cell_types
        )

    def _check_paradigm(self, file: str, name: str, paradigm: Tree) -> None:
        names = self._lineage(file, name, "simulation", self._paradigms)
        lineage = [self._paradigms[each] for each in names]
        for key in ("duration", "resolution"):
            if not any(key in each for each in lineage):
                raise self._fault(f"paradigms/{names[0]}.yaml", "", f"has no '{key}'")
        needs = paradigm.get("needs", {})
        self._all(file, "needs.parts", "part", needs.get("parts", ()), self._parts)
        self._all(file, "needs.neuron_models", "neuron model", needs.get("neuron_models", ()), self._neurons)
        cell_types = self._anywhere["cell_types"]
        self._all(file, "relays", "cell type", paradigm.get("relays", ()), cell_types)
        devices: Tree = {}
        for each in lineage:
            devices |= each.get("devices", {})
        self._check_devices(file, "devices", paradigm.get("devices", {}), needs.get("parts", ()))
        there = [device for device, fields in devices.items() if fields]
        self._all(file, "states", "state", paradigm.get("states", {}), self._head["states"])
        for state, changed in paradigm.get("states", {}).items():
            self._all(file, f"states.{state}", "device", changed, there)
            self._check_devices(file, f"states.{state}", changed, needs.get("parts", ()))

    def _check_reference(self, file: str, reference: Tree) -> None:
        cell_types = self._anywhere["cell_types"]
        self._all(
            file, "conditions.without", "cell type", reference["conditions"].get("without", ()), cell_types
        )
        self._all(file, "rates", "state", reference["rates"], self._head["states"])
        for state, paradigms in reference["rates"].items():
            self._all(file, f"rates.{state}", "simulation", paradigms, self._paradigms)
            for paradigm, rates in paradigms.items():
                self._all(file, f"rates.{state}.{paradigm}", "cell type", rates, cell_types)

    def _check_devices(self, file: str, key: str, devices: Tree, parts: Iterable[str]) -> None:
        """:param parts: those that are there whenever the devices are."""
        trees = [self._circuit, *(self._parts[name] for name in with_requirements(self._parts, parts))]
        layers = {
            name
            for tree in trees
            for name, layer in tree.get("partitions", {}).items()
            if "origin" in layer or any(name in region["children"] for region in _rows("regions", trees))
        }
        for name, device in devices.items():
            if device:
                targets, sphere = device.get("targets", ()), device.get("sphere")
                at = f"{key}.{name}"
                self._all(file, f"{at}.targets", "cell type", targets, self._anywhere["cell_types"])
                if sphere:
                    self._all(file, f"{at}.sphere.centre_of", "layer", [sphere["centre_of"]], layers)

    def _lineage(self, file: str, name: str, kind: str, offered: dict[str, Tree]) -> list[str]:
        """What a file extends, the first of all first, and itself."""
        names = [name]
        while (above := offered[names[0]].get("extends")) is not None:
            self._all(file, "extends", kind, [above], offered)
            if above in names:
                circle = " -> ".join(reversed([above, *names]))
                raise self._fault(file, "extends", f"'{above}' extends itself: {circle}")
            names.insert(0, above)
        return names

    def _check_whole(self, file: str, key: str, needed: Iterable[str], row: Tree) -> None:
        for field in needed:
            if field not in row:
                raise self._fault(file, key, f"has no '{field}'")

    def _all(self, file: str, key: str, kind: str, names: Iterable[str], known: Iterable[str]) -> None:
        for name in names:
            if name not in known:
                raise self._fault(file, key, f"there is no {kind} '{name}'; {instead(name, known)}")

    def _fault(self, file: str, key: str, what: str) -> UserError:
        return UserError(f"{self._folder / file}: {f'{key}: ' if key else ''}{what}")


_KINDS = {
    "partitions|regions": "layer or region",
    "partitions": "layer",
    "cell_types": "cell type",
    "placement": "placement",
    "connectivity": "projection",
}


def _named_in(tree: Tree) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Key, block, and the names of that block which the tree has under the key."""
    for key, region in tree.get("regions", {}).items():
        yield f"regions.{key}.children", "partitions|regions", region.get("children", ())
    for key, cell in tree.get("cell_types", {}).items():
        spatial = cell.get("spatial", {})
        if "relative_to" in spatial:
            yield f"cell_types.{key}.spatial.relative_to", "cell_types", [spatial["relative_to"]]
    for key, row in tree.get("placement", {}).items():
        yield f"placement.{key}.partitions", "partitions", row.get("partitions", ())
        yield f"placement.{key}.cell_types", "cell_types", row.get("cell_types", ())
        yield f"placement.{key}.overrides", "cell_types", row.get("overrides", ())
        yield f"placement.{key}.depends_on", "placement", row.get("depends_on", ())
    for key, rule in tree.get("connectivity", {}).items():
        for side in ("presynaptic", "postsynaptic"):
            if side in rule:
                yield f"connectivity.{key}.{side}.cell_types", "cell_types", rule[side]["cell_types"]
        yield f"connectivity.{key}.depends_on", "connectivity", rule.get("depends_on", ())
    for key, hook in tree.get("after_connectivity", {}).items():
        if isinstance(rule := hook.get("conn_strategy"), str):
            yield f"after_connectivity.{key}.conn_strategy", "connectivity", [rule]
    yield "microzones", "cell_types", tree.get("microzones", ())


def _needed(block: str, row: Tree) -> tuple[str, ...]:
    return (*_NEEDED[block], "angle") if _SPACING in row else _NEEDED[block]


def _in(files: Mapping[str, Tree], folder: str) -> dict[str, Tree]:
    """By name, the files of a folder."""
    return {Path(file).stem: tree for file, tree in files.items() if file.startswith(f"{folder}/")}


def _names(block: str, *trees: Tree) -> set[str]:
    return set().union(*(tree.get(block, {}) for tree in trees))


def _rows(block: str, trees: Iterable[Tree]) -> list[Any]:
    return [row for tree in trees for row in tree.get(block, {}).values()]
