"""What a run on disk says now, in a line."""

from pathlib import Path

from cerebellar_models.jobs.follow import TaskStatus, follow
from cerebellar_models.runs.markers import Marker
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.tasks import PlannedTask


def statuses_of(run: Path) -> list[TaskStatus]:
    return follow(Run.open(run)).statuses


def tasks_of(run: Path) -> tuple[PlannedTask, ...]:
    return Run.open(run).tasks


def marker_of(run: Path, task: str) -> Marker | None:
    opened = Run.open(run)
    return opened.marker(opened.task(task))


def active_jobs(run: Path) -> list[str]:
    return follow(Run.open(run)).active_jobs()
