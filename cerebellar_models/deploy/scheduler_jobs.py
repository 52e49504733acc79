"""What the scheduler says about jobs, and whether it says anything at all.

Reading what its commands print is pure; `ask` is the one place that calls them.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# States of a scheduler by what they mean for us; every other one is an end.
WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "Q", "H", "W", "S", "T", "B"}
RUNNING = {"RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "R", "E"}
# PBS writes a job that ended at its walltime so.
_PBS_WALLTIME = -29
# A controller that is overloaded answers late; its commands give up by themselves, most after this time.
_PATIENCE_S = 120
# How schedulers say that they have forgotten a job, which is an answer, too.
_FORGOTTEN = re.compile(r"Invalid job id|Unknown Job Id|Job has finished", re.IGNORECASE)
# For SLURMs that do not write JSON: job, array, index, state, reason, nodes.
_SQUEUE_FORMAT = "%A|%F|%K|%T|%r|%N"

Key = tuple[str, int | None]
"""A job as the scheduler names it, and its index in an array"""


class NoAnswerError(Exception):
    """The scheduler's command is not here, failed, or printed what cannot be read; the message says which."""


@dataclass(frozen=True)
class SchedulerJob:
    """A job or a part of an array, as its scheduler sees it."""

    state: str
    reason: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    max_rss_mb: float | None = None
    """of the largest rank, as sampled"""
    hosts: str = ""


@dataclass(frozen=True)
class Answer:
    """What is known of jobs; those that are not in it are forgotten, or, where something is silent, unknown."""

    jobs: dict[Key, SchedulerJob]
    silent: str = ""
    """why the scheduler has not answered"""


def ask(scheduler: str, ids: list[str]) -> Answer:
    """What the scheduler says about these jobs."""
    if not ids or scheduler == "local":
        return Answer({})
    try:
        found = _ask_pbs(ids) if scheduler == "pbs" else _ask_slurm(ids)
    except NoAnswerError as error:
        return Answer({}, str(error))
    return Answer({key: job for key, job in found.jobs.items() if key[0] in ids}, found.silent)


def _ask_slurm(ids: list[str]) -> Answer:
    """The queue decides what is on its way; accounting, which a cluster may do without, tells how jobs ended."""
    known: dict[Key, SchedulerJob] = {}
    accounting = ""
    try:
        known = read_sacct(_json(["sacct", "--json", "--jobs", ",".join(ids)]))
    except NoAnswerError as error:
        accounting = str(error)
    try:
        return Answer(known | _squeue(ids, known))
    except NoAnswerError as error:
        return Answer(known, f"{error}; {accounting}" if accounting else str(error))


def _squeue(ids: list[str], known: dict[Key, SchedulerJob]) -> dict[Key, SchedulerJob]:
    jobs = ",".join(ids)
    try:
        return read_squeue(_json(["squeue", "--json", "--jobs", jobs]), keep=known)
    except NoAnswerError:
        command = [
            "squeue",
            "--noheader",
            "--array",
            "--states=all",
            "--format",
            _SQUEUE_FORMAT,
            "--jobs",
            jobs,
        ]
        return read_squeue_lines(_output(command), keep=known)


def _ask_pbs(ids: list[str]) -> Answer:
    try:
        return Answer(read_qstat(_json(["qstat", "-xtf", "-F", "json", *ids])))
    except NoAnswerError as error:
        if "history" not in str(error):
            raise
    return Answer(read_qstat(_json(["qstat", "-tf", "-F", "json", *ids])))  # a server that keeps none


def _json(command: list[str]) -> dict[str, Any]:
    """:raises NoAnswerError: no JSON."""
    text = _output(command)
    if not text.strip():
        return {}
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise NoAnswerError(f"{command[0]} printed no JSON")
    return content


def _output(command: list[str]) -> str:
    """What a command printed; nothing or less where jobs are forgotten.

    :raises NoAnswerError: it is not here, or failed.
    """
    if shutil.which(command[0]) is None:
        raise NoAnswerError(f"no {command[0]} here")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoAnswerError(f"{command[0]} does not answer ({type(error).__name__})") from error
    said = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode != 0 and not (said and all(_FORGOTTEN.search(line) for line in said)):
        reason = said[-1].strip() if said else f"status {done.returncode}"
        raise NoAnswerError(reason if reason.startswith(command[0]) else f"{command[0]}: {reason}")
    return done.stdout


def read_squeue_lines(text: str, keep: dict[Key, SchedulerJob] | None = None) -> dict[Key, SchedulerJob]:
    """``squeue --array`` in the form of `_SQUEUE_FORMAT`, one line for each part of an array."""
    jobs: dict[Key, SchedulerJob] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) != 6:
            continue
        job, array, index, state, reason, nodes = fields
        key = (array, int(index)) if index.isdecimal() else (job, None)
        if not (keep and key in keep and state not in WAITING | RUNNING):
            jobs[key] = SchedulerJob(state, "" if reason == "None" else reason, hosts=nodes)
    return jobs


def read_squeue(
    content: dict[str, Any], keep: dict[Key, SchedulerJob] | None = None
) -> dict[Key, SchedulerJob]:
    """``squeue --json`` of SLURM 22.05 and later, which still knows jobs that ended some minutes ago.

    :param keep: jobs about which more is known already; of these, the ones that ended are left alone.
    """
    jobs: dict[Key, SchedulerJob] = {}
    for job in content.get("jobs", ()):
        state = _first(job.get("job_state"))
        reason = str(job.get("state_reason") or "")
        found = SchedulerJob(state, "" if reason == "None" else reason, hosts=str(job.get("nodes") or ""))
        for key in _slurm_keys(
            job, job.get("array_job_id"), job.get("array_task_id"), job.get("array_task_string")
        ):
            if keep and key in keep and state not in WAITING | RUNNING:
                continue
            jobs[key] = found
    return jobs


def read_sacct(content: dict[str, Any]) -> dict[Key, SchedulerJob]:
    """``sacct --json`` of SLURM 21.08 and later."""
    jobs: dict[Key, SchedulerJob] = {}
    for job in content.get("jobs", ()):
        array, state = job.get("array") or {}, job.get("state") or {}
        reason, current = str(state.get("reason") or ""), _first(state.get("current"))
        found = SchedulerJob(
            current,
            "" if reason == "None" else reason,
            _exit_code(current, job),
            (job.get("time") or {}).get("elapsed"),
            _max_rss_mb(job.get("steps") or ()),
            str(job.get("nodes") or ""),
        )
        for key in _slurm_keys(job, array.get("job_id"), array.get("task_id"), array.get("task")):
            jobs[key] = found
    return jobs


def _exit_code(state: str, job: dict[str, Any]) -> int | None:
    """None for the 0 that 22.05 gives of jobs that failed, too."""
    code = _number((job.get("exit_code") or {}).get("return_code"))
    return code if code or state == "COMPLETED" else None


def _slurm_keys(job: dict[str, Any], array: Any, index: Any, waiting: Any) -> list[Key]:
    array_id, task = _number(array), _number(index)
    if array_id and waiting:  # the part of an array that has not begun is one entry
        return [(str(array_id), number) for number in _waiting_indices(str(waiting))]
    return [(str(array_id), task)] if array_id else [(str(job["job_id"]), None)]


def _waiting_indices(text: str) -> list[int]:
    numbers: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text.split("%")[0]):
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _max_rss_mb(steps: Iterable[dict[str, Any]]) -> float | None:
    counts = [
        resource["count"]
        for step in steps
        for resource in step.get("tres", {}).get("requested", {}).get("max", ())
        if resource.get("type") == "mem"
    ]
    largest = max((_number(count) or 0 for count in counts), default=0)
    return round(largest / 1024**2, 1) or None


def _first(value: Any) -> str:
    """A state, which later versions give as a list."""
    return str(value[0] if isinstance(value, list) and value else value or "")


def _number(value: Any) -> int | None:
    """A number, which later versions give with whether it is set."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") else None
    return value if isinstance(value, int) else None


def read_qstat(content: dict[str, Any]) -> dict[Key, SchedulerJob]:
    """``qstat -xtf -F json`` of OpenPBS and PBS Professional."""
    jobs: dict[Key, SchedulerJob] = {}
    for name, job in (content.get("Jobs") or {}).items():
        used = job.get("resources_used") or {}
        code = job.get("Exit_status")
        state = str(job.get("job_state") or "")
        if state in ("F", "X"):
            state = "TIMEOUT" if code == _PBS_WALLTIME else "CANCELLED" if code is None else "ENDED"
        hosts = "+".join(
            dict.fromkeys(part.split("/")[0] for part in str(job.get("exec_host") or "").split("+"))
        )
        found = SchedulerJob(
            state,
            str(job.get("comment") or ""),
            code,
            _seconds_of(used.get("walltime")),
            hosts=hosts,
        )
        jobs[_pbs_key(name)] = found
    return jobs


def _pbs_key(name: str) -> Key:
    part = re.fullmatch(r"(\d+)\[(\d+)\](.*)", name)
    return (f"{part[1]}[]{part[3]}", int(part[2])) if part else (name, None)


def _seconds_of(walltime: str | None) -> float | None:
    if not walltime:
        return None
    hours, minutes, seconds = (int(part) for part in walltime.split(":"))
    return float(3600 * hours + 60 * minutes + seconds)
