"""The tasks of a run: one for each stage, of a simulation one for each seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cerebellar_models.errors import UserError
from cerebellar_models.runs.job_plan import JobPlan, JobStage, Task


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

    @property
    def title(self) -> str:
        """For people."""
        return self.stage if self.folder is None else f"{self.stage} {self.folder}"


def tasks_of(plan: JobPlan) -> tuple[PlannedTask, ...]:
    """All tasks of a plan, in the order of its stages."""
    return tuple(_planned(stage, task) for stage in plan.stages for task in stage.tasks)


def _planned(stage: JobStage, task: Task) -> PlannedTask:
    index = task.index if stage.name == "simulate" else None
    folder = None if task.folder is None else Path(task.folder).name
    return PlannedTask(stage.name, index, stage.after, task.simulation, folder, stage.storage_bytes)


def named(tasks: Sequence[PlannedTask], name: str) -> PlannedTask:
    """:raises UserError: there is no such task."""
    for task in tasks:
        if task.name == name:
            return task
    raise UserError(f"{name}: is no task of this run; there are: {', '.join(task.name for task in tasks)}")
