"""The same scripts where the scheduler is a shell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from plans import options, plan, simulations, site
from support import command_line

from cerebellar_models.deploy.render import render
from cerebellar_models.deploy.run_folder import RunFolder, RunRecord, installed_versions


@pytest.fixture
def run(tiny_folder, tmp_path, nest_installed) -> Path:
    """A run folder on one rank, for 20 ms; its circuit has still to be compiled."""
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    (folder / "jobs").mkdir()
    choices = ("--preset", "tiny", "--simulation", "basal_activity", "--duration", "20")
    assert command_line("configure", *choices, cwd=folder).returncode == 0
    RunFolder(folder).save(RunRecord({}, installed_versions()))
    of = plan(
        site(scheduler="local", launcher="none", runtime="none", hdf5_locking=True),
        options(python=sys.executable),
        tasks=simulations("basal_activity"),
        nodes=1,
        ranks=1,
        ranks_per_node=1,
    )
    for path, text in render(of).items():
        (folder / path).write_text(text)
    (folder / "jobs" / "plan.json").write_text(of.to_json())
    return folder


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
