"""What a job script does before and after its work, in one process: ``python -m cerebellar_models.deploy.task``.

``begin RUN NAME`` checks what the task needs and marks it as running; it exits with 100 if the task is done already.
``end RUN NAME`` gives whole results their final names and marks how the task ended. NAME is ``compile`` or, for task 3
of an array, ``simulate-3``. Starts neither MPI nor a simulator.
"""

import argparse
import contextlib
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cerebellar_models.deploy.job_plan import JobStage, Task, read_plan
from cerebellar_models.deploy.products import emptied, keep_circuit, keep_results
from cerebellar_models.deploy.run_folder import RunFolder, memory_used, write_atomically
from cerebellar_models.errors import RunError, UserError

DONE_BEFORE = 100
# What a script gives as its reason, as people read it.
_REASONS = {
    "walltime": "the walltime was about to end",
    "cancelled": "it was cancelled",
    "hang": "nothing new in its log for too long: a hang; the log has the stack of each rank",
    "world size": "MPI did not start as many ranks as were asked for",
    "preflight": "the launcher does not know the MPI of the image; the log says what to change",
    "set-up failed": "its set-up failed; the log says how",
    "copy": "the results could not be copied back from scratch",
}
_STOPPED = ("walltime", "cancelled")


@dataclass
class Marker:
    """How far a task is, as it says itself: jobs/state/<name>.json."""

    state: str
    """running, done, failed or stopped"""
    job: str
    hosts: str
    started: float
    """seconds since the epoch, as ``ended``"""
    ended: float | None = None
    reason: str = ""
    exit_code: int | None = None
    starts: int = 1
    """how often it has begun"""
    usage: dict[str, float] = field(default_factory=dict)
    """MB of memory: of the largest rank and of the fullest node"""
    folder: str | None = None
    """of the results, which tells two tasks of the same index apart when the seeds have changed"""


@dataclass(frozen=True)
class PlannedTask:
    """What jobs/plan.json says about one task."""

    stage: str
    index: int | None
    after: tuple[str, ...]
    simulation: str | None
    folder: str | None
    storage_bytes: int

    @property
    def name(self) -> str:
        return self.stage if self.index is None else f"{self.stage}-{self.index}"


def planned_tasks(run: Path) -> list[PlannedTask]:
    """All tasks of a run, in the order of its stages.

    :raises UserError: the folder has no job scripts.
    """
    return [_planned(stage, task) for stage in read_plan(run).stages for task in stage.tasks]


def _planned(stage: JobStage, task: Task) -> PlannedTask:
    index = task.index if stage.name == "simulate" else None
    folder = None if task.folder is None else Path(task.folder).name
    return PlannedTask(stage.name, index, stage.after, task.simulation, folder, stage.storage_bytes)


def marker_path(run: Path, name: str) -> Path:
    return run / "jobs" / "state" / f"{name}.json"


def read_marker(run: Path, name: str) -> Marker | None:
    """None if the task has never begun, or its marker cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Marker(**json.loads(marker_path(run, name).read_text()))
    return None


def marker_of(run: Path, task: PlannedTask) -> Marker | None:
    """The task's marker; None also if the run was rendered anew and the marker is of another task of this name."""
    marker = read_marker(run, task.name)
    return None if marker and marker.folder not in (None, task.folder) else marker


def _write_marker(run: Path, name: str, marker: Marker) -> None:
    marker_path(run, name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(marker_path(run, name), json.dumps(asdict(marker), indent=2) + "\n")


def is_done(folder: RunFolder, task: PlannedTask) -> bool:
    """Whether the task's product lies under its final name; the models' product is a cache outside the run."""
    if task.stage == "compile":
        return folder.circuit.exists()
    if task.stage == "simulate":
        return task.folder is not None and (folder.results / task.folder).exists()
    marker = marker_of(folder.path, task)
    done = marker is not None and marker.state == "done"
    return done and (task.stage != "report" or folder.report.exists())


def begin(run: Path, name: str, job: str, hosts: str) -> int:
    """:raises RunError, UserError: the task cannot start; the marker says why."""
    folder, tasks = RunFolder(run), planned_tasks(run)
    task = _named(tasks, name)
    if is_done(folder, task):
        print(f"{name}: done before")
        return DONE_BEFORE
    before = marker_of(run, task)
    starts = before.starts + 1 if before else 1
    marker = Marker("running", job, hosts, time.time(), starts=starts, folder=task.folder)
    _write_marker(run, name, marker)
    try:
        _check_earlier(folder, tasks, task)
        _check_disk(run, task)
        emptied(run / f".{name}.partial")
        folder.report.unlink(missing_ok=True)  # of what was there before
    except (RunError, UserError) as error:
        marker.state, marker.reason, marker.exit_code = "failed", str(error), error.exit_status
        marker.ended = time.time()
        _write_marker(run, name, marker)
        raise
    return 0


def _named(tasks: list[PlannedTask], name: str) -> PlannedTask:
    for task in tasks:
        if task.name == name:
            return task
    raise UserError(f"{name}: is no task of this run; there are: {', '.join(task.name for task in tasks)}")


def _check_earlier(folder: RunFolder, tasks: list[PlannedTask], task: PlannedTask) -> None:
    """PBS starts what waits for an array although a part of it failed."""
    for earlier in tasks:
        if earlier.stage in task.after and not is_done(folder, earlier):
            marker = marker_of(folder.path, earlier)
            state = f"{marker.state}: {marker.reason}" if marker and marker.reason else "it left nothing"
            raise RunError(f"{earlier.name} has to be done first ({state})")


def _check_disk(run: Path, task: PlannedTask) -> None:
    free = shutil.disk_usage(run).free
    if free < task.storage_bytes:
        raise RunError(
            f"{run}: {free / 1e9:.1f} GB free, {task.name} needs {task.storage_bytes / 1e9:.1f} GB"
        )


def end(run: Path, name: str, status: int, reason: str) -> int:
    """The exit status of the job: that of its work, or 1 if what it left is not whole."""
    folder = RunFolder(run)
    task = _named(planned_tasks(run), name)
    marker = marker_of(run, task) or Marker("running", "", platform.node(), time.time(), folder=task.folder)
    if reason == "begin" and marker.state == "failed":
        return 1
    scratch = run / f".{name}.partial"
    marker.usage = memory_used(scratch / "usage")
    marker.state, marker.reason = "done", ""
    if status != 0:
        marker.state = "stopped" if reason in _STOPPED else "failed"
        marker.reason = _REASONS.get(reason, f"its work ended with status {status}")
    else:
        try:
            _keep(task)(folder, scratch)
        except (RunError, UserError, OSError) as error:
            status, marker.state, marker.reason = 1, "failed", str(error)
    shutil.rmtree(scratch, ignore_errors=True)
    marker.exit_code, marker.ended = status, time.time()
    _write_marker(run, name, marker)
    print(f"=== {name}: {marker.state}{': ' if marker.reason else ''}{marker.reason}")
    if task.stage == "report":
        _record(run)
    return status


def _record(run: Path) -> None:
    """The last stage writes down how all went; `jobs status` adds what only the scheduler knows."""
    from cerebellar_models.deploy import follow

    try:
        follow.record(run, follow.status(run))
    except (UserError, OSError) as error:
        print(f"{run / 'run.json'}: not brought up to date: {error}", file=sys.stderr)


def _keep(task: PlannedTask) -> Callable[[RunFolder, Path], None]:
    def simulated(folder: RunFolder, scratch: Path) -> None:
        assert task.simulation is not None and task.folder is not None
        log = folder.logs / f"{task.name}.log"
        keep_results(folder, scratch / "results", task.simulation, task.folder, log)

    def reported(folder: RunFolder, scratch: Path) -> None:
        if not folder.report.exists():
            raise RunError(f"no {folder.report.name} was written")

    keepers = {"compile": keep_circuit, "simulate": simulated, "report": reported}
    return keepers.get(task.stage, lambda folder, scratch: None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cerebellar_models.deploy.task")
    parser.add_argument("verb", choices=("begin", "end"))
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--job", default="")
    parser.add_argument("--hosts", default="")
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--reason", default="")
    given = parser.parse_args(arguments)
    try:
        if given.verb == "begin":
            return begin(given.run, given.name, given.job, given.hosts)
        return end(given.run, given.name, given.status, given.reason)
    except (UserError, RunError) as error:
        print(f"{given.name}: {error}", file=sys.stderr)
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
