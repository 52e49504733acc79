"""`configure` without options on a terminal: a short guided form.

It asks for what most circuits differ in; the rest keeps its default and has flags. Nothing is written
before the last answer, so leaving it (Ctrl-C) leaves nothing behind.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from cerebellar_models.circuits.catalogue import Species, load_species, species_names
from cerebellar_models.circuits.offers import against_models, against_paradigm
from cerebellar_models.circuits.parts import with_requirements
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.cli.choosing import recap
from cerebellar_models.cli.expectation import expectation, short_expectation
from cerebellar_models.errors import UserError

Answers = dict[str, Any]
Row = tuple[Any, str, str | None]  # value, description, reason against it
CHOICES_FILE = Path("choices.yaml")
_BACK = object()
_OTHER = object()


def fill_in(output: Path) -> tuple[Answers, Path | None]:
    """Asks until the choices are confirmed; returns them for `resolve`, and where to save them, if anywhere.

    :raises KeyboardInterrupt: the user left.
    """
    click.echo("Arrow keys move, space ticks, enter goes on, escape goes back, Ctrl-C leaves.\n")
    answered: list[Answers] = []  # of each step so far; a step may have nothing to ask and answer nothing
    while len(answered) < len(_STEPS):
        so_far = _merged(answered)
        answer = _STEPS[len(answered)](so_far, output)
        if answer is _BACK:
            _undo(answered)
            continue
        try:
            expected = _expectation({**so_far, **answer})
        except UserError as error:
            click.secho(str(error), fg="red")
            continue
        answered.append(answer)
        if answer and len(answered) < len(_STEPS):
            click.secho(expected, dim=True)
    answers = _merged(answered)
    return answers, answers.pop("save_choices")


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


def _ask_species(so_far: Answers, _output: Path) -> Any:
    names = species_names()
    if len(names) == 1:
        return {}
    return _one("species", "Species", [(name, load_species(name).description, None) for name in names])


def _ask_state(so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    rows: list[Row] = [(state, description, None) for state, description in species.states.items()]
    return _one("state", "State of the animal", rows, species.defaults["state"])


def _ask_size(so_far: Answers, output: Path) -> Any:
    species = load_species(so_far["species"])
    rows: list[Row] = [(name, f"{x:g} x {y:g} µm", None) for name, (x, y) in species.presets.items()]
    answer = _one("preset", "Extent", [*rows, (_OTHER, "another extent", None)], species.defaults["preset"])
    if answer is _BACK or answer["preset"] is not _OTHER:
        return answer
    text = _text(
        "Extent in x and y, µm", "300 200", lambda text: _extent(text) is not None or "two numbers: x y"
    )
    return _ask_size(so_far, output) if text is _BACK else {"size": _extent(text)}


def _extent(text: str) -> tuple[float, float] | None:
    try:
        x, y = (float(side) for side in text.replace("x", " ").replace(",", " ").split())
    except ValueError:
        return None
    return x, y


def _ask_parts(so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    if not species.parts:
        return {}
    rows: list[Row] = [(name, part["description"], None) for name, part in species.parts.items()]
    chosen = _many("Parts to add to the cortex (none is fine)", rows, ticked=())
    return _BACK if chosen is _BACK else {"parts": tuple(chosen)}


def _ask_microzones(so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    if not any(species.parts[part].get("microzones") for part in _parts(species, so_far)):
        return {}
    text = _text(
        "Microzones: two labels or more, or nothing", "", lambda text: len(text.split()) != 1 or "one more"
    )
    return _BACK if text is _BACK else {"microzones": tuple(text.split())}


def _ask_models(so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    state = so_far["state"]
    rows: list[Row] = []
    default = None
    for name, synapses in species.synapse_models.items():
        pair = (synapses["neuron_model"], name)
        reason = against_models(species, _parts(species, so_far), state, *pair)
        rows.append((pair, f"{pair[0]}, {synapses['description']}", reason))
        if name == species.defaults["synapse_model"]:
            default = pair
    answer = _one("pair", "Neurons and synapses", rows, default)
    return (
        _BACK
        if answer is _BACK
        else dict(zip(("neuron_model", "synapse_model"), answer["pair"], strict=True))
    )


def _ask_simulations(so_far: Answers, _output: Path) -> Any:
    species = load_species(so_far["species"])
    parts, model = _parts(species, so_far), so_far["neuron_model"]
    rows: list[Row] = [
        (name, paradigm["description"], against_paradigm(species, parts, model, name))
        for name, paradigm in species.paradigms.items()
    ]
    chosen = _many(
        "Simulations", rows, [name for name, _, reason in rows if reason is None], at_least_one=True
    )
    return _BACK if chosen is _BACK else {"simulations": tuple(chosen)}


def _ask_to_write(so_far: Answers, output: Path) -> Any:
    choices, tree = resolve(**so_far)
    click.echo(f"\n{recap(choices)}\n{expectation(tree, choices.species)}\n")
    replaces = " (replaces the one there is)" if output.exists() else ""
    also = " (replaces the one there is)" if CHOICES_FILE.exists() else ""
    rows: list[Row] = [
        (None, f"write {output}{replaces}", None),
        (
            CHOICES_FILE,
            f"write {output}{replaces} and {CHOICES_FILE}{also}, which replays these choices",
            None,
        ),
    ]
    return _one("save_choices", "All there?", rows)


_STEPS: tuple[Callable[[Answers, Path], Any], ...] = (
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


def _one(key: str, question: str, rows: list[Row], default: Any = None) -> Any:
    """One of the rows (value, description, reason against it) as ``{key: value}``, or `_BACK`."""
    import questionary

    choices = [questionary.Choice(_title(row), _Value(row[0]), disabled=_reason(row)) for row in rows]
    initial = next((choice for choice, row in zip(choices, rows, strict=True) if row[0] == default), None)
    answer = _answer(questionary.select(question, choices, default=initial, instruction=" "))
    return _BACK if answer is _BACK else {key: answer.content}


def _many(question: str, rows: list[Row], ticked: Iterable[str], at_least_one: bool = False) -> Any:
    """The values of the rows that were ticked, or `_BACK`."""
    import questionary

    choices = [
        questionary.Choice(_title(row), row[0], disabled=_reason(row), checked=row[0] in ticked)
        for row in rows
    ]
    validate = (lambda chosen: bool(chosen) or "tick at least one") if at_least_one else (lambda chosen: True)
    return _answer(questionary.checkbox(question, choices, validate=validate, instruction=" "))


def _text(question: str, default: str, validate: Callable[[str], bool | str]) -> Any:
    import questionary

    return _answer(questionary.text(f"{question}:", default=default, validate=validate))


class _Value:
    """Keeps questionary from looking into an answer: None, pairs and paths are answers too."""

    def __init__(self, content: Any):
        self.content = content


def _title(row: Row) -> str:
    value, description, _ = row
    return f"{value:16} {description}" if isinstance(value, str) else description


def _reason(row: Row) -> str | None:
    """Without the name of what the row is, which is in its title."""
    return row[2] and row[2].partition(": ")[2]


def _answer(question: Any) -> Any:
    """What the user answers, `_BACK` for escape."""
    from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings

    keys = KeyBindings()
    keys.add("escape", eager=True)(lambda event: event.app.exit(result=_BACK))
    application = question.application
    application.key_bindings = merge_key_bindings([application.key_bindings, keys])
    # A terminal sends arrow keys as escape and more, at once: a short wait tells them apart.
    application.ttimeoutlen = 0.1
    return question.unsafe_ask()
