"""What the schedulers' commands print, and what is made of it: samples of SLURM 22.05 and of OpenPBS 23.06."""

import json
from pathlib import Path

import pytest

from cerebellar_models.jobs.schedulers import (
    Answer,
    SchedulerJob,
    ask,
    jobs_named,
    pbs,
    scheduler,
    slurm,
)
from cerebellar_models.jobs.schedulers.pbs import read_qstat
from cerebellar_models.jobs.schedulers.slurm import read_sacct, read_squeue, read_squeue_lines

HERE = Path(__file__).parent
QSTAT = (HERE / "qstat-23.06.txt").read_text(encoding="utf-8")


def sample(name: str) -> dict:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def test_squeue():
    jobs = read_squeue(sample("squeue-22.05.json"))
    assert jobs["44", None] == SchedulerJob("ended", "COMPLETED", hosts="node[1-2]")
    assert jobs["45", 0] == jobs["45", 1]
    assert jobs["45", 0] == SchedulerJob("ended", "FAILED", "NonZeroExitCode", hosts="node[1-2]")
    assert jobs["46", None] == SchedulerJob("cancelled", "CANCELLED", "DependencyNeverSatisfied")
    # The part of an array that waits is one entry.
    assert [jobs["52", index].phase for index in range(3)] == ["waiting"] * 3


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
    part = {"array_job_id": {"set": True, "number": 5}, "array_task_id": {"set": True, "number": 0}}
    jobs = read_squeue({"jobs": [job | {"array_job_id": unset, "array_task_id": unset}, job | part]})
    assert set(jobs) == {("7", None), ("5", 0)}
    assert jobs["7", None] == SchedulerJob("running", "RUNNING", hosts="n1")


# Every word of the manuals, and where several stand together, what they mean.
PHASES: dict[str, list[str | list[str]]] = {
    "waiting": [
        "PENDING",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "RESV_DEL_HOLD",
        "SPECIAL_EXIT",
        "SUSPENDED",
        ["PENDING", "RESV_DEL_HOLD"],
        ["PENDING", "LAUNCH_FAILED", "REQUEUE_HOLD"],
    ],
    "running": [
        "RUNNING",
        "COMPLETING",
        "CONFIGURING",
        "POWER_UP_NODE",
        "RESIZING",
        "REVOKED",
        "SIGNALING",
        "STAGE_OUT",
        "STOPPED",
        ["COMPLETED", "COMPLETING"],
        ["RUNNING", "RECONFIG_FAIL"],
    ],
    "ended": [
        "BOOT_FAIL",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "TIMEOUT",
        ["FAILED", "LAUNCH_FAILED"],
    ],
    "cancelled": ["CANCELLED", "CANCELLED by 1000"],
    "unknown": ["LAUNCH_FAILED", "RECONFIG_FAIL", "UPDATE_DB", "EXPEDITING", "NEW_WORD", "", ["NEW_WORD"]],
}


@pytest.mark.parametrize(
    ("phase", "word"), [(phase, word) for phase, words in PHASES.items() for word in words]
)
def test_every_word_of_slurm(phase, word):
    (job,) = read_squeue({"jobs": [{"job_id": 7, "job_state": word}]}).values()
    assert (job.phase, job.active) == (phase, phase not in ("ended", "cancelled"))
    if isinstance(word, str) and word:
        assert read_squeue_lines(f"7|7|N/A|{word}|None|n1")["7", None].phase == phase
        assert read_sacct({"jobs": [{"job_id": 7, "state": {"current": word}}]})["7", None].phase == phase


@pytest.mark.parametrize(
    ("letters", "phase"),
    [("QHWTMSU", "waiting"), ("REB", "running"), ("FXC", "ended"), ("Z?", "unknown")],
)
def test_every_letter_of_pbs(letters, phase):
    for letter in letters:
        text = f"Job Id: 7.pbs\n    job_state = {letter}\n    Exit_status = 1\n"
        assert read_qstat(text)["7.pbs", None].phase == phase, letter


def test_a_word_stands_in_one_set():
    sets = [slurm.WAITING, slurm.RUNNING, slurm.ENDED, {slurm.CANCELLED}]
    assert len(set().union(*sets)) == sum(map(len, sets))
    assert len(pbs.WAITING | pbs.RUNNING | pbs.ENDED) == len(pbs.WAITING) + len(pbs.RUNNING) + len(pbs.ENDED)


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("0-2,5", [0, 1, 2, 5]),
        ("0-6:2,9%3", [0, 2, 4, 6, 9]),
        ("0-60:30", [0, 30, 60]),
        (",".join(map(str, range(0, 900, 3))), list(range(0, 900, 3))),
    ],
)
def test_the_part_of_an_array_that_waits(text, indices):
    job = {"job_id": 5, "job_state": "PENDING", "array_job_id": 5, "array_task_string": text}
    assert [index for _, index in read_squeue({"jobs": [job]})] == indices


def test_sacct():
    jobs = read_sacct(sample("sacct-22.05.json"))
    # Each rank held 200 MB.
    memory = pytest.approx(213, abs=1)
    assert jobs["1", 0] == SchedulerJob("ended", "COMPLETED", "", 0, 7, memory, "node[1-2]")
    # It ended with 3, which this version writes as 0.
    assert (jobs["2", None].state, jobs["2", None].exit_code) == ("FAILED", None)
    never = {"job_id": 7, "state": {"current": "CANCELLED"}, "nodes": "None assigned"}
    assert read_sacct({"jobs": [never]})["7", None].hosts == ""


def test_qstat():
    jobs = read_qstat(QSTAT)
    assert jobs["10.pbs", None] == SchedulerJob("running", "R", seconds=65.0, hosts="n1+n2")
    assert jobs["11[].pbs", None].phase == "running"
    assert jobs["11[].pbs", 3] == SchedulerJob("ended", "ENDED", "Subjob finished", exit_code=0)
    assert (jobs["12.pbs", None].phase, jobs["12.pbs", None].state) == ("ended", "TIMEOUT")
    # Of what it waited for, something failed; deleted while it ran; deleted alone of an array that waits.
    assert [jobs[key].phase for key in (("13.pbs", None), ("14.pbs", None), ("11[].pbs", 1))] == [
        "cancelled"
    ] * 3
    assert jobs["14.pbs", None].reason == "Job run at Thu Nov 26 at 18:08 on (node1:ncpus=1) and terminated"


@pytest.mark.parametrize("read", [read_squeue, read_sacct])
def test_no_answer_is_no_jobs(read):
    assert read({}) == {}


@pytest.mark.parametrize(
    ("name", "written", "key", "text"),
    [
        ("slurm", "9_0", ("9", 0), "9_0"),
        ("slurm", "9", ("9", None), "9"),
        ("slurm", "", ("9;cm2", 1), "9_1"),
        ("slurm", "", ("9;cm2", None), "9"),
        ("pbs", "33[0].server", ("33[].server", 0), "33[0].server"),
        ("pbs", "33.server", ("33.server", None), "33.server"),
        ("pbs", "33[].server", ("33[].server", None), "33[].server"),
        ("local", "4711", ("4711", None), "4711"),
    ],
)
def test_ids_are_shown_as_the_schedulers_commands_take_them(name, written, key, text):
    assert scheduler(name).shown(key) == text
    if written:
        assert scheduler(name).key_of(written) == key


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts scripts in place of the scheduler's commands, and no others; what they are given is in ``asked``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name: str, script: str) -> None:
        (folder / name).write_text(
            f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/asked\n{script}\n', encoding="utf-8"
        )
        (folder / name).chmod(0o755)

    for absent in ("squeue", "sacct", "qstat", "qselect"):  # whatever this machine has
        write(absent, f"echo '{absent}: error: down' >&2; exit 1")
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
        (
            """printf '{"jobs": [{"job_id": 7, "job_state": "RUNNING", "x": "\\334"}]}'""",
            ENDED,
            "RUNNING",
            "",
        ),
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
        assert answer.jobs["8", 1] == SchedulerJob("waiting", "PENDING", "Resources")


# What a cache in front of the controller prints of a job it does not have yet.
NOTHING = "case $* in *--json*) echo '{\"jobs\": []}';; esac"


@pytest.mark.parametrize(("squeue", "forgotten"), [(NOTHING, set()), (f"{NOTHING}\n{FORGOTTEN}", {"7"})])
def test_only_slurm_itself_can_say_that_there_is_no_such_job(commands, squeue, forgotten):
    commands("squeue", squeue)
    commands("sacct", NO_ACCOUNTING)
    assert ask("slurm", ["7"], recent=["7"]) == Answer({}, "", frozenset(forgotten))
    assert ask("slurm", ["7"]).forgotten == frozenset()  # it was not asked for


def test_one_that_slurm_has_forgotten_does_not_hide_the_others(commands):
    """Were a list of jobs refused for one of them."""
    commands("sacct", NO_ACCOUNTING)
    commands(
        "squeue",
        f"""case $* in *7,8*) {FORGOTTEN};; *8*) {FORGOTTEN};; esac
echo '{{"jobs": [{{"job_id": 7, "job_state": "RUNNING"}}]}}'""",
    )
    answer = ask("slurm", ["7", "8"])
    assert (set(answer.jobs), answer.silent) == ({("7", None)}, "")


def test_each_cluster_is_asked_for_its_own(commands, tmp_path):
    commands("sacct", NO_ACCOUNTING)
    commands(
        "squeue",
        """case $* in
*cm2*--json*) echo '{"jobs": [{"job_id": 7, "job_state": "PENDING"}]}' ;;
*--json*) echo '{"jobs": [{"job_id": 7, "job_state": "FAILED"}]}' ;;
*cm2,cm4*--name*) echo 'CLUSTER: cm4'; echo '8|report-2' ;;
*cm2*--name*) echo '7|compile-1' ;;
esac""",
    )
    answer = ask("slurm", ["7", "7;cm2"])
    assert {key: job.state for key, job in answer.jobs.items()} == {
        ("7", None): "FAILED",
        ("7;cm2", None): "PENDING",
    }
    names = {"compile-1": "cm2", "report-2": "cm2,cm4", "models-3": "cm2"}
    assert jobs_named("slurm", names) == {"compile-1": "7;cm2", "report-2": "8;cm4"}
    assert slurm.cancel_commands(["7", "8;cm2", "9;cm2"]) == [
        ["scancel", "7"],
        ["scancel", "--clusters", "cm2", "8", "9"],
    ]
    assert "sacct --clusters cm2 --json --jobs 7\n" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("name", "asking", "wrong", "kept"),
    [
        (
            "slurm",
            ("squeue", "sacct"),
            ("SQUEUE_USERS", "SQUEUE_FORMAT", "SLURM_CLUSTERS", "SACCT_FORMAT"),
            "SLURM_BITSTR_LEN=0 SLURM_CONF=needed",
        ),
        ("pbs", ("qstat",), ("PBS_DPREFIX", "PBS_QSTAT_FORMAT"), "PBS_CONF_FILE=needed"),
    ],
)
def test_variables_of_the_users_do_not_change_what_is_asked(commands, monkeypatch, name, asking, wrong, kept):
    for variable in wrong:
        monkeypatch.setenv(variable, "wrong")
    for variable in ("SLURM_CONF", "PBS_CONF_FILE"):
        monkeypatch.setenv(variable, "needed")
    own = "SLURM|SQUEUE|SACCT" if name == "slurm" else "PBS"
    for command in asking:
        commands(command, f'env | grep -E "^({own})_" | sort | paste -sd " " >&2; exit 1')
    said = ask(name, ["7"]).silent
    assert kept in said
    assert "wrong" not in said


RUNNING = "printf 'Job Id: 7.pbs\\n    job_state = R\\n    comment = \\334n\\303\\257 文 00123 \\\\,\\n'"


@pytest.mark.parametrize(
    ("qstat", "state", "silent", "forgotten"),
    [
        ("echo 'Connection refused' >&2; exit 111", None, True, set()),
        ("echo 'qstat: Unknown Job Id 7.pbs' >&2; exit 153", None, False, {"7.pbs"}),
        # As JSON, it would print none.
        (f"case $* in *json*) echo '{{\"Jobs\": 00123\\,'; exit 0;; esac\n{RUNNING}", "R", False, set()),
        (
            "case $1 in -xtf) echo 'PBS is not configured to maintain job history' >&2; exit 1;; esac\n"
            + RUNNING,
            "R",
            False,
            set(),
        ),
        (f"{RUNNING}\necho 'qstat: Unknown Job Id 8.pbs' >&2; exit 153", "R", False, {"8.pbs"}),
    ],
)
def test_a_pbs_that_does_not_answer_is_told_from_one_that_has_forgotten(
    commands, qstat, state, silent, forgotten
):
    commands("qstat", qstat)
    answer = ask("pbs", ["7.pbs", "8.pbs"])
    job = answer.jobs.get(("7.pbs", None))
    assert ((job.state if job else None), bool(answer.silent), answer.forgotten) == (state, silent, forgotten)


def test_jobs_of_pbs_are_found_by_their_names(commands):
    commands("qselect", '[ "$*" != "-x -N compile-1" ] || echo "33[].pbs"')
    assert jobs_named("pbs", {"compile-1": "", "report-2": ""}) == {"compile-1": "33[].pbs"}
