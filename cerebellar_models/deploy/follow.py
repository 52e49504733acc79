"""How far a run is, from what three parties say: its tasks' markers, their logs, and the scheduler.

Reading what the scheduler's commands print is pure; `scheduler_jobs` is the one place that calls them.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cerebellar_models.deploy.job_plan import JobStage, read_plan
from cerebellar_models.deploy.run_folder import RunFolder
from cerebellar_models.deploy.submit import Submitted, latest, scheduler, submitted
from cerebellar_models.deploy.task import Marker, PlannedTask, is_done, planned_tasks, read_marker

# States of a scheduler by what they mean for us; every other one is an end.
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "Q", "H", "W", "S", "T", "B"}
_RUNNING = {"RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "R", "E"}
# PBS writes a job that ended at its walltime so.
_PBS_WALLTIME = -29
_LOG_TAIL_BYTES = 20_000
_BSB_JOB = re.compile(r"JobStatus\.RUNNING \{root\}\.(\w+)\.(\w+)")
_SIMULATED = re.compile(r"progress: (\d+(?:\.\d+)?) ")

Key = tuple[str, int | None]
"""A job as the scheduler names it, and its index in an array"""


@dataclass(frozen=True)
class SchedulerJob:
    """A job or a part of an array, as its scheduler sees it."""

    state: str
    reason: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    max_rss_mb: float | None = None
    hosts: str = ""


@dataclass(frozen=True)
class TaskStatus:
    """A task as a user wants to see it."""

    task: str
    state: str
    """done, running, waiting, failed, stopped, cancelled, lost or not submitted"""
    job: str = ""
    seconds: float | None = None
    hosts: str = ""
    detail: str = ""
    """progress of what runs, the reason of what does not"""
    exit_code: int | None = None
    max_rss_mb: float | None = None
    """of the largest rank"""
    node_mb: float | None = None
    """of the fullest node"""

    @property
    def active(self) -> bool:
        return self.state in ("running", "waiting")


def status(run: Path) -> list[TaskStatus]:
    """Each task of the run, in the order of its stages.

    :raises UserError: the folder has no job scripts.
    """
    tasks, lines = planned_tasks(run), submitted(run)
    jobs = scheduler_jobs(scheduler(run), sorted({line.job for line in lines}))
    return [_status(run, task, latest(lines, task), jobs) for task in tasks]


def active_jobs(run: Path, statuses: list[TaskStatus]) -> list[str]:
    """Ids of the jobs that wait or run; an array is one."""
    lines, active = submitted(run), {entry.task for entry in statuses if entry.active}
    found = [latest(lines, task) for task in planned_tasks(run) if task.name in active]
    return list(dict.fromkeys(line.job for line in found if line))


def _status(
    run: Path, task: PlannedTask, line: Submitted | None, jobs: dict[Key, SchedulerJob]
) -> TaskStatus:
    marker = read_marker(run, task.name)
    key = (line.job, line.covers(task)) if line else ("", None)
    job = jobs.get(key)
    name = key[0] if key[1] is None else f"{key[0].removesuffix('[]')}[{key[1]}]"
    if marker and line and marker.started < line.time - 1:
        marker = None if not is_done(RunFolder(run), task) else marker  # of a submission before
    state, detail = _state(run, task, marker, job, line)
    usage = marker.usage if marker else {}
    return TaskStatus(
        task.name,
        state,
        name,
        _seconds(marker, job),
        (marker.hosts if marker else "") or (job.hosts if job else ""),
        detail,
        marker.exit_code if marker and marker.exit_code is not None else job.exit_code if job else None,
        (job.max_rss_mb if job else None) or usage.get("rank_mb"),
        usage.get("node_mb"),
    )


def _state(
    run: Path, task: PlannedTask, marker: Marker | None, job: SchedulerJob | None, line: Submitted | None
) -> tuple[str, str]:
    """What it is, and what there is to say about it."""
    if is_done(RunFolder(run), task):
        return "done", ""
    if job and job.state in _WAITING:
        return "waiting", job.reason
    if job and job.state in _RUNNING and not (marker and marker.state in ("failed", "stopped")):
        return "running", progress(run / "logs" / f"{task.name}.log")
    if marker and marker.state in ("failed", "stopped"):
        return marker.state, marker.reason
    if job:
        return _ended(job)
    if marker and marker.state == "running":
        log = run / "logs" / f"{task.name}.log"
        alive = line is not None and scheduler(run) == "local" and _is_alive(line.job)
        return ("running", progress(log)) if alive else ("lost", f"its job ended without a word; see {log}")
    return ("lost", "the scheduler no longer knows its job") if line else ("not submitted", "")


def _ended(job: SchedulerJob) -> tuple[str, str]:
    if job.state.startswith("CANCELLED"):
        return "cancelled", job.reason
    return "lost", " ".join(filter(None, (job.state, job.reason)))


def _is_alive(process: str) -> bool:
    return Path("/proc", process).exists()


def _seconds(marker: Marker | None, job: SchedulerJob | None) -> float | None:
    if marker:
        return round((marker.ended or time.time()) - marker.started, 1)
    return job.seconds if job else None


def progress(log: Path) -> str:
    """What the end of a log says about how far its stage is."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    if simulated := _SIMULATED.findall(text):
        return f"{float(simulated[-1]):.0f} ms simulated"
    if jobs := _BSB_JOB.findall(text):
        return " ".join(jobs[-1])
    return ""


def scheduler_jobs(name: str, ids: list[str]) -> dict[Key, SchedulerJob]:
    """What the scheduler says about these jobs; nothing where it is not here or has forgotten them."""
    if not ids or name == "local":
        return {}
    if name == "pbs":
        return read_qstat(_json(["qstat", "-xtf", "-F", "json", *ids]))
    known = read_sacct(_json(["sacct", "--json", "--jobs", ",".join(ids)]))
    known |= read_squeue(_json(["squeue", "--json", "--jobs", ",".join(ids)]), keep=known)
    return {key: job for key, job in known.items() if key[0] in ids}


def _json(command: list[str]) -> dict[str, Any]:
    if shutil.which(command[0]) is None:
        return {}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        content = json.loads(done.stdout)
    except ValueError:  # no accounting, or a version without JSON
        return {}
    return content if isinstance(content, dict) else {}


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
            if keep and key in keep and state not in _WAITING | _RUNNING:
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
            _mb(used.get("mem")),
            hosts,
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


def _mb(memory: str | None) -> float | None:
    amount = re.fullmatch(r"(\d+)kb", memory or "")
    return round(int(amount[1]) / 1024, 1) if amount else None


def record(run: Path, statuses: list[TaskStatus]) -> None:
    """Keeps in run.json what is known: ids, states, exit codes, memory, nodes, and how much of what was asked was used.

    :raises UserError: run.json is missing or not a run record.
    """
    folder = RunFolder(run)
    content = folder.load()
    asked = {stage.name: stage for stage in read_plan(run).stages}
    content.jobs = {
        entry.task: {key: value for key, value in asdict(entry).items() if key not in ("task", "detail")}
        | {"efficiency": efficiency(entry, asked[entry.task.partition("-")[0]])}
        for entry in statuses
        if entry.state != "not submitted"
    }
    folder.save(content)


def efficiency(entry: TaskStatus, asked: JobStage) -> dict[str, float]:
    """Shares used of what was asked for: of the walltime, and of a node's memory where that is known."""
    shares = {}
    if entry.seconds is not None and entry.state == "done":
        shares["walltime"] = round(entry.seconds / asked.walltime_s, 3)
    if entry.node_mb:
        shares["memory"] = round(entry.node_mb / asked.memory_mb, 3)
    return shares
