"""Which choices go together, and why others do not. Pure."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cerebellar_models.circuits.catalogue import Species
from cerebellar_models.circuits.parts import add_parts, with_requirements
from cerebellar_models.tree import Tree


@dataclass(frozen=True)
class Combination:
    """Names of the catalogue that go together, one paradigm at a time."""

    parts: tuple[str, ...]
    state: str
    neuron_model: str
    synapse_model: str
    paradigm: str


def combinations(species: Species) -> Iterator[Combination]:
    """Everything the species offers, the parts in any sensible combination."""
    for combination in itertools.starmap(
        Combination,
        itertools.product(
            part_sets(species),
            species.states,
            species.neuron_models,
            species.synapse_models,
            species.paradigms,
        ),
    ):
        models = (combination.neuron_model, combination.synapse_model)
        if (
            against_models(species, combination.parts, combination.state, *models) is None
            and against_paradigm(species, combination.parts, combination.neuron_model, combination.paradigm)
            is None
        ):
            yield combination


def part_sets(species: Species) -> list[tuple[str, ...]]:
    """All sets of parts that hold what they require."""
    chosen = (
        subset
        for size in range(len(species.parts) + 1)
        for subset in itertools.combinations(species.parts, size)
    )
    return list(dict.fromkeys(with_requirements(species.parts, subset) for subset in chosen))


def against_models(
    species: Species, parts: Iterable[str], state: str, neuron_model: str, synapse_model: str
) -> str | None:
    """Why these models cannot be simulated together, or on this circuit; None if they can."""
    fitted_to = species.synapse_models[synapse_model]["neuron_model"]
    if fitted_to != neuron_model:
        fitting = ", ".join(fitting_synapses(species, neuron_model)) or "none"
        return (
            f"synapse model: '{synapse_model}' is fitted to neuron model '{fitted_to}', not '{neuron_model}'; "
            f"fitted to that: {fitting}"
        )
    neurons = species.neuron_models[neuron_model]
    states = neurons.get("states", species.states)
    if state not in states:
        published = ", ".join(states)
        return f"state: neuron model '{neuron_model}' has no parameters for '{state}', only for {published}"
    cells = add_parts(species.circuit, species.parts, parts)["cell_types"]
    constants = neurons["constants"]  # the first table holds for all states
    known = {*next(iter(constants.values())), *constants.get(state, ()), *relays(species)}
    unknown = [cell for cell in cells if cell not in known]
    if unknown:
        return f"part: neuron model '{neuron_model}' has no parameters for {', '.join(unknown)}"
    return None


def fitting_synapses(species: Species, neuron_model: str) -> list[str]:
    """The synapse sets fitted to a neuron model, by name."""
    return [
        name for name, synapses in species.synapse_models.items() if synapses["neuron_model"] == neuron_model
    ]


def against_paradigm(species: Species, parts: Iterable[str], neuron_model: str, paradigm: str) -> str | None:
    """Why a paradigm is not offered for this circuit, or None if it is."""
    needs: Tree = species.paradigms[paradigm].get("needs", {})
    lacking = [part for part in needs.get("parts", ()) if part not in parts]
    if lacking:
        return f"simulation: '{paradigm}' needs part {', '.join(lacking)}: {needs['reason']}"
    models = needs.get("neuron_models", [neuron_model])
    if neuron_model not in models:
        return f"simulation: '{paradigm}' needs neuron model {' or '.join(models)}: {needs['reason']}"
    return None


def relays(species: Species) -> set[str]:
    """Cell types that repeat spikes and are no neurons of any model."""
    return {relay for paradigm in species.paradigms.values() for relay in paradigm.get("relays", ())}
