"""The component by which configurations have the NEST models at hand, in each way they name it."""

import subprocess
import sys
from pathlib import Path

import pytest

import cerebellar_models.nest_models

FOLDER = Path(cerebellar_models.nest_models.__file__).parent
# What BSB does with a component of a configuration, without building anything.
LOAD = """
import sys
from cerebellar_models.builders import compile_mode
compile_mode.ACTIVE = True
from bsb import CodeDependencyNode
CodeDependencyNode(module=sys.argv[1]).load_object()
print("cerebellar_models.nest_models" in sys.modules)
"""


@pytest.mark.parametrize(
    "name",
    [
        "cerebellar_models.nest_models.build_models",
        "cerebellar_models/nest_models/build_models.py",
        str(FOLDER / "build_models.py"),
    ],
    ids=["module", "path in a checkout", "path"],
)
def test_it_brings_the_models_however_it_is_named(name):
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, name],
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.strip().splitlines()[-1:] == ["True"], ended.stderr[-2000:]
