"""The same scripts where the scheduler is a shell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import command_line

from cerebellar_models.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path, nest_installed) -> Path:
    """A run folder on one rank, for 20 ms; its circuit has still to be compiled."""
    choices = ("--preset", "tiny", "--simulation", "basal_activity", "--duration", "20")
    assert command_line("configure", *choices, cwd=tmp_path).returncode == 0
    flags = (
        "--site",
        "local",
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


def test_run_and_submit_leave_the_same_record(run, cli):
    """But for times, ids and memory."""
    done = cli("run", "--preset", "tiny", "--simulation", "basal_activity", "--duration", "20", "-o", "ran")
    assert done.returncode == 0, done.stderr
    assert subprocess.run(["bash", "jobs/submit.sh"], cwd=run, check=False).returncode == 0
    records = [
        json.loads((folder / "run.json").read_text(encoding="utf-8"))
        for folder in (run.with_name("ran"), run)
    ]
    for record in records:
        assert record["jobs"].keys() == {"models", "compile", "simulate-0", "report"}
        for job in record["jobs"].values():
            for of_this_time in ("job", "seconds", "max_rss_mb", "node_mb", "efficiency"):
                job.pop(of_this_time)
    assert records[0] == records[1]


def test_a_stage_stops_when_its_walltime_ends(run):
    """Where no scheduler says so, the script looks at the time itself."""
    script = run / "jobs" / "compile.sh"
    script.write_text(script.read_text().replace("WALLTIME_S=3600", "WALLTIME_S=121"))
    ended = subprocess.run(["bash", str(script)], check=False)
    marker = json.loads((run / "jobs" / "state" / "compile.json").read_text())
    assert ended.returncode != 0
    assert (marker["state"], marker["reason"]) == ("stopped", "the walltime was about to end")
    assert not list(run.glob(".*.partial"))


def test_a_python_without_this_package_is_what_the_marker_says(run):
    """The system's, say, where the scripts were copied from another machine."""
    common = run / "jobs" / "common.sh"
    common.write_text(common.read_text().replace(sys.executable, "/bin/false"))
    assert subprocess.run(["bash", "jobs/models.sh"], cwd=run, check=False).returncode != 0
    marker = json.loads((run / "jobs" / "state" / "models.json").read_text())
    assert marker["reason"] == "its Python cannot run cerebellar_models; see logs/models.log"
