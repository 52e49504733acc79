"""Estimates of memory beside what compile and simulate really use (minutes)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from circuit_file import CircuitFile
from expected_connections import missed
from support import command_line

from cerebellar_models.circuits.counting.size import circuit_size
from cerebellar_models.costs.estimate import estimate, load_cost_model

# Below the safety factor of plans: what is estimated at the tolerance's edge is still not killed.
TOLERANCE = 0.25
TOLERANCE_OF_CONNECTIONS = 0.15  # beside the scatter of small populations


def used_mb(folder: Path, *arguments: str) -> float:
    """Peak of a BSB command's memory."""
    usage = folder / f"usage-{arguments[0]}"
    usage.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "bsb", *arguments],
        cwd=folder,
        env=os.environ | {"CEREBELLAR_MODELS_USAGE": str(usage)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (left,) = usage.glob("*.json")
    return json.loads(left.read_text())["max_rss_kb"] / 1024


@pytest.mark.scientific
@pytest.mark.parametrize(
    ("extent", "parts"),
    [
        ((120, 60), ()),
        ((300, 200), ()),
        ((120, 60), ("io", "ubc")),
        pytest.param((600, 400), (), marks=pytest.mark.long(part="scale")),
    ],
    ids=["tiny", "canonical", "tiny with all parts", "four times canonical"],
)
def test_memory_and_connections_are_within_a_quarter_of_the_estimate(
    tmp_path, monkeypatch, nest_installed, tiny_folder, extent, parts
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    flags = ["--size", *map(str, extent), "--simulation", "basal_activity", "--duration", "50"]
    flags += [flag for part in parts for flag in ("--part", part)]
    configured = command_line("configure", *flags, cwd=tmp_path)
    assert configured.returncode == 0, configured.stderr
    tree, model = yaml.safe_load((tmp_path / "circuit.yaml").read_text()), load_cost_model("mouse")
    # The kernels' first compilation takes 90 MB of its own; that of `tiny_folder` has done it.
    used_mb_of = {
        "compile": used_mb(tmp_path, "compile", "circuit.yaml", "-v1", "--clear"),
        "simulate": used_mb(
            tmp_path, "simulate", "cerebellum.hdf5", "basal_activity", "-o", "results", "-v1"
        ),
    }
    size = (tmp_path / "cerebellum.hdf5").stat().st_size / 2**20
    for stage, used in used_mb_of.items():
        expected = estimate(tree, model, stage).memory_mb_per_rank
        assert abs(expected / used - 1) < TOLERANCE, (
            f"{stage}: {used:.0f} MB used, {expected:.0f} MB expected"
        )
    assert estimate(tree, model, "compile").storage_mb == pytest.approx(size, rel=TOLERANCE)
    assert (
        missed(circuit_size(tree), CircuitFile(tmp_path / "cerebellum.hdf5"), TOLERANCE_OF_CONNECTIONS) == {}
    )
