"""What these tests share: small networks, compiled."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_network import small_network


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Callable[[dict[str, Any]], Path]:
    """``compiled(tree)``: path of the circuit of a configuration."""

    def compile_in_own_folder(tree: dict[str, Any]) -> Path:
        folder = tmp_path_factory.mktemp("compiled")
        (folder / "network.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        command = [sys.executable, "-m", "bsb", "compile", "network.yaml", "--clear"]
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return folder / tree["storage"]["root"]

    return compile_in_own_folder


@pytest.fixture(scope="session")
def small_circuit(compiled) -> Path:
    """The small network, compiled once."""
    return compiled(small_network("small.hdf5"))
