"""What of a run was handed to a scheduler, as jobs/submit.sh and `jobs cancel` write it down."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cerebellar_models.runs.tasks import PlannedTask


@dataclass(frozen=True)
class Submitted:
    """A line of jobs/submitted.tsv, which jobs/submit.sh writes."""

    stage: str
    job: str
    """as the scheduler names it; empty if the submission was interrupted before it had said so"""
    offset: int
    """index in the run of the task that is 0 in this array, or of the one task of a job that is none"""
    indices: tuple[int, ...]
    """of an array, as the scheduler counts them"""
    time: float
    """seconds since the epoch"""
    name: str = ""
    """of the job, which no other has: by it, it can be found where its id is not known"""
    cluster: str = ""
    """it was submitted to, if that is not the one at hand"""

    def covers(self, task: PlannedTask) -> int | None:
        """The scheduler's index of the task; None if it is not in an array of this line's."""
        return task.index - self.offset if task.index is not None and self.indices else None


def submitted(run: Path) -> list[Submitted]:
    """What was submitted, earliest first; each job once."""
    try:
        text = (run / "jobs" / "submitted.tsv").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found: dict[object, Submitted] = {}
    for number, line in enumerate(text.splitlines()):
        with contextlib.suppress(ValueError):  # cut short
            read = _submitted(line.split("\t"))
            found[read.name or number] = (
                read  # a name is written down before its job is known, and again with it
            )
    return list(found.values())


def _submitted(fields: list[str]) -> Submitted:
    """:raises ValueError: it is no whole line but for its time; a job that is known is not to be forgotten."""
    stage, job, offset, indices, when, *named = fields
    name = named[0] if named else ""
    number, _, cluster = job.partition(";")
    if not (number or name):
        raise ValueError("neither a job nor a name")
    known = job if number else ""
    return Submitted(stage, known, int(offset), tuple(expanded(indices)), float(when or 0), name, cluster)


def expanded(indices: str) -> list[int]:
    """``0-2,5`` as 0, 1, 2, 5."""
    numbers: list[int] = []
    for part in filter(None, indices.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def covering(lines: Sequence[Submitted], task: PlannedTask) -> list[Submitted]:
    """The submissions the task is in, the last one first."""
    return [
        line
        for line in reversed(lines)
        if line.stage == task.stage
        and (task.index is None or task.index - line.offset in (line.indices or (0,)))
    ]


def _cancelled_path(run: Path) -> Path:
    return run / "jobs" / "cancelled"


def cancelled(run: Path) -> frozenset[str]:
    """The jobs that `cancel` or a failed jobs/submit.sh has cancelled: ids, and names where no id was known."""
    try:
        lines = _cancelled_path(run).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(filter(None, lines))


def add_cancelled(run: Path, jobs: Iterable[str]) -> None:
    with _cancelled_path(run).open("a", encoding="utf-8") as file:
        file.writelines(f"{job}\n" for job in jobs)
