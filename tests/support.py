"""What tests share that is no fixture: how a missing component is handled, and the command line as a user runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

# A name that no script may take for words of its own.
HOSTILE = "a b;rm -rf $HOME"


def missing(reason: str) -> NoReturn:
    """Skips the test for want of a component, or fails it where all are required, as in CI."""
    if os.environ.get("CEREBELLAR_MODELS_REQUIRE_ALL"):
        pytest.fail(f"required here: {reason}")
    pytest.skip(reason)


def linter(name: str) -> str:
    """Path of a program that the extra ``dev`` installs beside this Python, or that the system has."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return str(found)


def command_line(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Runs ``cerebellar-models`` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "cerebellar_models", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def on_ranks_environment() -> dict[str, str]:
    """This process' environment with what makes NEST and the Open MPI of PyPI quiet."""
    return {"PYNEST_QUIET": "1", "OMPI_MCA_osc": "^ucx"} | os.environ
