"""`cerebellar-models run` from choices to a report, and what it leaves behind when something fails."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from asking import statuses_of
from support import command_line

from cerebellar_models.analysis.read_digests import read_digests
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.jobs import local
from cerebellar_models.runs.launch import progress_environment
from cerebellar_models.runs.leases import leases, members, works

# 130 ms is no multiple of a round step, at which BSB tells its progress and runs on past the end.
CHOICES = ("run", "--preset", "tiny", "--simulation", "basal_activity", "--duration", "130", "-o", "out")
STAGES = ["models", "compile", "simulate basal_activity", "report"]
TASKS = ["models", "compile", "simulate-0", "report"]


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
    assert {name: job["state"] for name, job in record["jobs"].items()} == dict.fromkeys(TASKS, "done")
    assert record["versions"]["bsb-core"].startswith("8.")
    assert record["about"]["seed"] == "1234"
    assert record["digests"] == report["digests"] == read_digests(folder / "cerebellum.hdf5").record()
    for digest in (record["digests"]["circuit"], *record["digests"]["simulations"].values()):
        assert digest in (folder / "report.html").read_text()
    told = report["about"]  # by the node
    assert told["nodes"] == platform.node()
    assert told["command of compile"].endswith(
        "-m bsb compile " + str(folder / "circuit.yaml") + " -v4 --clear"
    )
    assert "-m bsb simulate " in told["command of simulate basal_activity"]


def test_a_run_keeps_the_memory_of_its_stages_and_calibrates_estimates(finished, cli, tmp_path):
    folder, output = finished
    jobs = json.loads((folder / "run.json").read_text())["jobs"]
    for name in TASKS[1:]:
        assert 50 < jobs[name]["max_rss_mb"] <= jobs[name]["node_mb"] < 2000, name
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


def test_other_threads_simulate_again_and_compile_nothing(finished, cli, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "out")
    done = cli(*CHOICES, "--threads", "2")
    assert done.returncode == 0, done.stderr
    again = [line.partition(":")[0] for line in done.stdout.splitlines() if line.endswith("done before")]
    assert again == ["models", "compile"]
    results = folder / "results"
    assert json.loads((results / "basal_activity" / "complete.json").read_text())["threads"] == 2
    assert [path.name for path in results.iterdir()] == ["basal_activity"]
    # Who asks for no number goes on with that of before.
    assert cli(*CHOICES).stdout.count("done before") == len(STAGES)
    assert json.loads((folder / "report.json").read_text())["about"]["threads"] == "2"
    done = cli("jobs", "status", str(folder), "--json")
    assert {task["state"] for task in json.loads(done.stdout)} == {"done"}


def test_other_choices_do_not_touch_the_folder(finished, cli):
    folder, _ = finished
    done = cli(*CHOICES[:-2], "--seed", "7", "-o", str(folder))
    assert done.returncode == 2
    assert "holds the run of another configuration" in done.stderr


def test_the_report_can_be_written_anew(finished, cli, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "out")
    (folder / "report.html").unlink()
    done = cli("report", str(folder))
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--preset", "tiny", "--ranks", "0"), "ranks: 0 is not at least 1"),
        (("run", "--preset", "tiny", "--ranks", "100000"), "ranks: 100000 is not at most"),
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


def test_more_ranks_or_threads_than_cores_are_planned_as_they_are_let_pass(mpi_installed, nest_installed):
    cores = len(os.sched_getaffinity(0))
    _, tree = resolve("mouse", preset="tiny")
    plan = local.local_plan(tree, "mouse", cores + 1, threads=cores + 1)
    shapes = {stage.name: (stage.ranks, stage.threads) for stage in plan.stages}
    assert shapes["compile"] == (cores + 1, 1)
    assert shapes["simulate"] == (local.simulating_ranks(cores + 1), cores + 1)


def test_an_empty_folder_of_results_is_no_results(finished, cli, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "out")
    for path in (folder / "results" / "basal_activity").iterdir():
        path.unlink()
    done = cli(*CHOICES)
    assert done.returncode == 0, done.stderr
    assert list((folder / "results" / "basal_activity").glob("*.nio"))


def test_output_that_cannot_be_written_is_what_is_named(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cerebellar_models", "configure", "--list"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == "cerebellar-models: standard output: No space left on device\n"


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
    assert "when it was made" in done.stderr
    assert not (folder / "results" / "basal_activity").exists()
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_what_a_run_has_started_ends_with_it_and_half_a_circuit_is_none(number, tmp_path, nest_installed):
    command = [sys.executable, "-m", "cerebellar_models", *CHOICES]
    run = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    folder = tmp_path / "out"
    scratch = folder / ".compile.partial" / "cerebellum.hdf5"
    until(scratch.exists)
    lease = leases(folder)["compile"]
    os.kill(run.pid, number)
    _, said = run.communicate()
    until(lambda: not works(lease))
    until(lambda: not leases(folder))
    assert not members(lease)
    assert not (folder / "cerebellum.hdf5").exists()
    assert not scratch.parent.exists()
    assert {entry.task: entry.state for entry in statuses_of(folder)}["compile"] == "stopped"
    if number == signal.SIGKILL:
        again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert (folder / "report.html").exists()
    else:
        assert run.returncode == 1
        assert f"compile: stopped by {number.name}; the same command goes on from here" in said


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_runs_do_not_share_a_folder(finished, cli, tmp_path):
    """What is done stays done; what another works on is refused."""
    folder = shutil.copytree(finished[0], tmp_path / "out")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = Path("/proc", str(os.getpid()), "stat").read_text().rpartition(") ")[2].split()[19]
    lines = {"token": "t", "scheduler": "local", "job": "1", "host": os.uname().nodename, "boot": boot}
    lines |= {"pid": str(os.getpid()), "start": start}
    lease = folder / "jobs" / "leases" / "report"
    lease.parent.mkdir(exist_ok=True)
    lease.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    (folder / "report.html").unlink()
    (folder / "report.complete.json").unlink()
    done = cli(*CHOICES)
    assert done.returncode == 2
    assert "report waits or runs already" in done.stderr
    assert not (folder / "report.html").exists()


def test_a_launcher_of_another_mpi_starts_no_work(cli, tmp_path, mpi_installed, monkeypatch):
    """Every process is rank 0 of 1; without a count of the world, each would write the same file."""
    if Path(sys.executable).with_name("mpirun").exists():
        pytest.skip("this Python has a launcher of its own, which goes before others")
    launcher = tmp_path / "bin" / "mpirun"
    launcher.parent.mkdir()
    launcher.write_text(
        "#!/bin/bash\n[ $1 != --version ] || { echo 'HYDRA build details:'; exit; }\nshift 2\n"
        '"$@" & first=$!\n"$@" || status=$?\nwait $first || status=$?\nexit ${status:-0}\n'
    )
    launcher.chmod(0o755)
    done = cli(*CHOICES, "--ranks", "2", PATH=f"{launcher.parent}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "ranks" in done.stderr and "each rank would be alone" in done.stderr
    assert not (tmp_path / "out" / "cerebellum.hdf5").exists()


def test_a_report_older_than_its_results_is_written_anew(finished, cli, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "out")
    shutil.rmtree(folder / "results" / "basal_activity")
    before = (folder / "report.html").stat().st_mtime_ns
    done = cli(*CHOICES)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_mtime_ns > before


@pytest.mark.parametrize("duration", [100, 120, 997, 1000, 1000.5, 7, 0.5, 2000.0])
def test_a_simulation_tells_its_progress_and_ends_when_it_should(duration, monkeypatch, tmp_path):
    """A prime number of ms is as long as any other: silence is taken for a hang."""
    from bsb.simulation.adapter import FixedStepProgressController, SimulatorAdapter

    from cerebellar_models.bsb_plugin.nest_mends import end_steps_with_simulation

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
