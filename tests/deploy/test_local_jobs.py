"""The same scripts where the scheduler is a shell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import command_line

from cerebellar_models.deploy.run_folder import RunFolder


@pytest.fixture
def run(tmp_path, nest_installed) -> Path:
    """A run folder on one rank, for 20 ms; its circuit has still to be compiled."""
    choices = ("--preset", "tiny", "--simulation", "basal_activity", "--duration", "20")
    assert command_line("configure", *choices, cwd=tmp_path).returncode == 0
    flags = (
        "--site",
        "local",
        "--python",
        sys.executable,
        "--ranks",
        "1",
        "--walltime",
        "01:00:00",
        "-o",
        "run",
    )
    rendered = command_line("jobs", "render", "circuit.yaml", *flags, cwd=tmp_path)
    assert rendered.returncode == 0, rendered.stderr
    return tmp_path / "run"


def test_submitting_runs_the_stages_here_and_resuming_what_is_missing(run, cli):
    whole = (run / "circuit.yaml").read_text()
    (run / "circuit.yaml").write_text("name: nothing\n")
    failed = cli("jobs", "submit", str(run))
    assert failed.returncode == 1
    assert "logs/compile.log" in failed.stderr
    told = json.loads(cli("jobs", "status", str(run), "--json").stdout)
    assert [entry["state"] for entry in told] == ["done", "failed", "not submitted", "not submitted"]
    (run / "circuit.yaml").write_text(whole)
    resumed = cli("jobs", "resume", str(run))
    assert resumed.returncode == 0, resumed.stderr
    assert "models ..." not in resumed.stdout
    assert RunFolder(run).report.exists()
    assert {job["state"] for job in RunFolder(run).load().jobs.values()} == {"done"}
    again = cli("jobs", "resume", str(run))
    assert "everything is done" in again.stdout


def test_a_stage_stops_when_its_walltime_ends(run):
    """Where no scheduler says so, the script looks at the time itself."""
    script = run / "jobs" / "compile.sh"
    script.write_text(script.read_text().replace("WALLTIME_S=3600", "WALLTIME_S=121"))
    ended = subprocess.run(["bash", str(script)], check=False)
    marker = json.loads((run / "jobs" / "state" / "compile.json").read_text())
    assert ended.returncode != 0
    assert (marker["state"], marker["reason"]) == ("stopped", "the walltime was about to end")
    assert not list(run.glob(".*.partial"))
