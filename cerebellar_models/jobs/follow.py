"""How far a run is, from what three parties say: its tasks' markers, their logs, and the scheduler."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from cerebellar_models.jobs.schedulers import (
    UNLISTED_S,
    Answer,
    NoAnswerError,
    SchedulerJob,
    ask,
    jobs_named,
    scheduler,
)
from cerebellar_models.runs.bsb_log import progress
from cerebellar_models.runs.job_plan import JobStage
from cerebellar_models.runs.leases import works
from cerebellar_models.runs.markers import Marker
from cerebellar_models.runs.products import Standing, kept_digests, standing
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.submissions import Submitted, covering
from cerebellar_models.runs.tasks import PlannedTask


@dataclass(frozen=True)
class TaskStatus:
    """A task as a user wants to see it."""

    task: str
    state: str
    """done, damaged, running, waiting, unknown, failed, stopped, cancelled, lost or not submitted"""
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


@dataclass(frozen=True)
class Followed:
    """A run, and what its scheduler says of what was submitted of it."""

    run: Run
    lines: tuple[Submitted, ...]
    """the run's submissions, also with ids of jobs that only the scheduler knows"""
    answer: Answer

    @cached_property
    def statuses(self) -> list[TaskStatus]:
        """Each task of the run, in the order of its stages."""
        return [_status(task, self) for task in self.run.tasks]

    def active_jobs(self) -> list[str]:
        """Ids of the jobs that wait or run, of whichever submission, or may; an array is one."""
        active = {entry.task for entry in self.statuses if entry.active}
        found = {key[0] for key, job in self.answer.jobs.items() if job.active}
        found |= {line.job for task in self.run.tasks if task.name in active and (line := self.of(task))}
        return [job for job in dict.fromkeys(line.job for line in self.lines) if job and job in found]

    def of(self, task: PlannedTask) -> Submitted | None:
        """The last submission the task is in; of several, one that still lives."""
        lines = covering(self.lines, task)
        alive = [line for line in lines if (job := self.job(line, task)) and job.active]
        return next(iter([*alive, *lines]), None)

    def job(self, line: Submitted, task: PlannedTask) -> SchedulerJob | None:
        return self.answer.jobs.get((line.job, line.covers(task))) if line.job else None

    def may_not_be_listed_yet(self, line: Submitted) -> bool:
        """Whether it is so young that to be in no list means nothing, unless the scheduler says there is none."""
        return line.job not in self.answer.forgotten and _recent(line)


def _recent(line: Submitted) -> bool:
    return time.time() - line.time < UNLISTED_S


def follow(run: Run) -> Followed:
    """Asks the scheduler, once."""
    name, lines = run.scheduler, run.submissions
    silent = ""
    try:
        # A submission that was interrupted left names; the jobs of those may be in the queue all the same.
        named = jobs_named(name, {line.name: line.cluster for line in lines if not line.job})
    except NoAnswerError as error:
        named, silent = {}, str(error)
    lines = tuple(line if line.job else replace(line, job=named.get(line.name, "")) for line in lines)
    jobs = [line for line in lines if line.job]
    answer = ask(name, (line.job for line in jobs), (line.job for line in jobs if _recent(line)))
    if silent and not answer.silent:
        answer = replace(answer, silent=silent)
    return Followed(run, lines, answer)


def missing(tasks: Iterable[PlannedTask], done: set[str]) -> list[PlannedTask]:
    """Of these tasks, what is still to be done; a report on other results than there will be is, too."""
    tasks = list(tasks)
    wanted = [task for task in tasks if task.name not in done]
    stale = any(task.stage in ("compile", "simulate") for task in wanted)
    return [task for task in tasks if task in wanted or (stale and task.stage == "report")]


def _status(task: PlannedTask, followed: Followed) -> TaskStatus:
    run = followed.run
    marker, line = run.marker(task), followed.of(task)
    found = run.standing(task)
    job = followed.job(line, task) if line else None
    if marker and line and not _of_submission(run.scheduler, marker, line, task):
        marker = marker if found.whole else None
    if run.scheduler == "local":
        job = _local_job(run, task, marker, line)
    state, detail = _state(task, found, marker, job, line, followed)
    usage = marker.usage if marker else {}
    return TaskStatus(
        task.name,
        state,
        scheduler(run.scheduler).shown((line.job, line.covers(task))) if line else "",
        _seconds(marker, job),
        (marker.hosts if marker else "") or (job.hosts if job else ""),
        detail,
        marker.exit_code if marker and marker.exit_code is not None else job.exit_code if job else None,
        usage.get("rank_mb") or (job.max_rss_mb if job else None),  # the scheduler only samples
        usage.get("node_mb"),
    )


def _of_submission(name: str, marker: Marker, line: Submitted, task: PlannedTask) -> bool:
    """Whether the marker is of this submission and not of one before, by its job: clocks of machines differ."""
    if name == "local":  # a task's process is not the one that submitted it, and there is one clock
        return marker.started >= line.time - 1
    job, index = scheduler(name).key_of(marker.job)
    ours = line.job.partition(";")[0]
    # Scripts of earlier versions name the job that SLURM makes of each part of an array, which tells nothing.
    return (job, index) == (ours, line.covers(task)) or (
        bool(line.indices) and index is None and not _recent(line)
    )


def _state(
    task: PlannedTask,
    found: Standing,
    marker: Marker | None,
    job: SchedulerJob | None,
    line: Submitted | None,
    followed: Followed,
) -> tuple[str, str]:
    """What it is, and what there is to say about it."""
    log = followed.run.log(task)
    said = marker if marker and marker.state in ("failed", "stopped") else None
    if found.whole:
        return "done", ""
    if job and job.phase == "waiting":
        return "waiting", job.reason
    if job and job.phase == "running" and not said:
        return "running", progress(log)
    if found.fault and task.stage != "report":  # a report on what was there before is replaced
        return "damaged", found.fault
    if said:
        return said.state, said.reason
    if found.other and marker and marker.state == "done":
        return "not submitted", found.other
    if job and job.phase == "unknown":
        return "unknown", f"unknown state {job.state}"
    if line and {line.job, line.name} & followed.run.cancelled:
        return ("cancelled" if line.job else "not submitted"), ""
    if job:
        return _ended(job)
    if line and line.job and followed.answer.silent:
        return "unknown", followed.answer.silent
    if line:
        return _unlisted(marker, line, followed, log)
    if marker and marker.state == "running":
        return "lost", f"its job ended without a word; see {log}"
    return "not submitted", ""


def _unlisted(marker: Marker | None, line: Submitted, followed: Followed, log: Path) -> tuple[str, str]:
    """Of a submission that the scheduler does not list, and of which no marker tells the end."""
    if followed.run.scheduler != "local":
        if not line.job and followed.answer.silent:
            return "unknown", followed.answer.silent
        if followed.may_not_be_listed_yet(line):
            running = marker and marker.state == "running"
            return (
                ("running", progress(log)) if running else ("waiting", "the scheduler does not list it yet")
            )
        if not line.job:
            return "not submitted", "its submission was interrupted"
    if marker and marker.state == "running":
        return "lost", f"its job ended without a word; see {log}"
    return "lost", "the scheduler no longer knows its job"


def _local_job(
    run: Run, task: PlannedTask, marker: Marker | None, line: Submitted | None
) -> SchedulerJob | None:
    """On this machine a task is its script; until that has said so, the jobs/submit.sh that starts it."""
    lease = run.leases.get(task.name)
    if lease and works(lease) is not False:
        return SchedulerJob("running", "RUNNING")
    process = marker.job if marker else line.job if line else ""
    return SchedulerJob("running", "RUNNING") if process and _works_in(run.path, process) else None


def _works_in(run: Path, process: str) -> bool:
    """Whether a process lives and is one of this run's; numbers of processes are used again."""
    try:
        return Path("/proc", process, "cwd").resolve(strict=True) == run.resolve()
    except OSError:  # it is gone, or someone else's
        return False


def _ended(job: SchedulerJob) -> tuple[str, str]:
    if job.phase == "cancelled":
        return "cancelled", job.reason
    return "lost", " ".join(filter(None, (job.state, job.reason)))


def _seconds(marker: Marker | None, job: SchedulerJob | None) -> float | None:
    if marker:
        return round((marker.ended or time.time()) - marker.started, 1)
    return job.seconds if job else None


def record(followed: Followed) -> None:
    """Keeps in run.json what is known: of each task its ids, state, exit code, memory, nodes and how much of what was
    asked for was used; of what was compiled, its digests.

    :raises UserError: run.json is missing or not a run record.
    """
    run = followed.run
    content = run.folder.load()
    asked = {stage.name: stage for stage in run.plan.stages}
    stages = {task.name: asked[task.stage] for task in run.tasks}
    content.jobs = {
        entry.task: {key: value for key, value in asdict(entry).items() if key not in ("task", "detail")}
        | {"efficiency": efficiency(entry, stages[entry.task])}
        for entry in followed.statuses
        if entry.state != "not submitted"
    }
    circuit = run.products.circuit
    if standing(circuit).whole:
        content.digests = kept_digests(circuit)
    run.folder.save(content)


def efficiency(entry: TaskStatus, asked: JobStage) -> dict[str, float]:
    """Shares used of what was asked for: of the walltime, and of a node's memory where that is known."""
    shares = {}
    if entry.seconds is not None and entry.state == "done":
        shares["walltime"] = round(entry.seconds / asked.walltime_s, 3)
    if entry.node_mb:
        shares["memory"] = round(entry.node_mb / asked.memory_mb, 3)
    return shares
