"""How far a run is: what its tasks' markers, their logs and the scheduler say, and what is made of it."""

import json
import time
from pathlib import Path

import pytest
from analysis.analysis_samples import write_circuit
from asking import active_jobs, statuses_of, tasks_of
from plans import write_run
from whole import make_circuit, make_results

from cerebellar_models.analysis.read_digests import read_digests
from cerebellar_models.errors import UserError
from cerebellar_models.jobs import follow
from cerebellar_models.jobs.schedulers import Answer, SchedulerJob
from cerebellar_models.jobs.submit import how_to_submit, stage_arguments
from cerebellar_models.on_node import task
from cerebellar_models.runs.markers import marker_path
from cerebellar_models.runs.products import FINISHED
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.runs.submissions import submitted

# How a scheduler says it is not there.
DOWN = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path)


def submit(run: Path, *lines: tuple[str, str, int, str], ago: int = 1000, name: str = "") -> None:
    """Submitted so many seconds ago."""
    with (run / "jobs" / "submitted.tsv").open("a", encoding="utf-8") as file:
        for stage, job, offset, indices in lines:
            print(stage, job, offset, indices, int(time.time()) - ago, name, sep="\t", file=file)


def told_of(run: Path, answer: Answer, monkeypatch, task_name: str = "compile") -> follow.TaskStatus:
    monkeypatch.setattr(follow, "ask", lambda name, ids, recent: answer)
    return next(entry for entry in statuses_of(run) if entry.task == task_name)


def test_a_task_is_found_in_its_array(run, monkeypatch):
    submit(run, ("compile", "1", 0, ""), ("simulate", "2", 0, "0-1"), ("simulate", "3", 2, "0"))
    submit(run, ("simulate", "9", 0, "1"))  # taken up again
    jobs = {
        ("2", 0): SchedulerJob("running", "RUNNING"),
        ("3", 0): SchedulerJob("waiting", "PENDING"),
        ("9", 1): SchedulerJob("ended", "TIMEOUT"),
    }
    monkeypatch.setattr(follow, "ask", lambda name, ids, recent: Answer(jobs))
    told = {entry.task: entry for entry in statuses_of(run)}
    assert (told["simulate-0"].job, told["simulate-0"].state) == ("2_0", "running")
    assert (told["simulate-1"].job, told["simulate-1"].state) == ("9_1", "lost")
    assert (told["simulate-2"].job, told["simulate-2"].state) == ("3_0", "waiting")
    assert told["compile"].state == "lost"
    assert told["report"].state == "not submitted"
    assert active_jobs(run) == ["2", "3"]


def mark(run: Path, name: str, state: str, job: str, started: float) -> None:
    content = {"state": state, "job": job, "hosts": "", "started": started, "reason": "as marked"}
    marker_path(run, name).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "line", "marked", "state"),
    [
        ("compile", ("compile", "5", 0, ""), "5", "failed"),
        ("compile", ("compile", "5", 0, ""), "4", "lost"),
        ("simulate-1", ("simulate", "5", 0, "0-1"), "5_1", "failed"),
        ("simulate-1", ("simulate", "5", 0, "0-1"), "4_1", "lost"),
        ("simulate-2", ("simulate", "5;cm2", 2, "0"), "5_0", "failed"),
    ],
)
@pytest.mark.parametrize("skew_s", [-3600, 3600])
def test_a_marker_is_of_a_submission_by_its_job_whatever_the_clocks(
    name, line, marked, state, skew_s, run, monkeypatch
):
    submit(run, line)
    mark(run, name, "failed", marked, time.time() - 1000 + skew_s)
    assert told_of(run, Answer({}), monkeypatch, name).state == state


def test_what_a_marker_of_an_earlier_submission_says_is_past(run, monkeypatch):
    submit(run, ("compile", "1", 0, ""), ("compile", "5", 0, ""))
    mark(run, "compile", "failed", "1", time.time())
    waits = Answer({("5", None): SchedulerJob("waiting", "PENDING")})
    assert told_of(run, waits, monkeypatch).state == "waiting"


UNKNOWN_WORD = Answer({("5", None): SchedulerJob("unknown", "NEW_WORD")})


@pytest.mark.parametrize(
    ("ago", "answer", "marker", "state", "detail"),
    [
        (10, Answer({}), "", "waiting", "the scheduler does not list it yet"),
        (10, Answer({}), "running", "running", ""),
        (10, Answer({}), "failed", "failed", "as marked"),
        (10, Answer({}, forgotten=frozenset({"5"})), "", "lost", "the scheduler no longer knows its job"),
        (1000, Answer({}), "", "lost", "the scheduler no longer knows its job"),
        (1000, Answer({}), "stopped", "stopped", "as marked"),
        (1000, Answer({}, "squeue: down"), "", "unknown", "squeue: down"),
        (1000, UNKNOWN_WORD, "", "unknown", "unknown state NEW_WORD"),
        (1000, UNKNOWN_WORD, "failed", "failed", "as marked"),
    ],
)
def test_what_no_list_has_is_lost_only_once_it_should_be_in_one(
    ago, answer, marker, state, detail, run, monkeypatch
):
    submit(run, ("compile", "5", 0, ""), ago=ago)
    if marker:
        mark(run, "compile", marker, "5", time.time())
    entry = told_of(run, answer, monkeypatch)
    assert (entry.state, entry.detail) == (state, detail)
    assert entry.active == (state in ("waiting", "running", "unknown"))


def test_a_job_of_an_earlier_submission_that_still_lives_is_not_overlooked(run, monkeypatch):
    submit(run, ("compile", "1", 0, ""), ("compile", "5", 0, ""))
    lives = Answer(
        {("1", None): SchedulerJob("running", "RUNNING"), ("5", None): SchedulerJob("ended", "FAILED")}
    )
    entry = told_of(run, lives, monkeypatch)
    assert (entry.state, entry.job) == ("running", "1")
    both = Answer({(job, None): SchedulerJob("running", "RUNNING") for job in ("1", "5")})
    told_of(run, both, monkeypatch)
    assert active_jobs(run) == ["1", "5"]


@pytest.mark.parametrize(
    ("ago", "named", "state", "job"),
    [
        (10, {}, "waiting", ""),
        (1000, {}, "not submitted", ""),
        (1000, {"compile-0a1b2c": "5"}, "waiting", "5"),
    ],
)
def test_a_submission_that_was_interrupted_is_looked_for_by_its_name(
    ago, named, state, job, run, monkeypatch
):
    submit(run, ("compile", "", 0, ""), ago=ago, name="compile-0a1b2c")
    monkeypatch.setattr(follow, "jobs_named", lambda scheduler, names: named)
    waits = Answer({("5", None): SchedulerJob("waiting", "PENDING")} if named else {})
    entry = told_of(run, waits, monkeypatch)
    assert (entry.state, entry.job) == (state, job)
    assert active_jobs(run) == ([job] if job else [])


@pytest.mark.parametrize("phase", ["ended", None])
def test_what_was_rolled_back_is_cancelled(phase, run, monkeypatch):
    submit(run, ("models", "4", 0, ""), name="models-0a1b2c")
    submit(run, ("compile", "", 0, ""), name="compile-0a1b2c")
    (run / "jobs" / "cancelled").write_text("4\ncompile-0a1b2c\n", encoding="utf-8")
    answer = Answer({("4", None): SchedulerJob(phase, "ENDED")} if phase else {})
    monkeypatch.setattr(follow, "jobs_named", lambda scheduler, names: {})
    assert told_of(run, answer, monkeypatch, "models").state == "cancelled"
    assert told_of(run, answer, monkeypatch, "compile").state == "not submitted"


def test_use_of_what_was_asked_for(run, monkeypatch):
    monkeypatch.setattr(
        follow,
        "ask",
        lambda name, ids, recent: Answer({("4", None): SchedulerJob("ended", "COMPLETED", max_rss_mb=3)}),
    )
    task.begin(run, "models", "4", "node1")
    usage = run / ".models.partial" / "usage"
    usage.mkdir()
    for rank, node in enumerate(("n1", "n1", "n2")):
        (usage / f"{rank}.json").write_text(json.dumps({"host": node, "max_rss_kb": 1024 * 500}))
    task.end(run, "models", 0, "")
    submit(run, ("models", "4", 0, ""))
    follow.record(follow.follow(Run.open(run)))
    kept = RunFolder(run).load().jobs["models"]
    assert kept["state"] == "done"
    assert (kept["max_rss_mb"], kept["node_mb"], kept["efficiency"]["memory"]) == (500, 1000, 0.5)


def test_digests_of_what_was_compiled_are_kept(run):
    assert task.begin(run, "compile", "1", "node1") == 0
    circuit = write_circuit(run / ".compile.partial" / "cerebellum.hdf5")
    expected = read_digests(circuit).record()
    (circuit.parent / FINISHED).touch()
    assert task.end(run, "compile", 0, "") == 0
    follow.record(follow.follow(Run.open(run)))
    assert RunFolder(run).load().digests == expected


def test_what_is_missing_is_named_for_submit(run):
    missing = [
        planned for planned in tasks_of(run) if planned.name in ("compile", "simulate-0", "simulate-2")
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

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    for absent in ("squeue", "sacct", "scancel"):  # whatever this machine has
        write(absent, DOWN)
    return write


def test_a_scheduler_that_is_not_here_makes_unknown(run, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    submit(run, ("compile", "1", 0, ""))
    told = {entry.task: entry for entry in statuses_of(run)}
    assert (told["compile"].state, told["compile"].active) == ("unknown", True)
    assert "no squeue here" in told["compile"].detail
    assert told["report"].state == "not submitted"


SUBMITTED = """shift $(($# - 1)); echo "$1" >>asked; echo 8"""


@pytest.mark.parametrize(
    ("asked", "submits", "says"),
    [
        ((), ["simulate", "report"], ""),
        (("report", "simulate=1,0", "compile"), ["simulate", "report"], ""),
        (("compile", "models"), [], "models, compile: done before; nothing is submitted"),
        (("simulate=0",), [], "simulate-0: done before; nothing is submitted"),
    ],
)
def test_only_what_is_missing_of_what_was_asked_for_is_submitted(asked, submits, says, run, cli, commands):
    task.begin(run, "models", "1", "n1")
    task.end(run, "models", 0, "")
    expected = {planned.name for planned in tasks_of(run)} - {"simulate-1", "simulate-2", "report"}
    make_circuit(run)
    make_results(run, "basal_activity", "basal_activity")
    done = {entry.task for entry in statuses_of(run) if entry.state == "done"}
    assert done == expected
    commands("squeue", "")
    commands("sacct", "")
    commands("sbatch", SUBMITTED)
    ended = cli("jobs", "submit", str(run), *asked, PATH=f"{run}/bin:/usr/bin:/bin")
    assert ended.returncode == 0, ended.stderr
    assert says in ended.stdout
    asked_for = (run / "asked").read_text().split() if submits else []
    assert list(dict.fromkeys(asked_for)) == [f"jobs/{stage}.sh" for stage in submits]
    assert (run / "asked").exists() == bool(submits)


@pytest.mark.parametrize("verb", ["submit", "resume"])
def test_what_may_still_run_is_not_submitted_again(verb, run, cli, commands):
    submit(run, ("compile", "7", 0, ""))
    commands("squeue", DOWN)
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
    assert [each.name for each in follow.missing(tasks_of(run), done)] == still


@pytest.mark.parametrize("content", ['{"site": 5}', "5", "[" * 30_000, "{}"])
def test_a_plan_that_is_none(content, run):
    (run / "jobs" / "plan.json").write_text(content)
    with pytest.raises(UserError, match="is not a job plan"):
        statuses_of(run)


def test_a_record_that_cannot_be_written_does_not_hide_the_table(run, cli):
    (run / "run.json").write_text("[]")
    done = cli("jobs", "status", str(run))
    assert done.returncode == 0
    assert "not submitted" in done.stdout and "not brought up to date" in done.stderr


def test_commands_that_are_shown_can_be_pasted():
    assert how_to_submit(Path("x;touch y"), "local") == "next: cerebellar-models jobs submit 'x;touch y'"


def test_results_of_other_threads_than_asked_for_are_to_be_submitted_whoever_is_silent(run, monkeypatch):
    asked = json.loads((run / "jobs" / "plan.json").read_text())
    asked["options"]["threads"] = 4
    (run / "jobs" / "plan.json").write_text(json.dumps(asked))
    simulated = Run.open(run).task("simulate-0")
    make_circuit(run)
    make_results(run, simulated.folder, simulated.simulation)
    proof = run / "results" / simulated.folder / "complete.json"
    proof.write_text(json.dumps(json.loads(proof.read_text()) | {"threads": 2}))
    submit(run, ("simulate", "5", 0, "0-1"))
    mark(run, "simulate-0", "done", "5_0", time.time())
    entry = told_of(run, Answer({}, "squeue: down"), monkeypatch, "simulate-0")
    assert (entry.state, entry.detail) == ("not submitted", "its results are of 2 threads, not 4")
    assert not entry.active
