"""How far a run is, from what three parties say: its tasks' markers, their logs, and the scheduler."""

import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cerebellar_models.deploy.job_plan import JobStage, read_plan
from cerebellar_models.deploy.run_folder import RunFolder
from cerebellar_models.deploy.scheduler_jobs import RUNNING, WAITING, Answer, SchedulerJob, ask
from cerebellar_models.deploy.submit import Submitted, latest, scheduler, submitted
from cerebellar_models.deploy.task import Marker, PlannedTask, is_done, marker_of, planned_tasks

_LOG_TAIL_BYTES = 20_000
_BSB_JOB = re.compile(r"JobStatus\.RUNNING \{root\}\.(\w+)\.(\w+)")
_SIMULATED = re.compile(r"progress: (\d+(?:\.\d+)?) ")


@dataclass(frozen=True)
class TaskStatus:
    """A task as a user wants to see it."""

    task: str
    state: str
    """done, running, waiting, unknown, failed, stopped, cancelled, lost or not submitted"""
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
        """Of what is unknown, too: it would run twice otherwise."""
        return self.state in ("running", "waiting", "unknown")


def status(run: Path) -> list[TaskStatus]:
    """Each task of the run, in the order of its stages.

    :raises UserError: the folder has no job scripts.
    """
    tasks, lines, name = planned_tasks(run), submitted(run), scheduler(run)
    answer = ask(name, sorted({line.job for line in lines}))
    return [_status(run, task, latest(lines, task), answer, name) for task in tasks]


def missing(tasks: list[PlannedTask], done: set[str]) -> list[PlannedTask]:
    """What is still to be done; a report on other results than there will be is, too."""
    wanted = [task for task in tasks if task.name not in done]
    stale = any(task.stage in ("compile", "simulate") for task in wanted)
    return [task for task in tasks if task in wanted or (stale and task.stage == "report")]


def active_jobs(run: Path, statuses: list[TaskStatus]) -> list[str]:
    """Ids of the jobs that wait or run; an array is one."""
    lines, active = submitted(run), {entry.task for entry in statuses if entry.active}
    found = [latest(lines, task) for task in planned_tasks(run) if task.name in active]
    return list(dict.fromkeys(line.job for line in found if line))


def _status(run: Path, task: PlannedTask, line: Submitted | None, answer: Answer, name: str) -> TaskStatus:
    marker = marker_of(run, task)
    key = (line.job, line.covers(task)) if line else ("", None)
    job = answer.jobs.get(key)
    shown = key[0] if key[1] is None else f"{key[0].removesuffix('[]')}[{key[1]}]"
    if marker and line and marker.started < line.time - 1:
        marker = None if not is_done(RunFolder(run), task) else marker  # of a submission before
    if name == "local":
        job = _local_job(run, marker, line)
    state, detail = _state(run, task, marker, job, line, answer.silent)
    usage = marker.usage if marker else {}
    return TaskStatus(
        task.name,
        state,
        shown,
        _seconds(marker, job),
        (marker.hosts if marker else "") or (job.hosts if job else ""),
        detail,
        marker.exit_code if marker and marker.exit_code is not None else job.exit_code if job else None,
        usage.get("rank_mb") or (job.max_rss_mb if job else None),  # the scheduler only samples
        usage.get("node_mb"),
    )


def _state(
    run: Path,
    task: PlannedTask,
    marker: Marker | None,
    job: SchedulerJob | None,
    line: Submitted | None,
    silent: str,
) -> tuple[str, str]:
    """What it is, and what there is to say about it."""
    log = run / "logs" / f"{task.name}.log"
    if is_done(RunFolder(run), task):
        return "done", ""
    if job and job.state in WAITING:
        return "waiting", job.reason
    if job and job.state in RUNNING and not (marker and marker.state in ("failed", "stopped")):
        return "running", progress(log)
    if marker and marker.state in ("failed", "stopped"):
        return marker.state, marker.reason
    if job:
        return _ended(job)
    if line and silent:
        return "unknown", silent
    if marker and marker.state == "running":
        return "lost", f"its job ended without a word; see {log}"
    return ("lost", "the scheduler no longer knows its job") if line else ("not submitted", "")


def _local_job(run: Path, marker: Marker | None, line: Submitted | None) -> SchedulerJob | None:
    """On this machine, a task is its script; until that has said so, the jobs/submit.sh that starts it."""
    process = marker.job if marker else line.job if line else ""
    return SchedulerJob("RUNNING") if process and _works_in(run, process) else None


def _works_in(run: Path, process: str) -> bool:
    """Whether a process lives and is one of this run's; numbers of processes are used again."""
    try:
        return Path("/proc", process, "cwd").resolve(strict=True) == run.resolve()
    except OSError:  # it is gone, or someone else's
        return False


def _ended(job: SchedulerJob) -> tuple[str, str]:
    if job.state.startswith("CANCELLED"):
        return "cancelled", job.reason
    return "lost", " ".join(filter(None, (job.state, job.reason)))


def _seconds(marker: Marker | None, job: SchedulerJob | None) -> float | None:
    if marker:
        return round((marker.ended or time.time()) - marker.started, 1)
    return job.seconds if job else None


def progress(log: Path) -> str:
    """What the end of a log says about how far its stage is, since it last began."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    text = text[text.rfind(f"=== {log.stem}: job ") + 1 :]
    if simulated := _SIMULATED.findall(text):
        return f"{float(simulated[-1]):.0f} ms simulated"
    if jobs := _BSB_JOB.findall(text):
        return " ".join(jobs[-1])
    return ""


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
