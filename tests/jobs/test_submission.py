"""jobs/submit.sh: what is in the queue afterwards, whatever happens meanwhile.

Under a real SLURM controller that starts nothing (Debian's slurm-wlm and munge, no root), and under a PBS of shell
scripts that keeps its queue in a folder; see queues.py. What a site adds around a scheduler's command is played by a
script before it on PATH.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from asking import statuses_of
from queues import Site
from support import command_line

from cerebellar_models.jobs import follow
from cerebellar_models.runs.submissions import submitted


def states(at: Site, run: Path, monkeypatch) -> dict[str, follow.TaskStatus]:
    for name, value in at.environment.items():
        monkeypatch.setenv(name, value)
    return {entry.task: entry for entry in statuses_of(run)}


STAGES = ["compile", "models", "report", "simulate"]


def test_submitting_twice_in_a_row_leaves_nothing_twice_in_the_queue(at, new_run):
    run = new_run(at.scheduler)
    first = at.submit(run)
    assert first.returncode == 0, first.stderr
    queue = at.queue()
    assert sorted(queue.values()) == STAGES
    assert {line.job for line in submitted(run)} == set(queue)
    again = at.submit(run)
    assert again.returncode == 2
    assert "waits or runs already" in again.stderr and len(again.stderr.splitlines()) == 1
    assert at.queue() == queue and not (run / "jobs" / "submit.lock").is_symlink()


def test_submitting_twice_at_once_leaves_nothing_twice_in_the_queue(at, new_run):
    run = new_run(at.scheduler)
    command = ["bash", str(run / "jobs" / "submit.sh")]
    both = [
        subprocess.Popen(
            command, env=at.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    assert sorted(at.queue().values()) == STAGES


# What is printed before and after the id is no part of it.
BANNER = """echo 'Welcome to the 1st of 2 centres'; echo 4711 core hours left
real "$@" || exit
echo 'Have a nice day.'"""


def test_what_a_site_prints_around_an_id_is_no_part_of_it(at, new_run):
    at.before(at.submitter, BANNER)
    run = new_run(at.scheduler)
    done = at.submit(run)
    assert done.returncode == 0, done.stderr
    assert {line.job for line in submitted(run)} == set(at.queue())
    assert sorted(at.queue().values()) == STAGES


LATE = """[[ $* != *jobs/compile.sh ]] || {
  real "$@" >/dev/null; echo 'Socket timed out on send/recv operation' >&2; exit 1
}
real "$@" """


def test_what_fails_after_it_has_submitted_is_found_by_its_name(at, new_run):
    at.before(at.submitter, LATE)
    run = new_run(at.scheduler)
    done = at.submit(run)
    assert done.returncode == 0, done.stderr
    assert sorted(at.queue().values()) == STAGES
    assert {line.job for line in submitted(run)} == set(at.queue())


REFUSED = """[[ $* != *jobs/simulate.sh ]] || { echo 'error: Invalid account' >&2; exit 1; }
real "$@" """
# It submits, does not say so, and the queue does not list it: a cache.
UNSEEN = """[[ $* != *jobs/simulate.sh ]] || { real "$@" >/dev/null; exit 1; }
real "$@" """
TERMINATED = """[[ $* != *jobs/simulate.sh ]] || { real "$@" >/dev/null; kill -TERM $MAIN; exit 1; }
real "$@" """


@pytest.mark.parametrize(("script", "status"), [(REFUSED, 1), (TERMINATED, 143)])
def test_a_submission_that_fails_leaves_nothing_in_the_queue(script, status, at, new_run, monkeypatch):
    at.before(at.submitter, script)
    run = new_run(at.scheduler)
    done = at.submit(run)
    assert done.returncode == status, done.stderr
    assert "nothing of this submission is left in the queue" in done.stderr
    assert at.queue() == {}
    told = states(at, run, monkeypatch)
    assert [told[name].state for name in ("models", "compile")] == ["cancelled", "cancelled"]
    assert told["report"].state == "not submitted"
    # SLURM still lists what it was made of.
    assert told["simulate-0"].state == (
        "cancelled" if (at.scheduler, status) == ("slurm", 143) else "not submitted"
    )
    (at.wrappers / at.submitter).unlink()
    assert at.submit(run).returncode == 0
    assert sorted(at.queue().values()) == STAGES


def test_what_a_cache_hides_is_rolled_back_all_the_same(slurm, new_run):
    slurm.before("sbatch", UNSEEN)
    slurm.before("squeue", "exit 0")
    assert slurm.submit(new_run()).returncode == 1
    assert slurm.queue() == {}


KILLED = """real "$@"; [[ $* != *jobs/compile.sh ]] || kill -KILL $MAIN"""


def test_a_submission_that_was_killed_is_found_by_its_names(at, new_run, monkeypatch):
    at.before(at.submitter, KILLED)
    run = new_run(at.scheduler)
    assert at.submit(run).returncode == -9
    (at.wrappers / at.submitter).unlink()
    queue = at.queue()
    assert sorted(queue.values()) == ["compile", "models"]
    told = states(at, run, monkeypatch)
    assert told["compile"].state == "waiting"
    assert told["compile"].job == next(job for job, name in queue.items() if name == "compile")
    again = at.submit(run)  # what it left, its lock, too, is of a process that is gone
    assert again.returncode == 2 and "waits or runs already" in again.stderr
    cancelled = command_line("jobs", "cancel", str(run), cwd=run, **at.environment)
    assert cancelled.returncode == 0, cancelled.stderr
    assert at.queue() == {}


def test_a_scheduler_that_does_not_answer_is_not_submitted_to(at, new_run):
    run = new_run(at.scheduler)
    assert at.submit(run, "compile").returncode == 0
    queue = at.queue()
    at.before(at.lister, "echo 'unable to contact the controller' >&2; exit 1")
    known = run / "jobs" / "submitted.tsv"
    for lines in (
        known.read_text(),
        known.read_text().splitlines(keepends=True)[0],
    ):  # its job, or its name alone
        known.write_text(lines, encoding="utf-8")
        again = at.submit(run, "compile")
        assert again.returncode == 2
        assert "unable to contact" in again.stderr and len(again.stderr.splitlines()) == 1
    assert at.queue() == queue


def test_what_a_cache_does_not_list_yet_is_not_submitted_again(slurm, new_run, monkeypatch):
    run = new_run()
    assert slurm.submit(run).returncode == 0
    slurm.before("squeue", "[[ $* != *--json* ]] || echo '{\"jobs\": []}'")
    told = states(slurm, run, monkeypatch)
    assert {entry.state for entry in told.values()} == {"waiting"}
    for refused in (
        slurm.submit(run),
        command_line("jobs", "resume", str(run), cwd=run, **slurm.environment),
    ):
        assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert sorted(slurm.queue().values()) == STAGES


def test_what_slurm_says_has_ended_or_never_was_does_not_hold_a_submission_up(slurm, new_run):
    run = new_run()
    assert slurm.submit(run, "compile").returncode == 0
    slurm.bash(f"scancel {' '.join(slurm.queue())}", run)
    with (run / "jobs" / "submitted.tsv").open("a", encoding="utf-8") as file:
        print("models", "999999", 0, "", 4_000_000_000, sep="\t", file=file)  # as earlier versions wrote it
    done = slurm.submit(run, "compile")
    assert done.returncode == 0, done.stderr


def test_one_job_that_is_forgotten_does_not_hide_the_others(slurm, new_run):
    """Were a list of jobs refused for one of them."""
    run = new_run()
    assert slurm.submit(run, "compile", "models").returncode == 0
    slurm.before(
        "squeue", "[[ $* != *--jobs=*,* ]] || { echo 'Invalid job id specified' >&2; exit 1; }\nreal \"$@\""
    )
    again = slurm.submit(run)
    assert again.returncode == 2 and "waits or runs already" in again.stderr


@pytest.mark.parametrize(
    ("holder", "status"),
    [
        (f"{os.uname().nodename} 999999999", 0),
        ("elsewhere 1", 2),
        (f"{os.uname().nodename} {os.getpid()}", 0),
    ],
    ids=["of nobody", "elsewhere", "of another's process"],
)
def test_a_lock_is_of_a_process_that_may_still_submit(holder, status, pbs, new_run):
    """One that is gone, or is about something else, holds nothing; of another machine's, nobody here can tell."""
    run = new_run("pbs")
    (run / "jobs" / "submit.lock").symlink_to(holder)
    done = pbs.submit(run)
    assert done.returncode == status, done.stderr
    assert (run / "jobs" / "submit.lock").is_symlink() == bool(status)
    if status:
        again = command_line("jobs", "submit", str(run), cwd=run, **pbs.environment)
        for refused in (done, again):
            assert "process 1 on elsewhere" in refused.stderr and len(refused.stderr.splitlines()) == 1
        assert again.returncode == 2


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        (("report", "simulate"), ["simulate", "report"]),
        (("compile", "compile", "models"), ["models", "compile"]),
        (("simulate=1,0,1", "report", "simulate=0"), ["simulate", "report"]),
        (("simulate=1", "simulate"), ["simulate"]),
    ],
)
def test_stages_are_submitted_once_each_and_in_order(asked, order, slurm, new_run):
    run = new_run()
    assert slurm.submit(run, *asked).returncode == 0
    lines = submitted(run)
    assert [line.stage for line in lines] == order
    assert all(
        line.indices == ((0,) if line.name.startswith("simulate=1") else (0, 1))
        for line in lines
        if line.indices
    )
    if "report" in order:
        shown = slurm.bash(f"scontrol show job {lines[-1].job}", run).stdout
        assert f"Dependency=afterok:{lines[0].job}" in shown


@pytest.mark.parametrize(
    ("limit", "asked", "arrays"),
    [
        (None, "simulate=0,1,2,3,4,5,6", {0: range(7)}),
        (None, "simulate=1,2,4", {1: range(2), 4: ()}),
        (None, "simulate=3,6,5", {3: (), 5: range(2)}),
        (3, "simulate=1,2,3,4,5,6", {1: range(3), 4: range(3)}),
        (1, "simulate=0,1", {0: (), 1: ()}),
    ],
)
def test_tasks_of_pbs_in_a_row_are_an_array(limit, asked, arrays, pbs, new_run):
    """`jobs submit` names the tasks that are not done, as a rule all."""
    run = new_run("pbs", seeds=tuple(range(7)), array_limit=limit)
    done = pbs.submit(run, asked, "report")
    assert done.returncode == 0, done.stderr
    *simulations, report = submitted(run)
    assert {line.offset: line.indices for line in simulations} == {
        offset: tuple(indices) for offset, indices in arrays.items()
    }
    assert all(line.job.endswith("[].pbs") == bool(line.indices) for line in simulations)
    assert f"report: job {report.job} after {':'.join(line.job for line in simulations)}" in done.stdout


def test_stages_run_once_each_and_in_order_here(new_run, pbs):
    run = new_run("local", launcher="none")
    for stage in ("models", "compile", "simulate", "report"):
        (run / "jobs" / f"{stage}.sh").write_text(f"echo {stage} $1 >>ran", encoding="utf-8")
    done = pbs.bash("bash jobs/submit.sh report simulate=1,0,1 compile compile simulate=0", run)
    assert done.returncode == 0, done.stderr
    assert (run / "ran").read_text().splitlines() == ["compile", "simulate 0", "simulate 1", "report"]


def test_every_task_of_a_scattered_array_that_waits_is_told(slurm, new_run, monkeypatch):
    """SLURM cuts the list of those that wait unless asked not to."""
    run = new_run(seeds=(None, *range(1, 120)))
    assert slurm.submit(run, f"simulate={','.join(map(str, range(0, 120, 2)))}").returncode == 0
    told = states(slurm, run, monkeypatch)
    assert [told[f"simulate-{index}"].state for index in range(120)] == ["waiting", "not submitted"] * 60
    (line,) = submitted(run)
    assert told["simulate-118"].job == f"{line.job}_118"


# The arguments without the cluster, which the controller at hand does not know.
WITHOUT_CLUSTER = """args=() skip=''
for each; do
  case $each in --clusters=*) ;; --clusters) skip=1 ;; *) [ -n "$skip" ] || args+=("$each"); skip='' ;; esac
done"""
OTHER_CLUSTER = {
    "sbatch": """script=${@: -1}; set -- "${@:1:$#-1}"
id=$(grep -v -e --clusters "$script" | real "$@") && echo "$id;cm2" """,
    "squeue": f"""[[ $* == *--clusters*cm2* ]] || exit 0
{WITHOUT_CLUSTER}
[[ $* == *--json* ]] || echo 'CLUSTER: cm2'
real "${{args[@]}}" """,
    "scancel": f"""[[ $* == *--clusters*cm2* ]] || exit 1
{WITHOUT_CLUSTER}
real "${{args[@]}}" """,
    "sacct": "exit 1",
}


def test_jobs_on_another_cluster_are_asked_after_and_cancelled_there(slurm, new_run, monkeypatch):
    run = new_run(directives=("--clusters=cm2",))
    for command, script in OTHER_CLUSTER.items():
        slurm.before(command, script)
    assert slurm.submit(run).returncode == 0
    assert all(line.job.endswith(";cm2") for line in submitted(run))
    told = states(slurm, run, monkeypatch)
    assert {entry.state for entry in told.values()} == {"waiting"}
    assert told["simulate-1"].job.endswith("_1") and ";" not in told["simulate-1"].job
    again = slurm.submit(run)
    assert again.returncode == 2 and "waits or runs already" in again.stderr
    cancelled = command_line("jobs", "cancel", str(run), "--json", cwd=run, **slurm.environment)
    assert len(json.loads(cancelled.stdout)["cancelled"]) == 4, cancelled.stderr
    assert slurm.queue() == {}
    assert {entry.state for entry in states(slurm, run, monkeypatch).values()} == {"cancelled"}


def test_jobs_of_another_cluster_are_rolled_back_there(slurm, new_run):
    for command, script in OTHER_CLUSTER.items():
        slurm.before(command, script if command != "sbatch" else f"{REFUSED.splitlines()[0]}\n{script}")
    assert slurm.submit(new_run(directives=("--clusters=cm2",))).returncode == 1
    assert slurm.queue() == {}
