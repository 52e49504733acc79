"""What a neuroscientist picks, checked against what the catalogue offers."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cerebellar_models.circuits.catalogue import Species
from cerebellar_models.circuits.offers import against_models, against_paradigm, fitting_synapses
from cerebellar_models.circuits.parts import with_requirements
from cerebellar_models.errors import UserError

# A side above this is a slip of the keyboard: the whole cortical sheet of a mouse cerebellum is shorter.
LONGEST_SIDE_UM = 100_000.0
LONGEST_DURATION_MS = 1e7
AXES = ("x", "y", "z")


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
    duration: float | None = None  # ms; None keeps each paradigm's own
    self_connections: bool = False  # True: the published rule, in which a cell may contact itself
    parts: tuple[str, ...] = ()  # what is added to the cortex, a part after those it requires
    microzones: tuple[str, ...] = ()  # labels; none leaves the populations whole
    microzone_axis: str | None = None  # None: zones of cells drawn at random


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
    duration: float | None = None,
    self_connections: bool = False,
    parts: Iterable[str] = (),
    microzones: Iterable[str] = (),
    microzone_axis: str | None = None,
) -> CircuitChoices:
    """Fills in the species' defaults and the parts that others require, and checks every name and number.

    Of neuron and synapse model, the one that is not given is one that fits the other.

    :param simulations: names of paradigms; none given means all that are offered for this circuit.
    :param microzones: labels of the zones into which Purkinje cells, nuclei and olive are divided.
    :param microzone_axis: x, y or z: zones follow one another along it, instead of being drawn at random.
    :raises UserError: an unknown name, a number that makes no sense, or choices that do not go together.
    """
    defaults = species.defaults
    if size is None:
        size = species.presets[_known("preset", preset or defaults["preset"], species.presets)]
    elif preset is not None:
        raise UserError("size, preset: give one of the two")
    for axis, side in zip("xy", size, strict=True):
        _positive(f"size {axis}", side, "µm", LONGEST_SIDE_UM)
    if duration is not None:
        _positive("duration", duration, "ms", LONGEST_DURATION_MS)
    seed = defaults["seed"] if seed is None else seed
    if not 0 < seed < 2**32:
        raise UserError(f"seed: {seed} is not between 1 and {2**32 - 1}")
    state = _known("state", state or defaults["state"], species.states)
    neuron_model, synapse_model = _models(species, neuron_model, synapse_model)
    parts = with_requirements(species.parts, parts)
    _or_refuse(against_models(species, parts, state, neuron_model, synapse_model))
    return CircuitChoices(
        species=species.name,
        state=state,
        size=(float(size[0]), float(size[1])),
        simulations=_simulations(species, simulations, parts, neuron_model),
        neuron_model=neuron_model,
        synapse_model=synapse_model,
        seed=seed,
        duration=duration,
        self_connections=self_connections,
        parts=parts,
        microzones=_zones(species, tuple(microzones), microzone_axis, parts),
        microzone_axis=microzone_axis,
    )


def _models(species: Species, neurons: str | None, synapses: str | None) -> tuple[str, str]:
    """The default where it fits; else a set that extends no other is taken before its variants."""
    if neurons:
        _known("neuron model", neurons, species.neuron_models)
    if synapses:
        _known("synapse model", synapses, species.synapse_models)
        fitted_to = species.synapse_models[synapses]["neuron_model"]
        return _known("neuron model", neurons or fitted_to, species.neuron_models), synapses
    neurons = _known("neuron model", neurons or species.defaults["neuron_model"], species.neuron_models)
    fitting = fitting_synapses(species, neurons)
    if not fitting:
        raise UserError(f"neuron model: no synapse model is fitted to '{neurons}'")
    default = species.defaults["synapse_model"]
    whole = [name for name in fitting if "extends" not in species.synapse_models[name]]
    return neurons, default if default in fitting else (whole or fitting)[0]


def _simulations(
    species: Species, names: Iterable[str], parts: tuple[str, ...], neuron_model: str
) -> tuple[str, ...]:
    """The paradigms asked for, each once; all that are offered for this circuit if none is."""
    chosen = tuple(dict.fromkeys(_known("simulation", name, species.paradigms) for name in names))
    for name in chosen:
        _or_refuse(against_paradigm(species, parts, neuron_model, name))
    return chosen or tuple(
        name for name in species.paradigms if against_paradigm(species, parts, neuron_model, name) is None
    )


def _zones(
    species: Species, labels: tuple[str, ...], axis: str | None, parts: tuple[str, ...]
) -> tuple[str, ...]:
    if axis is not None and axis not in AXES:
        raise UserError(f"microzone axis: there is no '{axis}'; known: {', '.join(AXES)}")
    if not labels:
        if axis is not None:
            raise UserError("microzone axis: give the labels of the microzones too")
        return ()
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise UserError(f"microzones: label '{repeated[0]}' is given more than once")
    for label in labels:
        if not re.fullmatch(r"[A-Za-z0-9_]+", label):
            raise UserError(f"microzones: label '{label}' may hold letters, digits and underscores only")
    if len(labels) < 2:
        raise UserError(f"microzones: one label, '{labels[0]}', divides nothing; give at least two")
    if not any(species.parts[part].get("microzones") for part in parts):
        offering = [name for name, part in species.parts.items() if part.get("microzones")]
        raise UserError(
            f"microzones: they divide projections of part {' or '.join(offering)}; add one of them"
        )
    return labels


def _or_refuse(reason: str | None) -> None:
    if reason is not None:
        raise UserError(reason)


def _known(key: str, name: str, offered: Iterable[str]) -> str:
    if name not in offered:
        raise UserError(f"{key}: there is no '{name}'; known: {', '.join(sorted(offered))}")
    return name


def _positive(key: str, value: float, unit: str, most: float) -> None:
    if not (math.isfinite(value) and 0 < value <= most):
        raise UserError(f"{key}: {value:g} {unit} is not a number above 0 and at most {most:g} {unit}")
