"""Hands a rendered run to the scheduler, by its own commands: submit, submit what is missing, cancel."""

import contextlib
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cerebellar_models.deploy.job_plan import read_plan
from cerebellar_models.deploy.task import PlannedTask
from cerebellar_models.errors import RunError, UserError

# What a scheduler is submitted to and cancelled by.
_COMMANDS = {"slurm": ("sbatch", "scancel"), "pbs": ("qsub", "qdel")}
_STDERR = 2


@dataclass(frozen=True)
class Submitted:
    """A line of jobs/submitted.tsv, which jobs/submit.sh writes."""

    stage: str
    job: str
    offset: int
    """index in the run of the task that is 0 in this array, or of the one task of a job that is none"""
    indices: tuple[int, ...]
    """of an array, as the scheduler counts them"""
    time: float
    """seconds since the epoch"""

    def covers(self, task: PlannedTask) -> int | None:
        """The scheduler's index of the task; None if it is not in an array of this line's."""
        return task.index - self.offset if task.index is not None and self.indices else None


def scheduler(run: Path) -> str:
    """slurm, pbs or local.

    :raises UserError: the folder has no job scripts.
    """
    return read_plan(run).site.scheduler


def submit(run: Path, stages: Iterable[str] = (), quiet: bool = False) -> None:
    """Submits all stages, or those named: ``compile``, or of an array some tasks: ``simulate=0,2``.

    :param quiet: what jobs/submit.sh prints goes to stderr.
    :raises UserError: there are no scripts, no such stage or task, or the scheduler's commands are not here.
    :raises RunError: the scheduler refused; then nothing is left in its queue.
    """
    wanted = list(stages)
    _check_stages(run, wanted)
    _require(run, scheduler(run))
    command = ["bash", str(run / "jobs" / "submit.sh"), *wanted]
    interrupted = False
    with subprocess.Popen(command, stdout=_STDERR if quiet else None) as script:
        while script.returncode is None:
            try:
                script.wait()
            except KeyboardInterrupt:  # a local run: its scripts have heard of it, too, and need time to stop
                interrupted = True
    if interrupted:
        raise RunError(f"interrupted; go on with: cerebellar-models jobs resume {shlex.quote(str(run))}")
    if script.returncode != 0:
        raise RunError(f"jobs/submit.sh failed (status {script.returncode}); see above")


def _check_stages(run: Path, wanted: Iterable[str]) -> None:
    tasks: dict[str, list[int | None]] = {}
    for task in read_plan(run).stages:
        tasks[task.name] = [each.index if task.name == "simulate" else None for each in task.tasks]
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


def _require(run: Path, name: str) -> None:
    if command := _missing(name):
        raise UserError(f"no {command} here: {_elsewhere(run)}")


def _missing(name: str) -> str | None:
    return next((command for command in _COMMANDS.get(name, ()) if shutil.which(command) is None), None)


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


def cancel(run: Path, jobs: Iterable[str]) -> None:
    """:raises UserError: the scheduler's commands are not here; RunError: it refused."""
    name = scheduler(run)
    _require(run, name)
    if name == "local":
        raise UserError(f"{run}: runs where `jobs submit` was called; interrupt it there (Ctrl-C)")
    done = subprocess.run([_COMMANDS[name][1], *jobs], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(f"{_COMMANDS[name][1]}: {done.stderr.strip()}")


def submitted(run: Path) -> list[Submitted]:
    """What was submitted, earliest first."""
    try:
        lines = (run / "jobs" / "submitted.tsv").read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):  # cut short
            found.append(_submitted(line.split("\t")))
    return found


def _submitted(fields: list[str]) -> Submitted:
    """:raises ValueError: it is no whole line but for its time; a job that is known is not to be forgotten."""
    stage, job, offset, indices, time = fields
    return Submitted(stage, job, int(offset), tuple(expanded(indices)), float(time or 0))


def expanded(indices: str) -> list[int]:
    """``0-2,5`` as 0, 1, 2, 5."""
    numbers: list[int] = []
    for part in filter(None, indices.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def latest(lines: list[Submitted], task: PlannedTask) -> Submitted | None:
    """The last submission the task is in."""
    for line in reversed(lines):
        if line.stage != task.stage:
            continue
        if task.index is None or task.index - line.offset in (line.indices or (0,)):
            return line
    return None
