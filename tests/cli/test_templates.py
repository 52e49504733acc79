"""BSB's own commands find the species' circuits among the configuration templates."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support import missing

from cerebellar_models.circuits.resolve import resolve

COMMAND = [str(Path(sys.executable).with_name("bsb"))]


@pytest.fixture(autouse=True)
def _registered():
    if "cerebellar_models" not in entry_points(group="bsb.config.templates").names:
        missing("the package was installed before it had templates: install it again (make)")


def bsb(*arguments: str, cwd: Path, answers: str = "") -> None:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        input=answers,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(cwd / "tmp")},
    )
    assert done.returncode == 0, done.stderr
    assert list((cwd / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["mouse_cerebellum", "mouse_cerebellum_awake"])
@pytest.mark.parametrize("extension", ["yaml", "json"])
def test_a_new_project_of_bsb_starts_from_a_circuit_of_ours(tmp_path, name, extension):
    (tmp_path / "tmp").mkdir()
    answers = f"{name}.{extension}\ncircuit.{extension}\n"
    bsb("new", "project", ".", *(["--json"] if extension == "json" else []), cwd=tmp_path, answers=answers)
    from bsb import parse_configuration_file

    _, tree = resolve("mouse", state="awake" if name.endswith("awake") else "in_vitro")
    read = parse_configuration_file(str(tmp_path / "project" / f"circuit.{extension}"))
    assert set(read.cell_types) == set(tree["cell_types"])
    assert (read.network.x, read.rng.seed) == (tree["network"]["x"], tree["rng"]["seed"])


def test_a_template_is_what_configure_writes_without_flags(tmp_path, cli):
    (tmp_path / "tmp").mkdir()
    bsb("make-config", "mouse_cerebellum.yaml", "circuit.yaml", cwd=tmp_path)
    assert cli("configure", "-o", "ours.yaml").returncode == 0
    assert (tmp_path / "circuit.yaml").read_bytes() == (tmp_path / "ours.yaml").read_bytes()


@pytest.mark.parametrize("folder", ["species", "absent"])
def test_broken_species_of_the_users_take_no_template_away(tmp_path, monkeypatch, folder):
    """BSB asks every package for its templates, whichever is looked for."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "species" / "broken").mkdir(parents=True)
    (tmp_path / "species" / "broken" / "species.yaml").write_text("[", encoding="utf-8")
    monkeypatch.setenv("CEREBELLAR_MODELS_CONFIGURATIONS", str(tmp_path / folder))
    wanted = "mouse_cerebellum.yaml" if folder == "species" else "skeleton.yaml"
    bsb("make-config", wanted, "made.yaml", cwd=tmp_path)


def test_from_python():
    from bsb.config import get_configuration_template

    (found,) = get_configuration_template("mouse_cerebellum.yaml")
    assert Path(found).is_file()
