"""`configure --list`: the catalogue as a table."""

import shutil
from collections.abc import Iterator

import click

from cerebellar_models.circuits.catalogue import Species, load_species, species_names
from cerebellar_models.circuits.counting.size import target_counts
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.tree import Tree

_NARROWEST = 60  # columns; below it descriptions would be cut to nothing


def show_catalogue(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Prints every species and ends the command."""
    if not wanted or context.resilient_parsing:
        return
    click.echo("\n\n".join(table(load_species(name)) for name in species_names()))
    click.echo("\n* what you get without asking")
    context.exit()


def table(species: Species) -> str:
    """All a species offers: kind, name and one line of description each."""
    rows = list(rows_of(species))
    kinds, names = (max(len(row[column]) for row in rows) for column in (0, 1))
    width = max(_NARROWEST, shutil.get_terminal_size((0, 0)).columns or 1000)
    lines = [f"{kind:{kinds}}  {name:{names}}  {description}" for kind, name, description in rows]
    return "\n".join(line if len(line) <= width else line[: width - 1] + "…" for line in lines)


def rows_of(species: Species) -> Iterator[tuple[str, str, str]]:
    """(kind, name, description); the name of a default ends in an asterisk."""
    defaults = species.defaults
    yield "species", species.name, species.description
    for state, description in species.states.items():
        yield "state", _marked(state, defaults["state"]), description
    for preset, (x, y) in species.presets.items():
        cells = sum(target_counts(resolve(species.name, preset=preset)[1]).values())
        yield "preset", _marked(preset, defaults["preset"]), f"{x:g} x {y:g} µm, {cells:.0f} cells"
    for name, part in species.parts.items():
        yield "part", name, part["description"]
    for name, model in species.neuron_models.items():
        yield "neuron model", _marked(name, defaults["neuron_model"]), model["description"] + _only_in(model)
    for name, synapses in species.synapse_models.items():
        fitted = f" [with {synapses['neuron_model']}]"
        yield "synapse model", _marked(name, defaults["synapse_model"]), synapses["description"] + fitted
    for name, paradigm in species.paradigms.items():
        yield "simulation", name, paradigm["description"] + _needs(paradigm)


def _marked(name: str, default: str) -> str:
    return f"{name} *" if name == default else name


def _only_in(model: Tree) -> str:
    return f" [{', '.join(model['states'])} only]" if "states" in model else ""


def _needs(paradigm: Tree) -> str:
    needs = paradigm.get("needs", {})
    wanted = [f"part {part}" for part in needs.get("parts", ())] + list(needs.get("neuron_models", ()))
    return f" [needs {', '.join(wanted)}]" if wanted else ""
