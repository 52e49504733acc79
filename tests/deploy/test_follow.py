"""What the schedulers' commands print, and what becomes of it: samples of SLURM 22.05, and of OpenPBS 23.06's form."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from plans import options, plan, simulations, site

from cerebellar_models.deploy import follow, task
from cerebellar_models.deploy import run_folder as run_folder_module
from cerebellar_models.deploy.render import render
from cerebellar_models.deploy.run_folder import RunFolder, RunRecord
from cerebellar_models.deploy.scheduler_jobs import (
    Answer,
    SchedulerJob,
    ask,
    read_qstat,
    read_sacct,
    read_squeue,
)
from cerebellar_models.deploy.submit import expanded, how_to_submit, stage_arguments, submitted
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
    assert jobs["11[].pbs", 3] == SchedulerJob("ENDED", exit_code=0)  # the memory is of the whole job
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
        ("progress: 90.00 elapsed\n=== simulate-0: job 2 on n1\nnothing yet", ""),
        ("=== simulate-0: job 1 on n1\nprogress: 20.00 elapsed", "20 ms simulated"),
    ],
)
def test_progress(log, told, tmp_path):
    (tmp_path / "simulate-0.log").write_text(log)
    assert follow.progress(tmp_path / "simulate-0.log") == told


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
    monkeypatch.setattr(follow, "ask", lambda name, ids: Answer(jobs))
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
    monkeypatch.setattr(follow, "ask", lambda name, ids: Answer({("5", None): SchedulerJob("PENDING")}))
    with (run / "jobs" / "submitted.tsv").open("a") as file:
        print("compile", "5", 0, "", int(time.time()) + 60, sep="\t", file=file)
    assert {entry.task: entry.state for entry in follow.status(run)}["compile"] == "waiting"


def test_use_of_what_was_asked_for(run, monkeypatch):
    monkeypatch.setattr(
        follow, "ask", lambda name, ids: Answer({("4", None): SchedulerJob("COMPLETED", max_rss_mb=3)})
    )
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


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts scripts in place of the scheduler's commands, and no others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for absent in ("squeue", "sacct", "qstat"):  # whatever this machine has
        (folder / absent).write_text(f"#!/bin/sh\necho '{absent}: error: down' >&2; exit 1\n")
        (folder / absent).chmod(0o755)

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")

    return write


TIMEOUT = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
FORGOTTEN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
NO_ACCOUNTING = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
ENDED = """echo '{"jobs": [{"job_id": 7, "state": {"current": "FAILED"}}]}'"""
# An old squeue knows no --json.
LINES = """case $* in *--json*) echo "squeue: unrecognized option '--json'" >&2; exit 1;; esac
echo '7|7|N/A|RUNNING|None|n1'; echo '9|8|1|PENDING|Resources|'"""


@pytest.mark.parametrize(
    ("squeue", "sacct", "state", "silent"),
    [
        (TIMEOUT, NO_ACCOUNTING, None, "Unable to contact slurm controller"),
        (TIMEOUT, ENDED, "FAILED", "Unable to contact"),
        ("echo nonsense", NO_ACCOUNTING, None, ""),
        ("echo 'no serializer plugin' >&2; exit 1", NO_ACCOUNTING, None, "no serializer plugin"),
        (FORGOTTEN, NO_ACCOUNTING, None, ""),
        (FORGOTTEN, ENDED, "FAILED", ""),
        ("""echo '{"jobs": [{"job_id": 7, "job_state": "RUNNING"}]}'""", NO_ACCOUNTING, "RUNNING", ""),
        (LINES, NO_ACCOUNTING, "RUNNING", ""),
    ],
)
def test_a_slurm_that_does_not_answer_is_told_from_one_that_has_forgotten(
    commands, squeue, sacct, state, silent
):
    commands("squeue", squeue)
    commands("sacct", sacct)
    answer = ask("slurm", ["7", "8"])
    job = answer.jobs.get(("7", None))
    assert (job.state if job else None) == state
    assert (silent in answer.silent) if silent else not answer.silent
    if squeue == LINES:
        assert answer.jobs["8", 1] == SchedulerJob("PENDING", "Resources")


@pytest.mark.parametrize(
    ("qstat", "state", "silent"),
    [
        ("echo 'Connection refused' >&2; exit 111", None, True),
        ("echo '{\"Jobs\": '", None, True),
        ("echo 'qstat: Unknown Job Id 7.pbs' >&2; exit 153", None, False),
        ("""echo '{"Jobs": {"7.pbs": {"job_state": "Q"}}}'""", "Q", False),
        (
            "case $1 in -xtf) echo 'PBS is not configured to maintain job history' >&2; exit 1;; esac\n"
            """echo '{"Jobs": {"7.pbs": {"job_state": "R"}}}'""",
            "R",
            False,
        ),
    ],
)
def test_a_pbs_that_does_not_answer_is_told_from_one_that_has_forgotten(commands, qstat, state, silent):
    commands("qstat", qstat)
    answer = ask("pbs", ["7.pbs"])
    job = answer.jobs.get(("7.pbs", None))
    assert ((job.state if job else None), bool(answer.silent)) == (state, silent)


def test_a_scheduler_that_is_not_here_makes_unknown(run, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    submit(run, ("compile", "1", 0, ""))
    told = {entry.task: entry for entry in follow.status(run)}
    assert (told["compile"].state, told["compile"].active) == ("unknown", True)
    assert "no squeue here" in told["compile"].detail
    assert told["report"].state == "not submitted"


@pytest.mark.parametrize("verb", ["submit", "resume"])
def test_what_may_still_run_is_not_submitted_again(verb, run, cli, commands):
    submit(run, ("compile", "7", 0, ""))
    commands("squeue", TIMEOUT)
    commands("sbatch", f"touch {run}/called; echo 8")
    commands("scancel", "")
    done = cli("jobs", verb, str(run), PATH=f"{run}/bin:/usr/bin:/bin")
    assert done.returncode == 2
    assert "whether compile still runs is unknown: " in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (run / "called").exists()


@pytest.mark.parametrize("argument", ["nonsense", "simulate=abc", "simulate=7", "simulate=", "compile=0", ""])
def test_no_such_stage(argument, run, cli):
    done = cli("jobs", "submit", str(run), argument)
    assert done.returncode == 2
    assert f"{argument}: " in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("done", "still"),
    [
        ({"models", "compile", "simulate-0", "simulate-1", "report"}, ["simulate-2", "report"]),
        ({"compile", "simulate-0", "simulate-1", "simulate-2", "report"}, ["models"]),
        ({"models", "compile", "simulate-0", "simulate-1", "simulate-2", "report"}, []),
    ],
)
def test_a_report_on_other_results_is_missing(done, still, run):
    assert [each.name for each in follow.missing(task.planned_tasks(run), done)] == still


def test_a_line_that_was_cut_short(run):
    (run / "jobs" / "submitted.tsv").write_text("models\t3\t0\t\t12\ncompile\t1\t0\t\t\nsimulate\t2\t")
    assert [(line.stage, line.job, line.time) for line in submitted(run)] == [
        ("models", "3", 12),
        ("compile", "1", 0),
    ]


@pytest.mark.parametrize("content", ['{"site": 5}', "5", "[" * 30_000, "{}"])
def test_a_plan_that_is_none(content, run):
    (run / "jobs" / "plan.json").write_text(content)
    with pytest.raises(UserError, match="is not a job plan"):
        follow.status(run)


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(run_folder_module.fcntl, "flock", flock)
    assert RunFolder(tmp_path / "run").open("name: x\n", {"a": "b"}).about == {"a": "b"}


def test_a_record_that_cannot_be_written_does_not_hide_the_table(run, cli):
    (run / "run.json").write_text("[]")
    done = cli("jobs", "status", str(run))
    assert done.returncode == 0
    assert "not submitted" in done.stdout and "not brought up to date" in done.stderr


def test_commands_that_are_shown_can_be_pasted():
    assert how_to_submit(Path("x;touch y"), "local") == "next: cerebellar-models jobs submit 'x;touch y'"


@pytest.fixture
def local(tmp_path) -> Path:
    """A run on this machine whose compilation takes a while, and some to stop."""
    run = tmp_path / "local"
    (run / "jobs" / "state").mkdir(parents=True)
    of = plan(site(scheduler="local", launcher="none", runtime="none"), options(), nodes=1, ranks=1)
    (run / "jobs" / "plan.json").write_text(of.to_json())
    RunFolder(run).save(RunRecord({}, {}))
    (run / "jobs" / "submit.sh").write_text(render(of)["jobs/submit.sh"])
    (run / "jobs" / "compile.sh").write_text(
        """cd "$(dirname "$0")/.."
trap 'sleep 1; touch stopped; exit 1' INT
echo '{"state": "running", "job": "'$$'", "hosts": "", "started": '$(date +%s)'}' >jobs/state/compile.json
for i in $(seq 300); do sleep 0.1; done
"""
    )
    return run


def test_an_interrupted_run_waits_for_its_script(local):
    command = [sys.executable, "-m", "cerebellar_models", "jobs", "submit", str(local), "compile"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not task.read_marker(local, "compile"):
        assert process.poll() is None
        time.sleep(0.1)
    states = {entry.task: entry.state for entry in follow.status(local)}
    assert (states["compile"], states["report"]) == ("running", "not submitted")
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    _, said = process.communicate()
    assert (local / "stopped").exists()
    assert process.returncode == 1 and "interrupted; go on with: cerebellar-models jobs resume" in said
    assert {entry.task: entry.state for entry in follow.status(local)}["compile"] == "lost"


def test_json_is_all_there_is_on_stdout(local, cli):
    (local / "jobs" / "compile.sh").write_text('cd "$(dirname $0)/.."; touch cerebellum.hdf5\n')
    done = cli("jobs", "submit", str(local), "compile", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[1]["state"] == "done"
