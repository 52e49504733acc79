"""What the schedulers' commands print, and what becomes of it: samples of SLURM 22.05, and of OpenPBS 23.06's form."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from plans import options, plan, simulations, site

from cerebellar_models.deploy import follow, task
from cerebellar_models.deploy.follow import SchedulerJob, read_qstat, read_sacct, read_squeue
from cerebellar_models.deploy.render import render
from cerebellar_models.deploy.run_folder import RunFolder, RunRecord
from cerebellar_models.deploy.submit import expanded, stage_arguments, submitted
from cerebellar_models.errors import RunError, UserError

HERE = Path(__file__).parent


def sample(name: str) -> dict:
    return json.loads((HERE / name).read_text())


def test_squeue():
    jobs = read_squeue(sample("squeue-22.05.json"))
    assert jobs["44", None] == SchedulerJob("COMPLETED", hosts="node[1-2]")
    assert jobs["45", 0] == jobs["45", 1] == SchedulerJob("FAILED", "NonZeroExitCode", hosts="node[1-2]")
    assert jobs["46", None] == SchedulerJob("CANCELLED", "DependencyNeverSatisfied")
    # The part of an array that waits is one entry.
    assert [jobs["52", index].state for index in range(3)] == ["PENDING"] * 3


def test_squeue_of_later_versions():
    """They give states as lists, and numbers with whether they are set."""
    unset = {"set": False, "infinite": False, "number": 0}
    job = {
        "job_id": 7,
        "job_state": ["RUNNING"],
        "state_reason": "None",
        "nodes": "n1",
        "array_task_string": "",
    }
    jobs = read_squeue(
        {
            "jobs": [
                job | {"array_job_id": unset, "array_task_id": unset},
                job
                | {"array_job_id": {"set": True, "number": 5}, "array_task_id": {"set": True, "number": 0}},
            ]
        }
    )
    assert set(jobs) == {("7", None), ("5", 0)}
    assert jobs["7", None].state == "RUNNING"


def test_sacct():
    jobs = read_sacct(sample("sacct-22.05.json"))
    # Each rank held 200 MB.
    assert jobs["1", 0] == SchedulerJob("COMPLETED", "", 0, 7, pytest.approx(213, abs=1), "node[1-2]")
    # It ended with 3, which this version writes as 0.
    assert (jobs["2", None].state, jobs["2", None].exit_code) == ("FAILED", None)


def test_qstat():
    jobs = read_qstat(
        {
            "Jobs": {
                "10.pbs": {
                    "job_state": "R",
                    "exec_host": "n1/0*2+n2/0*2",
                    "resources_used": {"walltime": "00:01:05"},
                },
                "11[].pbs": {"job_state": "B"},
                "11[3].pbs": {"job_state": "F", "Exit_status": 0, "resources_used": {"mem": "2048kb"}},
                "12.pbs": {"job_state": "F", "Exit_status": -29},
                "13.pbs": {"job_state": "F"},
            }
        }
    )
    assert jobs["10.pbs", None] == SchedulerJob("R", seconds=65.0, hosts="n1+n2")
    assert jobs["11[].pbs", 3] == SchedulerJob("ENDED", exit_code=0, max_rss_mb=2.0)
    assert jobs["12.pbs", None].state == "TIMEOUT"
    assert jobs["13.pbs", None].state == "CANCELLED"


@pytest.mark.parametrize("read", [read_squeue, read_sacct, read_qstat])
def test_no_answer_is_no_jobs(read):
    assert read({}) == {}


@pytest.mark.parametrize(("text", "numbers"), [("", []), ("3", [3]), ("0-2,5", [0, 1, 2, 5])])
def test_indices(text, numbers):
    assert expanded(text) == numbers


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("[BSB] JobStatus.RUNNING {root}.placement.golgi_layer\nJobStatus.SUCCESS", "placement golgi_layer"),
        (
            "Simulation ['x'] | progress: 45.00 elapsed: 1 s\nSimulation ['x'] | progress: 50.00 el",
            "50 ms simulated",
        ),
        ("", ""),
    ],
)
def test_progress(log, told, tmp_path):
    (tmp_path / "log").write_text(log)
    assert follow.progress(tmp_path / "log") == told


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder for SLURM, whose simulation has three tasks in arrays of two."""
    (tmp_path / "jobs" / "state").mkdir(parents=True)
    of = plan(
        site(array_limit=2, runtime="none"),
        options(),
        tasks=simulations("basal_activity", seeds=(None, 7, 8)),
    )
    for path, text in render(of).items():
        (tmp_path / path).write_text(text)
    (tmp_path / "jobs" / "plan.json").write_text(of.to_json())
    RunFolder(tmp_path).save(RunRecord({}, {}))
    return tmp_path


def submit(run: Path, *lines: tuple[str, str, int, str]) -> None:
    with (run / "jobs" / "submitted.tsv").open("a") as file:
        for stage, job, offset, indices in lines:
            print(stage, job, offset, indices, int(time.time()) - 10, sep="\t", file=file)


def test_a_task_is_found_in_its_array(run, monkeypatch):
    submit(run, ("compile", "1", 0, ""), ("simulate", "2", 0, "0-1"), ("simulate", "3", 2, "0"))
    submit(run, ("simulate", "9", 0, "1"))  # taken up again
    jobs = {
        ("2", 0): SchedulerJob("RUNNING"),
        ("3", 0): SchedulerJob("PENDING"),
        ("9", 1): SchedulerJob("TIMEOUT"),
    }
    monkeypatch.setattr(follow, "scheduler_jobs", lambda name, ids: jobs)
    told = {entry.task: entry for entry in follow.status(run)}
    assert (told["simulate-0"].job, told["simulate-0"].state) == ("2[0]", "running")
    assert (told["simulate-1"].job, told["simulate-1"].state) == ("9[1]", "lost")
    assert (told["simulate-2"].job, told["simulate-2"].state) == ("3[0]", "waiting")
    assert told["compile"].state == "lost"
    assert told["report"].state == "not submitted"
    assert follow.active_jobs(run, list(told.values())) == ["2", "3"]


def test_what_a_marker_of_an_earlier_submission_says_is_past(run, monkeypatch):
    task.begin(run, "compile", "1", "node1")
    task.end(run, "compile", 1, "hang")
    monkeypatch.setattr(follow, "scheduler_jobs", lambda name, ids: {("5", None): SchedulerJob("PENDING")})
    with (run / "jobs" / "submitted.tsv").open("a") as file:
        print("compile", "5", 0, "", int(time.time()) + 60, sep="\t", file=file)
    assert {entry.task: entry.state for entry in follow.status(run)}["compile"] == "waiting"


def test_use_of_what_was_asked_for(run, monkeypatch):
    monkeypatch.setattr(follow, "scheduler_jobs", lambda name, ids: {})
    task.begin(run, "models", "4", "node1")
    usage = run / ".models.partial" / "usage"
    usage.mkdir()
    for rank, node in enumerate(("n1", "n1", "n2")):
        (usage / f"{rank}.json").write_text(json.dumps({"host": node, "max_rss_kb": 1024 * 500}))
    task.end(run, "models", 0, "")
    submit(run, ("models", "4", 0, ""))
    follow.record(run, follow.status(run))
    kept = RunFolder(run).load().jobs["models"]
    assert kept["state"] == "done"
    assert (kept["max_rss_mb"], kept["node_mb"], kept["efficiency"]["memory"]) == (500, 1000, 0.5)


def test_a_stage_waits_for_all_of_an_array(run):
    with pytest.raises(RunError, match="simulate-0 has to be done first"):
        task.begin(run, "report", "1", "node1")
    marker = task.read_marker(run, "report")
    assert (marker.state, marker.exit_code) == ("failed", 1)
    with pytest.raises(RunError, match="models has to be done first"):
        task.begin(run, "simulate-1", "1", "node1")


def test_a_compilation_that_left_half_a_file_is_not_done(run):
    assert task.begin(run, "compile", "1", "node1") == 0
    (run / ".compile.partial" / "cerebellum.hdf5").write_bytes(b"\x89HDF")
    assert task.end(run, "compile", 0, "") == 1
    assert task.read_marker(run, "compile").state == "failed"
    assert not RunFolder(run).circuit.exists()
    assert not list(run.glob(".*.partial"))


def test_what_is_done_is_not_begun_again(run):
    RunFolder(run).circuit.write_text("")
    assert task.begin(run, "compile", "1", "node1") == task.DONE_BEFORE


def test_too_little_disk(run, monkeypatch):
    monkeypatch.setattr(task.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(RunError, match="GB free"):
        task.begin(run, "compile", "1", "node1")


def test_no_such_task(run):
    with pytest.raises(UserError, match="simulate-9"):
        task.begin(run, "simulate-9", "1", "node1")


def test_what_is_missing_is_named_for_submit(run):
    missing = [
        planned
        for planned in task.planned_tasks(run)
        if planned.name in ("compile", "simulate-0", "simulate-2")
    ]
    assert stage_arguments(missing) == ["compile", "simulate=0,2"]


def test_nothing_was_submitted(run):
    assert submitted(run) == []


def test_without_sbatch_the_folder_can_be_copied(run, cli):
    done = cli("jobs", "submit", str(run), PATH="/nowhere")
    assert done.returncode == 2
    assert "no sbatch here" in done.stderr
    assert "rsync -a" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["submit", "status", "cancel", "resume"])
def test_a_folder_without_scripts(verb, cli, tmp_path):
    done = cli("jobs", verb, str(tmp_path))
    assert done.returncode == 2
    assert "jobs render" in done.stderr


def test_status_as_json(run, cli):
    done = cli("jobs", "status", str(run), "--json")
    assert done.returncode == 0, done.stderr
    assert {entry["state"] for entry in json.loads(done.stdout)} == {"not submitted"}
