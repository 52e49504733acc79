"""`cerebellar-models run` from choices to a report, and what it leaves behind when something fails."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import command_line

from cerebellar_models.deploy.launch import progress_environment

# 130 ms is no multiple of a round step, at which BSB tells its progress and runs on past the end.
CHOICES = ("run", "--preset", "tiny", "--simulation", "basal_activity", "--duration", "130", "-o", "out")
STAGES = ["models", "compile", "simulate basal_activity", "report"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, nest_installed):
    """A finished run of the tiny circuit, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = command_line(*CHOICES, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def test_a_run_ends_in_a_report(finished):
    folder, output = finished
    assert output.strip().splitlines()[-1] == f"report: {(folder / 'report.html').resolve()}"
    assert "granule_cell" in (folder / "report.html").read_text()
    report = json.loads((folder / "report.json").read_text())
    assert report["simulations"][0]["duration_ms"] == 130
    recorded = {row["cell_type"] for row in report["simulations"][0]["populations"]}
    assert recorded == {row["cell_type"] for row in report["structure"]["cells"]}
    record = json.loads((folder / "run.json").read_text())
    assert {name: stage["state"] for name, stage in record["stages"].items()}.items() >= dict.fromkeys(
        STAGES[1:], "done"
    ).items()
    assert record["versions"]["bsb-core"].startswith("8.")
    assert record["about"]["seed"] == "1234"


def test_a_run_keeps_the_memory_of_its_stages_and_calibrates_estimates(finished, cli, tmp_path):
    folder, output = finished
    stages = json.loads((folder / "run.json").read_text())["stages"]
    for name in STAGES[1:]:
        assert 50 < stages[name]["rank_mb"] <= stages[name]["node_mb"] < 2000, name
    assert "synapses between" in output and "a second of simulation about" in output
    done = cli("jobs", "calibrate", str(folder), XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "config" / "cerebellar-models" / "resources" / "mouse.yaml").exists()


def test_nothing_partial_is_left(finished):
    assert not [path for path in finished[0].rglob("*") if "partial" in path.name]


def test_a_second_run_does_nothing_again(finished, cli):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    done = cli(*CHOICES, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith("done before")] == [
        f"{name}: done before" for name in STAGES
    ]
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_other_choices_do_not_touch_the_folder(finished, cli):
    folder, _ = finished
    done = cli(*CHOICES[:-2], "--seed", "7", "-o", str(folder))
    assert done.returncode == 2
    assert "holds the run of another configuration" in done.stderr


def test_the_report_can_be_written_anew(finished, cli):
    folder, _ = finished
    (folder / "report.html").unlink()
    done = cli("report", str(folder))
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--preset", "tiny", "--ranks", "0"), "ranks: 0 is not at least 1"),
        (("run", "--preset", "tiny", "-o", "/proc/no"), "/proc/no: cannot be written"),
        (("run", "--size", "-1", "1"), "size x: -1 µm"),
        (("report", "nowhere"), "nowhere: is not a run folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(cli, tmp_path, arguments, says):
    done = cli(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(cli, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    done = cli(*CHOICES)
    assert done.returncode == 2
    assert "neither empty nor a run folder" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_without_a_compiler_the_run_fails_in_one_line(cli, tmp_path, nest_installed):
    done = cli(*CHOICES, CXX="no-such-compiler", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "no-such-compiler" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "cerebellum.hdf5").exists()


def test_a_truncated_circuit_file_fails_in_one_line(cli, tmp_path, finished):
    folder = tmp_path / "out"
    shutil.copytree(finished[0], folder)
    circuit = folder / "cerebellum.hdf5"
    circuit.write_bytes(circuit.read_bytes()[: circuit.stat().st_size // 2])
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "results" / "basal_activity")
    done = cli(*CHOICES)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(Path("out", "cerebellum.hdf5")) in done.stderr
    assert "cut short" in done.stderr
    assert not (folder / "results" / "basal_activity").exists()
    assert not (folder / "report.html").exists()


def test_a_killed_compile_leaves_no_circuit_and_is_taken_up_again(tmp_path, nest_installed):
    command = [sys.executable, "-m", "cerebellar_models", *CHOICES]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    scratch = tmp_path / "out" / ".compile.partial" / "cerebellum.hdf5"
    deadline = time.monotonic() + 120
    while not scratch.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert scratch.exists()
    assert not (tmp_path / "out" / "cerebellum.hdf5").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "report.html").exists()
    assert not scratch.parent.exists()


def test_two_runs_do_not_share_a_folder(finished, cli):
    folder, _ = finished
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cli(*CHOICES, cwd=folder.parent)
    assert done.returncode == 2
    assert "another run is working in it" in done.stderr


def test_a_report_older_than_its_results_is_written_anew(finished, cli):
    folder, _ = finished
    shutil.rmtree(folder / "results" / "basal_activity")
    before = (folder / "report.html").stat().st_mtime_ns
    done = cli(*CHOICES, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_mtime_ns > before


@pytest.mark.parametrize("duration", [100, 120, 997, 1000, 1000.5, 7, 0.5, 2000.0])
def test_a_simulation_tells_its_progress_and_ends_when_it_should(duration, monkeypatch, tmp_path):
    """A prime number of ms is as long as any other: silence is taken for a hang."""
    from bsb.simulation.adapter import FixedStepProgressController, SimulatorAdapter

    from cerebellar_models.bsb_commands import end_steps_with_simulation

    step = FixedStepProgressController.get_next_checkpoint
    monkeypatch.setattr(FixedStepProgressController, "get_next_checkpoint", step)  # undone at the end
    end_steps_with_simulation()
    adapter = SimpleNamespace(
        _duration=duration, current_checkpoint=0, comm=SimpleNamespace(get_rank=lambda: 0)
    )
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stdout", log)
        controller = FixedStepProgressController(
            [], adapter, float(progress_environment(duration)["BSB_SIM_PROGRESS"])
        )
        adapter._controllers = [controller]
        times = []
        for time_ms, controllers in SimulatorAdapter.get_next_checkpoint(adapter):
            SimulatorAdapter.execute_checkpoints(adapter, controllers)
            times.append(time_ms)
    assert times[-1] == duration
    assert all(float(time_ms).is_integer() for time_ms in times[:-1])
    assert max(after - before for before, after in pairwise([0, *times])) <= max(1, duration / 20 + 1)
    assert (tmp_path / "log").read_text().count("progress: ") == len(times) <= 20
