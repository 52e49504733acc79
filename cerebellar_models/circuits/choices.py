"""What a neuroscientist picks, checked against what the catalogue offers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cerebellar_models.circuits.catalogue import Species
from cerebellar_models.errors import UserError

# A side above this is a slip of the keyboard: the whole cortical sheet of a mouse cerebellum is shorter.
LONGEST_SIDE_UM = 100_000.0


@dataclass(frozen=True)
class CircuitChoices:
    """One circuit and the simulations to run on it."""

    species: str
    state: str
    size: tuple[float, float]  # extent in x and y, µm
    simulations: tuple[str, ...]
    neuron_model: str
    synapse_model: str
    seed: int
    threads: int = 1
    duration: float | None = None  # ms; None keeps each paradigm's own
    self_connections: bool = False  # True: the published rule, in which a cell may contact itself


def choose(
    species: Species,
    *,
    state: str | None = None,
    size: tuple[float, float] | None = None,
    preset: str | None = None,
    simulations: Iterable[str] = (),
    neuron_model: str | None = None,
    synapse_model: str | None = None,
    seed: int | None = None,
    threads: int = 1,
    duration: float | None = None,
    self_connections: bool = False,
) -> CircuitChoices:
    """Fills in the species' defaults and checks every name and number.

    :param simulations: names of paradigms; none given means all of them.
    :raises UserError: an unknown name, or a number that makes no sense.
    """
    defaults = species.defaults
    if size is None:
        size = species.presets[_known("preset", preset or defaults["preset"], species.presets)]
    elif preset is not None:
        raise UserError("size, preset: give one of the two")
    for axis, side in zip("xy", size, strict=True):
        _positive(f"size {axis}", side, "µm", LONGEST_SIDE_UM)
    if duration is not None:
        _positive("duration", duration, "ms", 1e7)
    seed = defaults["seed"] if seed is None else seed
    if not 0 < seed < 2**32:
        raise UserError(f"seed: {seed} is not between 1 and {2**32 - 1}")
    if threads < 1:
        raise UserError(f"threads: {threads} is not at least 1")
    neuron_model = _known("neuron model", neuron_model or defaults["neuron_model"], species.neuron_models)
    synapse_model = _known(
        "synapse model", synapse_model or defaults["synapse_model"], species.synapse_models
    )
    fitted_to = species.synapse_models[synapse_model]["neuron_model"]
    if fitted_to != neuron_model:
        raise UserError(
            f"synapse model: '{synapse_model}' is fitted to neuron model '{fitted_to}', not '{neuron_model}'"
        )
    return CircuitChoices(
        species=species.name,
        state=_known("state", state or defaults["state"], species.states),
        size=(float(size[0]), float(size[1])),
        simulations=tuple(_known("simulation", name, species.paradigms) for name in simulations)
        or tuple(species.paradigms),
        neuron_model=neuron_model,
        synapse_model=synapse_model,
        seed=seed,
        threads=threads,
        duration=duration,
        self_connections=self_connections,
    )


def _known(key: str, name: str, offered: Iterable[str]) -> str:
    if name not in offered:
        raise UserError(f"{key}: there is no '{name}'; known: {', '.join(sorted(offered))}")
    return name


def _positive(key: str, value: float, unit: str, most: float) -> None:
    if not (math.isfinite(value) and 0 < value <= most):
        raise UserError(f"{key}: {value:g} {unit} is not a number above 0 and at most {most:g} {unit}")
