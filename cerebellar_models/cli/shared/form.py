"""`configure` without options on a terminal: a short guided form.

It asks for what most circuits differ in; the rest keeps its default and has flags. Nothing is written
before the last answer, so leaving it (Ctrl-C) leaves nothing behind.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cerebellar_models.circuits.catalogue import Species, load_species, species_names
from cerebellar_models.circuits.offers import against_models, against_paradigm
from cerebellar_models.circuits.parts import with_requirements
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.circuits.texts import recap
from cerebellar_models.cli.shared.costs_in_words import expectation, short_expectation
from cerebellar_models.cli.shared.questions import BACK, Questions, Row, quiet_terminal, say
from cerebellar_models.errors import UserError

Answers = dict[str, Any]
CHOICES_FILE = Path("choices.yaml")
_OTHER = object()


def fill_in(output: Path) -> tuple[Answers, Path | None]:
    """Asks until the choices are confirmed; returns them for `resolve`, and where to save them, if anywhere.

    :raises KeyboardInterrupt: the user left.
    """
    say("Arrow keys move, space ticks, enter goes on, escape goes back, Ctrl-C leaves.")
    click.echo()
    with quiet_terminal():
        answers = _merged(_ask_all(output))
    return answers, answers.pop("save_choices")


def _ask_all(output: Path) -> list[Answers]:
    """The answers of each step; a step may have nothing to ask and answer nothing."""
    ask = Questions()
    answered: list[Answers] = []
    while len(answered) < len(_STEPS):
        so_far = _merged(answered)
        answer = _STEPS[len(answered)](ask, so_far, output)
        if answer is BACK:
            _undo(answered)
            continue
        try:
            expected = _expectation({**so_far, **answer})
        except UserError as error:
            say(str(error), fg="red")
            continue
        answered.append(answer)
        if answer and len(answered) < len(_STEPS):
            say(expected, dim=True)
    return answered


def _undo(answered: list[Answers]) -> None:
    """Takes back the last answer given, and the steps after it that had nothing to ask."""
    while answered and not answered.pop():
        pass


def _merged(answered: list[Answers]) -> Answers:
    merged: Answers = {"species": species_names()[0]}
    for answer in answered:
        merged.update(answer)
    return merged


def _expectation(answers: Answers) -> str:
    """:raises UserError: the answers so far do not go together."""
    choices, tree = resolve(**{key: value for key, value in answers.items() if key != "save_choices"})
    x, y = choices.size
    return f"  {x:g} x {y:g} µm, {short_expectation(tree, choices.species)}"


def _ask_species(ask: Questions, _so_far: Answers, _output: Path) -> Any:
    names = species_names()
    if len(names) == 1:
        return {}
    rows = [Row(name, load_species(name).description, name) for name in names]
    return _named("species", ask.one("species", "Species", rows))


def _ask_state(ask: Questions, so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    rows = [Row(state, description, state) for state, description in species.states.items()]
    return _named("state", ask.one("state", "State of the animal", rows, species.defaults["state"]))


def _ask_size(ask: Questions, so_far: Answers, output: Path) -> Any:
    species = load_species(so_far["species"])
    rows = [Row(name, f"{x:g} x {y:g} µm", name) for name, (x, y) in species.presets.items()]
    preset = ask.one("preset", "Extent", [*rows, Row(_OTHER, "another extent")], species.defaults["preset"])
    if preset is not _OTHER:
        return _named("preset", preset)
    text = ask.text(
        "size",
        "Extent in x and y, µm",
        "300 200",
        lambda text: _extent(text) is not None or "two numbers: x y",
    )
    return _ask_size(ask, so_far, output) if text is BACK else {"size": _extent(text)}


def _extent(text: str) -> tuple[float, float] | None:
    try:
        x, y = (float(side) for side in text.replace("x", " ").replace(",", " ").split())
    except ValueError:
        return None
    return x, y


def _ask_parts(ask: Questions, so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    if not species.parts:
        return {}
    rows = [Row(name, part["description"], name) for name, part in species.parts.items()]
    return _named("parts", ask.many("parts", "Parts to add to the cortex, if any", rows, ticked=()))


def _ask_microzones(ask: Questions, so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    if not any(species.parts[part].get("microzones") for part in _parts(species, so_far)):
        return {}
    text = ask.text(
        "microzones",
        "Microzones, two or more, or none",
        "",
        lambda text: len(text.split()) != 1 or "one more",
    )
    return BACK if text is BACK else {"microzones": tuple(text.split())}


def _ask_models(ask: Questions, so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    rows = []
    default = None
    for name, synapses in species.synapse_models.items():
        pair = (synapses["neuron_model"], name)
        against = against_models(species, _parts(species, so_far), so_far["state"], *pair)
        rows.append(Row(pair, f"{pair[0]}, {synapses['description']}", name, _reason(against)))
        if name == species.defaults["synapse_model"]:
            default = pair
    pair = ask.one("models", "Neurons and synapses", rows, default)
    return BACK if pair is BACK else dict(zip(("neuron_model", "synapse_model"), pair, strict=True))


def _ask_simulations(ask: Questions, so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    parts, model = _parts(species, so_far), so_far["neuron_model"]
    rows = [
        Row(name, paradigm["description"], name, _reason(against_paradigm(species, parts, model, name)))
        for name, paradigm in species.paradigms.items()
    ]
    return _named(
        "simulations",
        ask.many("simulations", "Simulations", rows, list(species.paradigms), at_least_one=True),
    )


def _ask_to_write(ask: Questions, so_far: Answers, output: Path) -> Any:
    choices, tree = resolve(**so_far)
    say(f"\n{recap(choices)}\n{expectation(tree, choices.species)}\n\n")
    replaces = " (replaces the one there is)" if output.exists() else ""
    also = " (replaces the one there is)" if CHOICES_FILE.exists() else ""
    both = f"write {output}{replaces} and {CHOICES_FILE}{also}, which replays these choices"
    rows = [Row(None, f"write {output}{replaces}"), Row(CHOICES_FILE, both)]
    return _named("save_choices", ask.one("save_choices", "All there?", rows))


def _named(key: str, answer: Any) -> Any:
    return BACK if answer is BACK else {key: tuple(answer) if isinstance(answer, list) else answer}


def _reason(against: str | None) -> str | None:
    """Without the name of what the row is, which the row says itself."""
    return against and against.partition(": ")[2]


_STEPS: tuple[Callable[[Questions, Answers, Path], Any], ...] = (
    _ask_species,
    _ask_state,
    _ask_size,
    _ask_parts,
    _ask_microzones,
    _ask_models,
    _ask_simulations,
    _ask_to_write,
)


def _parts(species: Species, so_far: Answers) -> tuple[str, ...]:
    return with_requirements(species.parts, so_far.get("parts", ()))
