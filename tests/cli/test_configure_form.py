"""The guided form, answered through a pseudo-terminal."""

import os
import sys
from pathlib import Path

import pexpect
import pytest
import yaml

UP, DOWN, ESCAPE, ENTER, SPACE = "\x1b[A", "\x1b[B", "\x1b", "\r", " "


@pytest.fixture
def form(tmp_path):
    """``cerebellar-models configure`` on a terminal of its own, in an empty folder."""
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "cerebellar_models", "configure"],
        cwd=str(tmp_path),
        env=environment
        | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},  # nobody answers such requests here
        encoding="utf8",
        dimensions=(50, 200),
        timeout=60,
    )
    yield child
    child.close(force=True)


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
    assert files(tmp_path) == ["circuit.yaml"]
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
    assert files(tmp_path) == ["choices.yaml", "circuit.yaml"]
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


def test_off_a_terminal_nothing_is_asked(cli, tmp_path):
    assert cli("configure").returncode == 0
    assert files(tmp_path) == ["circuit.yaml"]
