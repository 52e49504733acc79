"""Hands a rendered run to the scheduler, by its own commands: submit, submit what is missing, cancel."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cerebellar_models.errors import RunError, UserError
from cerebellar_models.jobs import schedulers
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.submissions import add_cancelled
from cerebellar_models.runs.tasks import PlannedTask

_STDERR = 2
# What jobs/submit.sh exits with when it has refused, in one line, and done nothing.
_REFUSED = 2


def submit(run: Run, stages: Iterable[str] = (), quiet: bool = False) -> None:
    """Submits all stages, or those named: ``compile``, or of an array some tasks: ``simulate=0,2``.

    :param quiet: what jobs/submit.sh prints goes to stderr.
    :raises UserError: there is no such stage or task, the scheduler's commands are not here, or something of this run
        is in the queue already, or being submitted.
    :raises RunError: the scheduler refused; then nothing is left in its queue. Or this process was told to end.
    """
    wanted = list(stages)
    _check_stages(run, wanted)
    _require(run)
    command = ["bash", str(run.path / "jobs" / "submit.sh"), *wanted]
    # Where stages run here, what they say is shown as they say it.
    said = None if run.scheduler == "local" else subprocess.PIPE
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=_STDERR if quiet else None,
            stderr=said,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        ) as script,
        _passed_on(script) as ended_by,
    ):
        errors = script.communicate()[1] or ""
    if ended_by:
        _wait_for_group(script.pid)
        sys.stderr.write(errors)
        raise RunError(f"interrupted; go on with: cerebellar-models jobs resume {shlex.quote(str(run.path))}")
    if script.returncode == _REFUSED:
        raise UserError(errors.strip() or "jobs/submit.sh refused; see above")
    sys.stderr.write(errors)
    if script.returncode != 0:
        raise RunError(f"jobs/submit.sh failed (status {script.returncode}); see above")


@contextlib.contextmanager
def _passed_on(script: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Has the script and what it started end when this process is to; the list then says by which signal.

    A signal that is ignored here, as SIGINT in the background of a shell script and SIGHUP below nohup, stays so.
    """
    received: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        received.append(number)
        with contextlib.suppress(ProcessLookupError):
            # Of a closed terminal, nothing has to be known there.
            os.killpg(script.pid, signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    handled = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    ]
    before = {number: signal.signal(number, pass_on) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_group(group: int) -> None:
    """Until the last of the group has ended: a stage that was told to stop needs time to do so."""
    while any(_works_in_group(entry, group) for entry in Path("/proc").glob("[0-9]*")):
        time.sleep(0.2)


def _works_in_group(process: Path, group: int) -> bool:
    """Not if it has ended and only its parent has not noticed yet."""
    try:
        state, _, number = (
            (process / "stat").read_text(errors="replace", encoding="utf-8").rpartition(")")[2].split()[:3]
        )
    except (OSError, ValueError):
        return False
    return int(number) == group and state not in "ZX"


def asked_for(run: Run, stages: Sequence[str]) -> list[PlannedTask]:
    """The tasks that such arguments of `submit` name, in the order of the run; all if there are none.

    :raises UserError: there is no such stage or task.
    """
    _check_stages(run, stages)
    named = {argument.replace("=", "-") for stage in stages for argument in _each(stage)}
    return [task for task in run.tasks if not stages or {task.stage, task.name} & named]


def _each(argument: str) -> list[str]:
    """``simulate=0,2`` as simulate=0 and simulate=2."""
    stage, equals, indices = argument.partition("=")
    return [f"{stage}={index}" for index in indices.split(",")] if equals else [stage]


def _check_stages(run: Run, wanted: Iterable[str]) -> None:
    tasks: dict[str, list[int | None]] = {}
    for task in run.tasks:
        tasks.setdefault(task.stage, []).append(task.index)
    for argument in wanted:
        stage, equals, indices = argument.partition("=")
        if stage not in tasks:
            raise UserError(f"{argument}: is no stage of this run; there are: {', '.join(tasks)}")
        offered = [str(index) for index in tasks[stage] if index is not None]
        if equals and not offered:
            raise UserError(f"{argument}: {stage} is one task; give: {stage}")
        for index in indices.split(",") if equals else ():
            if index not in offered:
                raise UserError(
                    f"{argument}: {stage} has no task '{index}'; it has 0 to {len(offered) - 1}: {stage}=0"
                    + (",1" if len(offered) > 1 else "")
                )


def _require(run: Run) -> None:
    if command := _missing(run.scheduler):
        raise UserError(f"no {command} here: {_elsewhere(run.path)}")


def _missing(name: str) -> str | None:
    return next(
        (command for command in schedulers.scheduler(name).COMMANDS if shutil.which(command) is None), None
    )


def _elsewhere(run: Path) -> str:
    return (
        f"copy the folder to where it is (rsync -a {shlex.quote(f'{run.resolve()}/')} HOST:FOLDER/) "
        "and run there: bash FOLDER/jobs/submit.sh, which needs nothing else"
    )


def how_to_submit(run: Path, name: str) -> str:
    """The next step of a rendered run, here or where its scheduler is."""
    command = _missing(name)
    if command:
        return f"no {command} here: {_elsewhere(run)}"
    return f"next: cerebellar-models jobs submit {shlex.quote(str(run))}"


def stage_arguments(tasks: Iterable[PlannedTask]) -> list[str]:
    """What to give jobs/submit.sh for these tasks."""
    stages: dict[str, list[str]] = {}
    for task in tasks:
        stages.setdefault(task.stage, []).append("" if task.index is None else str(task.index))
    return [f"{stage}={','.join(indices)}" if indices != [""] else stage for stage, indices in stages.items()]


def cancel(run: Run, jobs: Sequence[str]) -> None:
    """:raises UserError: the scheduler's commands are not here; RunError: it refused."""
    _require(run)
    if run.scheduler == "local":
        raise UserError(
            f"{run.path}: runs where `jobs submit` was called; interrupt it there (Ctrl-C, or kill)"
        )
    try:
        schedulers.cancel(run.scheduler, jobs)
    except schedulers.NoAnswerError as error:
        raise RunError(str(error)) from error
    add_cancelled(run.path, jobs)
