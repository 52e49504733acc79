"""What a job script does before and after its work, in one process: ``python -m cerebellar_models.on_node.task``.

``begin RUN NAME`` checks what the task needs and marks it as running; it exits with 100 if the task is done already.
``end RUN NAME`` gives whole results their final names and marks how the task ended. NAME is ``compile`` or, for task 3
of an array, ``simulate-3``. Starts neither MPI nor a simulator.
"""

import argparse
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from cerebellar_models import endings, streams
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.jobs import follow
from cerebellar_models.runs.bsb_log import last_lines
from cerebellar_models.runs.markers import Marker, write_marker
from cerebellar_models.runs.products import emptied, keep_circuit, keep_results, put_back_replaced
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.run_folder import installed_versions
from cerebellar_models.runs.tasks import PlannedTask
from cerebellar_models.runs.usage import memory_used

DONE_BEFORE = 100
# What a script gives as its reason, as people read it.
_REASONS = {
    "walltime": "the walltime was about to end",
    "cancelled": "it was cancelled",
    "hangup": "its terminal or connection was closed",
    "no end": "its work did not reach its end",
    "lease": "another job has taken this task over",
    "hang": "nothing new in its log for too long: a hang; the log has the stack of each rank",
    "world size": "MPI did not start as many ranks as were asked for",
    "preflight": "the launcher does not fit the MPI that the ranks load; the log says what to change",
    "set-up failed": "its set-up failed; the log says how",
    "copy": "the results could not be copied back from scratch",
}
_LOG_TAIL_BYTES = 8000
_STOPPED = ("walltime", "cancelled", "hangup")


def begin(path: Path, name: str, job: str, hosts: str) -> int:
    """:raises RunError, UserError: the task cannot start; the marker says why."""
    run = Run.open(path)
    task = run.task(name)
    if task.folder is not None:
        put_back_replaced(run.folder, task.folder)  # where the job that replaced them was killed
    found = run.standing(task, thorough=True)
    if found.whole and task.stage != "models":  # their cache is quick to ask, and may have been emptied
        print(f"{name}: done before")
        return DONE_BEFORE
    before = run.marker(task)
    marker = Marker(
        "running",
        job,
        hosts,
        time.time(),
        starts=before.starts + 1 if before else 1,
        folder=task.folder,
        image=os.environ.get("CEREBELLAR_MODELS_IMAGE_DIGEST", ""),
        versions=installed_versions(),
    )
    write_marker(path, name, marker)
    try:
        if found.fault and task.stage != "report":  # an old report is replaced
            raise RunError(found.fault)
        _check_earlier(run, task)
        _check_image(run, marker)
        _check_disk(path, task)
        emptied(path / f".{name}.partial")
    except (RunError, UserError) as error:
        marker.state, marker.reason, marker.exit_code = "failed", str(error), error.exit_status
        marker.ended = time.time()
        write_marker(path, name, marker)
        raise
    return 0


def _check_earlier(run: Run, task: PlannedTask) -> None:
    """PBS starts what waits for an array although a part of it failed, and whole files are damaged later."""
    # A report reads the circuit, too, which is before what is before it.
    needed = set(task.after) | ({"compile"} if task.stage == "report" else set())
    for earlier in (each for each in run.tasks if each.stage in needed):
        found = run.standing(earlier, thorough=True)
        if found.fault:
            raise RunError(found.fault)
        if not found.whole:
            marker = run.marker(earlier)
            state = f"{marker.state}: {marker.reason}" if marker and marker.reason else "it left nothing"
            raise RunError(f"{earlier.name} has to be done first ({found.other or state})")


def _check_image(run: Run, marker: Marker) -> None:
    """Stages of one run in different images would be different models under one name."""
    if os.environ.get("CEREBELLAR_MODELS_OTHER_IMAGE") == "1":
        return
    for task in run.tasks:
        other = run.marker(task)
        if other and other.state == "done" and other.image and marker.image and other.image != marker.image:
            raise RunError(
                f"image: it is not the one that {task.name} ran in ({marker.image}, not {other.image}); put that back, "
                "or set CEREBELLAR_MODELS_OTHER_IMAGE=1 to go on with this one"
            )


def _check_disk(run: Path, task: PlannedTask) -> None:
    free = shutil.disk_usage(run).free
    if free < task.storage_bytes:
        raise RunError(
            f"{run}: {free / 1e6:.0f} MB free, {task.name} needs {task.storage_bytes / 1e6:.0f} MB"
        )


def end(path: Path, name: str, status: int, reason: str) -> int:
    """The exit status of the job: that of its work, or 1 if what it left is not whole."""
    run = Run.open(path)
    task = run.task(name)
    marker = run.marker(task) or Marker("running", "", platform.node(), time.time(), folder=task.folder)
    if reason == "begin" and marker.state == "failed":
        return 1
    scratch = path / f".{name}.partial"
    marker.usage, marker.command = memory_used(scratch / "usage"), _command(scratch)
    marker.state, marker.reason = "done", ""
    if status != 0:
        marker.state = "stopped" if reason in _STOPPED else "failed"
        marker.reason = _REASONS.get(reason) or _why(run, task, status)
    else:
        try:
            _keep(run, task, scratch)
        except (RunError, UserError, OSError) as error:
            status, marker.state, marker.reason = 1, "failed", str(error)
    shutil.rmtree(scratch, ignore_errors=True)
    marker.exit_code, marker.ended = status, time.time()
    write_marker(path, name, marker)
    print(f"=== {name}: {marker.state}{': ' if marker.reason else ''}{marker.reason}")
    if task.stage == "report":
        _record(path)
    return status


def _command(scratch: Path) -> str:
    """The last one that its script has started."""
    try:
        return (scratch / "command").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _why(run: Run, task: PlannedTask, status: int) -> str:
    """Why its work failed, as far as its log tells: for want of memory or room, say."""
    lines = last_lines(run.log(task), _LOG_TAIL_BYTES)
    return endings.reason(status, lines, (run.path,)) or f"its work ended with status {status}"


def _record(path: Path) -> None:
    """The last stage writes down how all went; `jobs status` adds what only the scheduler knows."""
    try:
        follow.record(follow.follow(Run.open(path)))
    except (UserError, OSError) as error:
        print(f"{path / 'run.json'}: not brought up to date: {error}", file=sys.stderr)


def _keep(run: Run, task: PlannedTask, scratch: Path) -> None:
    """Gives what the task has made its final name.

    :raises RunError: it is not whole.
    """
    if task.stage == "compile":
        keep_circuit(run.folder, scratch)
    elif task.stage == "simulate":
        assert task.simulation is not None and task.folder is not None
        threads = next(stage.threads for stage in run.plan.stages if stage.name == "simulate")
        keep_results(run.folder, scratch, task.simulation, task.folder, run.log(task), threads)
    elif task.stage == "report":
        found = run.standing(task)
        if not found.whole:
            raise RunError(found.fault or f"no {run.folder.report.name} was written")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cerebellar_models.on_node.task")
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
    except OSError as error:  # a full disk, a folder that went away
        print(f"{given.name}: {error.filename or given.run}: {error.strerror}", file=sys.stderr)
        return RunError.exit_status


if __name__ == "__main__":
    streams.prepare()
    sys.exit(main())
