"""SLURM: its commands, words and ids, and how what squeue and sacct print is read, as JSON and as text.

A job is named as ``sbatch --parsable`` answers: ``501``, or ``501;cm2`` where it went to another cluster than the one
at hand, which all other commands then have to be told.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cerebellar_models.jobs.schedulers.common import (
    Answer,
    Directive,
    Key,
    NoAnswerError,
    Phase,
    SchedulerJob,
    Surroundings,
    output,
)
from cerebellar_models.runs.job_plan import JobPlan, JobStage

_CLUSTERS = re.compile(r"(?:--clusters[= ]|-M *)([\w.,-]+)", re.ASCII)
COMMANDS = ("sbatch", "squeue", "scancel")
OPTIONS = ("account", "qos", "constraint", "reservation", "mail")
SURROUNDINGS = Surroundings(
    ("SLURM_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_"),
    ("SLURM_CONF",),
    (("SLURM_BITSTR_LEN", "0"),),  # else squeue and sacct cut the indices of an array at 64 characters
)
JOB_VARIABLES = "SLURM_"
SIGNALS_FIRST = True
ENDS_ALL_OF_A_JOB = True
# Every word of squeue(1) and sacct(1), up to 25.05. Some are flags beside the state itself, which the text form and
# versions up to 22.05 print in its place.
WAITING = {
    "PENDING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESV_DEL_HOLD",  # held, since its reservation was deleted
    "SPECIAL_EXIT",  # requeued and held
    "SUSPENDED",
}
RUNNING = {
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "POWER_UP_NODE",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",  # by SIGSTOP; it keeps its nodes
    "REVOKED",  # another cluster of the federation has started it
}
ENDED = {
    "BOOT_FAIL",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
CANCELLED = "CANCELLED"
OVER = (*sorted(ENDED), CANCELLED)
# What sbatch --parsable answers, as grep -E reads it; sites print more around it.
ID_PATTERN = "[0-9]+(;[A-Za-z0-9_.-]+)?"
# Flags that say nothing of whether a job lives; alone, they are a state we do not know.
_FLAGS = {"LAUNCH_FAILED", "RECONFIG_FAIL", "UPDATE_DB", "EXPEDITING"}
# How the controller says that it knows no such job; only if asked for one alone, and not for a part of an array.
_FORGOTTEN = re.compile(r".*Invalid job id.*", re.IGNORECASE)
# For SLURMs that do not write JSON: job, array, index, state, reason, nodes.
_SQUEUE_FORMAT = "%A|%F|%K|%T|%r|%N"


def directives(plan: JobPlan, stage: JobStage) -> list[Directive]:
    """What the user and the plan chose."""
    options = plan.options
    return [
        ("--account=", "account", options.account),
        ("--partition=", "queue", stage.partition),
        ("--qos=", "qos", stage.qos),
        ("--constraint=", "constraint", options.constraint),
        ("--reservation=", "reservation", options.reservation),
        ("--mail-user=", "mail", options.mail),
        ("--mail-type=", "mail", "END,FAIL" if options.mail else None),
    ]


def more_directives(plan: JobPlan, stage: JobStage, given: Sequence[str]) -> Iterator[str]:
    yield from ()


def job_values(plan: JobPlan, stage: JobStage) -> dict[str, Any]:
    return {}


def submit_values(plan: JobPlan) -> dict[str, Any]:
    """The clusters that a directive sends jobs to, where they have to be asked after."""
    lines = [*plan.site.directives, *plan.options.directives]
    lines += [line for stage in plan.stages for line in stage.directives]
    clusters = [match[1] for line in lines if (match := _CLUSTERS.match(line.strip()))]
    return {"clusters": clusters[-1] if clusters else ""}


def ask(ids: list[str], recent: set[str]) -> Answer:
    """The queue decides what is on its way; accounting, which a cluster may do without, tells how jobs ended."""
    jobs: dict[Key, SchedulerJob] = {}
    silent, forgotten = [], set()
    for cluster, numbers in _by_cluster(ids).items():
        suffix = f";{cluster}" if cluster else ""
        known: dict[Key, SchedulerJob] = {}
        accounting = ""
        try:
            known = read_sacct(_json(["sacct", *_on(cluster), "--json", "--jobs", ",".join(numbers)]))
        except NoAnswerError as error:
            accounting = str(error)
        try:
            known |= _squeue(cluster, numbers, known)
            listed = {key[0] for key in known}
            for number in numbers:
                if f"{number}{suffix}" in recent and number not in listed and _has_forgotten(cluster, number):
                    forgotten.add(f"{number}{suffix}")
        except NoAnswerError as error:
            silent.append(f"{error}; {accounting}" if accounting else str(error))
        jobs |= {(f"{job}{suffix}", index): found for (job, index), found in known.items()}
    return Answer(jobs, "; ".join(silent), frozenset(forgotten))


def _by_cluster(ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for job in ids:
        number, _, cluster = job.partition(";")
        found.setdefault(cluster, []).append(number)
    return found


def _on(cluster: str) -> list[str]:
    return ["--clusters", cluster] if cluster else []


def _has_forgotten(cluster: str, number: str) -> bool:
    """Whether the controller says that there is no such job; a cache that does not list it does not say so."""
    command = ["squeue", *_on(cluster), "--noheader", "--states=all", "--jobs", number]
    return bool(_FORGOTTEN.search(output(SURROUNDINGS, command, _FORGOTTEN)))


def _squeue(cluster: str, numbers: list[str], known: dict[Key, SchedulerJob]) -> dict[Key, SchedulerJob]:
    """One call for all; should it stumble over one that it has forgotten, one for each."""
    try:
        return _squeue_of(cluster, numbers, known)
    except NoAnswerError as error:
        if len(numbers) == 1 or not _FORGOTTEN.search(str(error)):
            raise
    found: dict[Key, SchedulerJob] = {}
    for number in numbers:
        found |= _squeue_of(cluster, [number], known)
    return found


def _squeue_of(cluster: str, numbers: list[str], known: dict[Key, SchedulerJob]) -> dict[Key, SchedulerJob]:
    forgotten = _FORGOTTEN if len(numbers) == 1 else None
    wanted = [*_on(cluster), "--states=all", "--jobs", ",".join(numbers)]
    try:
        return read_squeue(_json(["squeue", *wanted, "--json"], forgotten), keep=known)
    except NoAnswerError:
        command = ["squeue", "--noheader", "--array", "--format", _SQUEUE_FORMAT, *wanted]
        return read_squeue_lines(output(SURROUNDINGS, command, forgotten), keep=known)


def jobs_named(names: dict[str, str]) -> dict[str, str]:
    """:raises NoAnswerError: it does not answer."""
    found = {}
    for cluster in sorted(set(names.values())):
        wanted = ",".join(name for name, where in names.items() if where == cluster)
        command = ["squeue", *_on(cluster), "--noheader", "--states=all", "--format=%F|%j", "--name", wanted]
        where = f";{cluster}" if cluster else ""
        for line in output(SURROUNDINGS, command).splitlines():
            job, _, name = line.strip().partition("|")
            if named := re.fullmatch(r"CLUSTER: (\S+)", job):  # of several, the heading of what follows
                where = f";{named[1]}"
            elif job.isdecimal() and name in names:
                found[name] = f"{job}{where}"
    return found


def cancel_commands(ids: Iterable[str]) -> list[list[str]]:
    return [["scancel", *_on(cluster), *numbers] for cluster, numbers in _by_cluster(ids).items()]


def key_of(job: str) -> Key:
    """``45_0`` is 0 of ``45``."""
    array, _, index = job.partition("_")
    return (array, int(index)) if index.isdecimal() else (job, None)


def shown(key: Key) -> str:
    number, _, _ = key[0].partition(";")
    return number if key[1] is None else f"{number}_{key[1]}"


def _phase(words: list[str]) -> Phase:
    """Of the state, and of flags beside it, the one that says the job lives."""
    telling = {word for word in words if word not in _FLAGS} or set(words)
    if telling & RUNNING:
        return "running"
    if telling & WAITING:
        return "waiting"
    if CANCELLED in telling:
        return "cancelled"
    return "ended" if telling and telling <= ENDED else "unknown"


def _job(words: Any, reason: str, **facts: Any) -> SchedulerJob:
    """:param words: a state; later versions give a list of it and of flags, and accounting says who cancelled it."""
    listed = [str(word) for word in (words if isinstance(words, list) else [words])]
    phase = _phase([re.sub(r"^CANCELLED by .*", CANCELLED, word.rstrip("+")) for word in listed])
    return SchedulerJob(phase, listed[0] if listed else "", "" if reason == "None" else reason, **facts)


def _json(command: list[str], forgotten: re.Pattern[str] | None = None) -> dict[str, Any]:
    """:raises NoAnswerError: no JSON."""
    text = output(SURROUNDINGS, command, forgotten)
    if not text.strip() or (forgotten and forgotten.fullmatch(text.strip().splitlines()[-1])):
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise NoAnswerError(f"{command[0]} printed no JSON")
    return content


def read_squeue_lines(text: str, keep: dict[Key, SchedulerJob] | None = None) -> dict[Key, SchedulerJob]:
    """``squeue --array`` in the form of `_SQUEUE_FORMAT`, one line for each part of an array."""
    jobs: dict[Key, SchedulerJob] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) != 6:
            continue
        job, array, index, state, reason, nodes = fields
        key = (array, int(index)) if index.isdecimal() else (job, None)
        found = _job(state, reason, hosts=nodes)
        if _says_more(found, key, keep):
            jobs[key] = found
    return jobs


def _says_more(found: SchedulerJob, key: Key, keep: dict[Key, SchedulerJob] | None) -> bool:
    before = keep.get(key) if keep else None
    return found.active or before is None or before.active


def read_squeue(
    content: dict[str, Any], keep: dict[Key, SchedulerJob] | None = None
) -> dict[Key, SchedulerJob]:
    """``squeue --json`` of SLURM 22.05 and later, which still knows jobs that ended some minutes ago.

    :param keep: jobs about which more is known already; of these, the ones that ended are left alone.
    """
    jobs: dict[Key, SchedulerJob] = {}
    for job in content.get("jobs", ()):
        reason = str(job.get("state_reason") or "")
        found = _job(job.get("job_state") or "", reason, hosts=str(job.get("nodes") or ""))
        for key in _slurm_keys(
            job, job.get("array_job_id"), job.get("array_task_id"), job.get("array_task_string")
        ):
            if _says_more(found, key, keep):
                jobs[key] = found
    return jobs


def read_sacct(content: dict[str, Any]) -> dict[Key, SchedulerJob]:
    """``sacct --json`` of SLURM 21.08 and later."""
    jobs: dict[Key, SchedulerJob] = {}
    for job in content.get("jobs", ()):
        array, state = job.get("array") or {}, job.get("state") or {}
        current = state.get("current") or ""
        found = _job(
            current,
            str(state.get("reason") or ""),
            exit_code=_exit_code(current, job),
            seconds=(job.get("time") or {}).get("elapsed"),
            max_rss_mb=_max_rss_mb(job.get("steps") or ()),
            hosts=str(job.get("nodes") or "").replace("None assigned", ""),
        )
        for key in _slurm_keys(job, array.get("job_id"), array.get("task_id"), array.get("task")):
            jobs[key] = found
    return jobs


def _exit_code(state: Any, job: dict[str, Any]) -> int | None:
    """None for the 0 that 22.05 gives of jobs that failed, too."""
    code = _number((job.get("exit_code") or {}).get("return_code"))
    return code if code or "COMPLETED" in state else None


def _slurm_keys(job: dict[str, Any], array: Any, index: Any, waiting: Any) -> list[Key]:
    array_id, task = _number(array), _number(index)
    if array_id and waiting:  # the part of an array that has not begun is one entry
        return [(str(array_id), number) for number in _waiting_indices(str(waiting))]
    return [(str(array_id), task)] if array_id else [(str(job["job_id"]), None)]


def _waiting_indices(text: str) -> list[int]:
    """``0-6:2,9%3`` as 0, 2, 4, 6, 9."""
    numbers: list[int] = []
    for first, last, step in re.findall(r"(\d+)(?:-(\d+))?(?::(\d+))?", text.split("%")[0]):
        numbers += range(int(first), int(last or first) + 1, int(step or 1) or 1)
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


def _number(value: Any) -> int | None:
    """A number, which later versions give with whether it is set."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") else None
    return value if isinstance(value, int) else None
