"""What the files under ``configurations/`` and ``morphologies/`` offer."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cerebellar_models.bundle import bundle_folder
from cerebellar_models.errors import UserError

Tree = dict[str, Any]


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
    return sorted(path.parent.name for path in bundle_folder("configurations").glob("*/species.yaml"))


@functools.cache
def load_species(name: str) -> Species:
    """Reads the species' folder.

    :raises UserError: there is no such species, or one of its files is not readable YAML.
    """
    if name not in species_names():
        raise UserError(f"species: there is no '{name}'; known: {', '.join(species_names())}")
    folder = bundle_folder("configurations") / name
    head = read_yaml(folder / "species.yaml")
    return Species(
        name=name,
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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML: {detail}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping at the top, found {type(tree).__name__}")
    return tree


def _read_folder(folder: Path) -> dict[str, Tree]:
    return {path.stem: read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
