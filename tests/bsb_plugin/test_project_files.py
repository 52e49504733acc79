"""A pyproject.toml of the folder a stage runs in, or of one above it, does not change what the stage does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = "import cerebellar_models.bsb_plugin.commands; from bsb import options; print('verbosity', options.verbosity)"
SET = "[tools.bsb]\nverbosity = 4\n"


def verbosity(folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("place", [".", ".."], ids=["working directory", "parent"])
def test_a_stage_does_not_read_it_and_a_user_does(tmp_path, place):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / place / "pyproject.toml").write_text(SET, encoding="utf-8")
    assert verbosity(folder, CEREBELLAR_MODELS_STAGE="compile") == "verbosity 1"
    assert verbosity(folder) == "verbosity 4"


def test_a_stage_does_not_trip_over_a_broken_one(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tools.bsb", encoding="utf-8")
    assert verbosity(tmp_path, CEREBELLAR_MODELS_STAGE="compile") == "verbosity 1"
