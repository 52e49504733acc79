"""The guided form, answered through a pseudo-terminal."""

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest
import yaml

from cerebellar_models.circuits.catalogue import load_species
from cerebellar_models.circuits.offers import against_models

UP, DOWN, ESCAPE, ENTER, SPACE = "\x1b[A", "\x1b[B", "\x1b", "\r", " "


@pytest.fixture
def opened(tmp_path):
    """Opens ``cerebellar-models configure`` on a terminal of its own, of that size, in an empty folder."""
    children = []

    def open_form(lines: int = 50, columns: int = 200) -> pexpect.spawn:
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        child = pexpect.spawn(
            sys.executable,
            ["-m", "cerebellar_models", "configure"],
            cwd=str(tmp_path),
            env=environment
            | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},  # nobody answers such requests here
            encoding="utf8",
            dimensions=(lines, columns),
            timeout=60,
        )
        children.append(child)
        return child

    yield open_form
    for child in children:
        child.close(force=True)


@pytest.fixture
def form(opened):
    return opened()


def words(shown: str) -> str:
    """What a terminal shows, without its control sequences and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).split())


def drawn(form) -> str:
    """The words that the form shows until it waits for a key."""
    shown = [form.buffer]  # read already while it looked for something before
    form.buffer = ""
    while True:
        try:
            shown.append(form.read_nonblocking(10_000, timeout=1.5))
        except pexpect.TIMEOUT:
            return words("".join(shown))


def end(form) -> int:
    form.expect(pexpect.EOF)
    form.close()
    return form.exitstatus


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_defaults_give_what_no_flags_give(form, cli, tmp_path):
    for question in ("State of the animal", "Extent", "Parts to add", "Neurons and synapses", "Simulations"):
        form.expect(question)
        form.send(ENTER)
    form.expect("expects 33466 cells")
    form.expect("All there")
    form.send(ENTER)
    assert end(form) == 0
    assert files(tmp_path) == ["circuit.choices.yaml", "circuit.yaml"]
    asked = (tmp_path / "circuit.yaml").read_bytes()
    assert cli("configure").returncode == 0
    assert (tmp_path / "circuit.yaml").read_bytes() == asked


def test_answers_can_be_taken_back_and_are_saved_for_replay(form, cli, tmp_path):
    form.expect("State of the animal")
    form.send(DOWN + ENTER)  # awake
    form.expect("Extent")
    form.send(ENTER)
    form.expect("33466 cells, 1.57 million synapses; compile about")
    form.expect("Parts to add")
    form.send(ESCAPE)
    form.expect("Extent")
    form.send(UP + ENTER)  # tiny
    form.expect("4016 cells")
    form.expect("Parts to add")
    form.send(SPACE + ENTER)  # dcn
    form.expect("Microzones")
    form.send("left right" + ENTER)
    form.expect("Neurons and synapses")
    form.send(ENTER)
    form.expect("Simulations")
    form.send(DOWN + SPACE + ENTER)  # basal activity alone
    form.expect("All there")
    form.send(DOWN + ENTER)  # with the choices
    assert end(form) == 0
    assert files(tmp_path) == ["choices.yaml", "circuit.choices.yaml", "circuit.yaml"]
    chosen = yaml.safe_load((tmp_path / "choices.yaml").read_text())
    assert (chosen["state"], chosen["size"], chosen["parts"]) == ("awake", [120, 60], ["dcn"])
    assert (chosen["microzones"], chosen["simulations"]) == (["left", "right"], ["basal_activity"])
    asked = (tmp_path / "circuit.yaml").read_bytes()
    assert cli("configure", "--from", "choices.yaml").returncode == 0
    assert (tmp_path / "circuit.yaml").read_bytes() == asked


def test_an_extent_that_is_too_small_is_asked_again(form):
    form.expect("State of the animal")
    form.send(ENTER)
    form.expect("Extent")
    form.send(DOWN + ENTER)
    form.expect("Extent in x and y")
    form.send("\x15" + "40 40" + ENTER)
    form.expect("40 x 40 µm is too small")
    form.expect("Extent")


@pytest.mark.parametrize("questions", [1, 6])
def test_leaving_leaves_nothing_behind(form, tmp_path, questions):
    asked = (
        "State of the animal",
        "Extent",
        "Parts to add",
        "Neurons and synapses",
        "Simulations",
        "All there",
    )
    for question in asked[: questions - 1]:
        form.expect(question)
        form.send(ENTER)
    form.expect(asked[questions - 1])
    form.sendcontrol("c")
    form.expect("Aborted")
    assert end(form) == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize("columns", [130, 80, 40])
def test_rows_are_shown_whole_at_any_width(opened, columns):
    """The synapse sets, two of which differ in their last word, and why some are not offered to awake animals."""
    form = opened(lines=80, columns=columns)
    form.expect("State of the animal")
    form.send(DOWN + ENTER)
    for question in ("Extent", "Parts to add"):
        form.expect(question)
        form.send(ENTER)
    form.expect("Neurons and synapses")
    shown = drawn(form)
    species = load_species("mouse")
    refused = 0
    for name, synapses in species.synapse_models.items():
        row = f"{name} {synapses['neuron_model']}, {synapses['description']}"
        if against := against_models(species, (), "awake", synapses["neuron_model"], name):
            row += f" ({against.partition(': ')[2]})"
            refused += 1
        assert row in shown
    assert refused == 4


def test_a_low_terminal_scrolls_to_the_whole_row(opened):
    form = opened(lines=24, columns=40)
    for question in ("State of the animal", "Extent", "Parts to add"):
        form.expect(question)
        form.send(ENTER)
    form.expect("Neurons and synapses")
    drawn(form)
    form.send(DOWN * 2)
    description = load_species("mouse").synapse_models["tsodyks2_synapse"]["description"]
    form.expect(re.escape(description.rsplit(" ", 1)[-1]))


def test_what_was_chosen_is_kept_when_going_back(form, tmp_path):
    form.expect("State of the animal")
    form.send(DOWN + ENTER)  # awake
    form.expect("Extent")
    form.send(DOWN + ENTER)
    form.expect("Extent in x and y")
    form.send("\x15" + "130 70" + ENTER)
    form.expect("130 x 70 µm")
    form.expect("Parts to add")
    form.send(SPACE + ENTER)  # dcn
    form.expect("Microzones")
    form.send("left right" + ENTER)
    form.expect("Neurons and synapses")
    form.send(UP + ENTER)  # static_gap_junctions
    form.expect("Simulations")
    form.send(SPACE + ESCAPE)  # not basal_activity; left without an answer
    for question in ("Neurons and synapses", "Microzones", "Parts to add", "Extent"):
        form.expect(question)
        drawn(form)
        form.send(ESCAPE)
    form.expect("State of the animal")
    drawn(form)
    form.send(ENTER)
    asked = (
        "Extent",
        "Extent in x and y",
        "Parts to add",
        "Microzones",
        "Neurons and synapses",
        "Simulations",
    )
    for question in (*asked, "All there"):
        form.expect(question)
        drawn(form)
        form.send((DOWN if question == "All there" else "") + ENTER)
    assert end(form) == 0
    chosen = yaml.safe_load((tmp_path / "choices.yaml").read_text(encoding="utf-8"))
    assert (chosen["state"], chosen["size"], chosen["parts"]) == ("awake", [130, 70], ["dcn"])
    assert (chosen["microzones"], chosen["synapse_model"]) == (["left", "right"], "static_gap_junctions")
    assert chosen["simulations"] == ["mf_stimulus"]


def test_what_is_typed_while_it_computes_is_neither_shown_nor_an_answer(form):
    form.expect("State of the animal")
    drawn(form)
    form.send(ENTER)
    form.expect("State of the animal  in_vitro")
    form.delaybeforesend = None  # the next question comes soon
    form.send(f"typed too early{ENTER}")
    form.expect("33466 cells")
    assert "early" not in form.before
    form.expect("Extent")
    assert "early" not in form.before
    assert "tiny" in drawn(form)  # still asked
    form.send(ENTER)
    form.expect("Extent  canonical")


def test_the_terminal_shows_again_what_is_typed_after_the_form_was_left(form):
    form.expect("State of the animal")
    assert not form.getecho()
    form.sendcontrol("c")
    form.expect("Aborted")
    assert form.getecho()


def test_off_a_terminal_nothing_is_asked(cli, tmp_path):
    assert cli("configure").returncode == 0
    assert files(tmp_path) == ["circuit.choices.yaml", "circuit.yaml"]
