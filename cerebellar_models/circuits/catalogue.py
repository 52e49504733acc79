"""What the files under ``configurations/`` and ``morphologies/`` offer."""

import copy
import functools
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from cerebellar_models.errors import UserError
from cerebellar_models.files import read_text
from cerebellar_models.installation import bundle_folder
from cerebellar_models.tree import Tree

# Environment variable: the user's own folders of species, separated as in PATH.
OWN_FOLDERS = "CEREBELLAR_MODELS_CONFIGURATIONS"
SCHEMA = "species.schema.json"
REFERENCE = "reference.yaml"  # optional; read for reports
# Folders of a species, and the kind of file that the schema defines for each.
_FOLDERS = {"parts": "part", "neurons": "neurons", "synapses": "synapses", "paradigms": "paradigm"}


@dataclass(frozen=True)
class Species:
    """All that can be chosen for one species."""

    name: str
    description: str
    states: dict[str, str]
    presets: dict[str, tuple[float, float]]
    defaults: Tree
    circuit: Tree
    parts: dict[str, Tree]
    neuron_models: dict[str, Tree]
    synapse_models: dict[str, Tree]
    paradigms: dict[str, Tree]


def species_names() -> list[str]:
    """:raises UserError: a folder of the user's is missing, or two folders hold the same species."""
    return sorted(species_folders())


def load_species(name: str) -> Species:
    """Reads the species' folder; once, whatever is done with what it returns.

    :raises UserError: there is no such species, or one of its files is not readable YAML, not as the schema wants it,
        or names what is not there.
    """
    folders = species_folders()
    if name not in folders:
        raise UserError(f"species: there is no '{name}'; known: {', '.join(sorted(folders))}")
    return copy.deepcopy(_read_species(folders[name]))


def species_folders() -> dict[str, Path]:
    """By name: the species of this package, and those of the user's own folders."""
    own = [Path(entry).expanduser() for entry in os.environ.get(OWN_FOLDERS, "").split(os.pathsep) if entry]
    found: dict[str, Path] = {}
    for root in (bundle_folder("configurations"), *own):
        if not root.is_dir():
            raise UserError(f"{OWN_FOLDERS}: there is no folder {root}")
        for head in root.glob("*/species.yaml"):
            name = head.parent.name
            if name in found:
                raise UserError(
                    f"{OWN_FOLDERS}: species '{name}' of {root} is in {found[name].parent} too; rename it"
                )
            found[name] = head.parent
    return found


@functools.cache
def _read_species(folder: Path) -> Species:
    # Only where a species is read: both import jsonschema.
    from cerebellar_models import schemas
    from cerebellar_models.circuits.references import References

    files = {file: read_yaml(folder / file) for file in ("species.yaml", "circuit.yaml")}
    kinds = {"species.yaml": "species", "circuit.yaml": "circuit"}
    for inner, kind in _FOLDERS.items():
        for path in sorted((folder / inner).glob("*.y*ml")):
            if path.suffix != ".yaml":
                raise UserError(f"{path}: is not read; name it {path.stem}.yaml")
            file = f"{inner}/{path.name}"
            files[file], kinds[file] = read_yaml(path), kind
    if (folder / REFERENCE).exists():
        files[REFERENCE], kinds[REFERENCE] = read_yaml(folder / REFERENCE), "reference"
    for file, kind in kinds.items():
        schemas.check(files[file], folder / file, bundle_folder("configurations") / SCHEMA, kind)
    References(folder, files, morphology_manifest()).check()
    head = files["species.yaml"]
    offered = {
        inner: {Path(file).stem: tree for file, tree in files.items() if kinds[file] == kind}
        for inner, kind in _FOLDERS.items()
    }
    return Species(
        name=folder.name,
        description=head["description"],
        states=head["states"],
        presets={preset: (float(x), float(y)) for preset, (x, y) in head["presets"].items()},
        defaults=head["defaults"],
        circuit=files["circuit.yaml"],
        parts=offered["parts"],
        neuron_models=offered["neurons"],
        synapse_models=offered["synapses"],
        paradigms=offered["paradigms"],
    )


def morphology_manifest() -> Tree:
    """The manifest of the reconstructions, by morphology name."""
    return copy.deepcopy(_read_manifest())


@functools.cache
def _read_manifest() -> Tree:
    entries = read_yaml(bundle_folder("morphologies") / "manifest.yaml")["morphologies"]
    return {entry["name"]: entry for entry in entries}


def read_yaml(path: Path) -> Tree:
    """:raises UserError: missing, unreadable, or not a YAML mapping."""
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    return yaml_tree(text, path)


# The one written in C, where PyYAML was built with it, is eight times as fast. It composes by recursion that knows no
# limit of Python's, hence one of ours.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 100


def _nested_too_deeply(text: str) -> bool:
    level = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
        if level > _DEEPEST:
            return True
    return False


def yaml_tree(text: str, path: Path) -> Tree:
    """:param path: where the text is from, for messages.
    :raises UserError: it is not a YAML mapping.
    """
    try:
        if _nested_too_deeply(text):
            raise UserError(f"{path}: is nested too deeply: more than {_DEEPEST} levels")
        tree = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:  # such as of a date that is none
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML: {detail}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping at the top, found {type(tree).__name__}")
    return tree
