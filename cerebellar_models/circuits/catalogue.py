"""What the files under ``configurations/`` and ``morphologies/`` offer."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cerebellar_models.bundle import bundle_folder
from cerebellar_models.errors import UserError

Tree = dict[str, Any]

# Environment variable: the user's own folders of species, separated as in PATH.
OWN_FOLDERS = "CEREBELLAR_MODELS_CONFIGURATIONS"


@dataclass(frozen=True)
class Species:
    """All that can be chosen for one species. The trees are shared: copy before changing them."""

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
    """Reads the species' folder.

    :raises UserError: there is no such species, or one of its files is not readable YAML.
    """
    folders = species_folders()
    if name not in folders:
        raise UserError(f"species: there is no '{name}'; known: {', '.join(sorted(folders))}")
    return _read_species(folders[name])


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
    head = read_yaml(folder / "species.yaml")
    for key in ("description", "states", "presets", "defaults"):
        if key not in head:
            raise UserError(f"{folder / 'species.yaml'}: has no '{key}'")
    return Species(
        name=folder.name,
        description=head["description"],
        states=head["states"],
        presets={preset: (float(x), float(y)) for preset, (x, y) in head["presets"].items()},
        defaults=head["defaults"],
        circuit=read_yaml(folder / "circuit.yaml"),
        parts=_read_folder(folder / "parts"),
        neuron_models=_read_folder(folder / "neurons"),
        synapse_models=_read_folder(folder / "synapses"),
        paradigms=_read_folder(folder / "paradigms"),
    )


@functools.cache
def morphology_manifest() -> Tree:
    """The manifest of the reconstructions, by morphology name."""
    entries = read_yaml(bundle_folder("morphologies") / "manifest.yaml")["morphologies"]
    return {entry["name"]: entry for entry in entries}


def read_yaml(path: Path) -> Tree:
    """:raises UserError: missing, unreadable, or not a YAML mapping."""
    try:
        tree = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except RecursionError as error:
        raise UserError(f"{path}: is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # such as of a date that is none
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML: {detail}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping at the top, found {type(tree).__name__}")
    return tree


def _read_folder(folder: Path) -> dict[str, Tree]:
    return {path.stem: read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
