"""A rendered run as it is on disk at one moment; all that follows, submits or carries out a run is a function of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cerebellar_models.runs.job_plan import JobPlan, read_plan
from cerebellar_models.runs.leases import Lease, leases
from cerebellar_models.runs.markers import Marker, read_marker
from cerebellar_models.runs.products import Product, Products, Standing, standing
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.runs.submissions import Submitted, cancelled, submitted
from cerebellar_models.runs.tasks import PlannedTask, named, tasks_of


@dataclass(frozen=True)
class Run:
    """Each file is read once, when it is first asked for: after a change on disk, open it anew."""

    folder: RunFolder
    plan: JobPlan

    @classmethod
    def open(cls, path: Path) -> "Run":
        """:raises UserError: the folder has no job scripts, or their plan cannot be read."""
        return cls(RunFolder(path), read_plan(path))

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def scheduler(self) -> str:
        """slurm, pbs or local."""
        return self.plan.site.scheduler

    @cached_property
    def tasks(self) -> tuple[PlannedTask, ...]:
        """In the order of the stages."""
        return tasks_of(self.plan)

    def task(self, name: str) -> PlannedTask:
        """:raises UserError: there is no such task."""
        return named(self.tasks, name)

    @cached_property
    def submissions(self) -> tuple[Submitted, ...]:
        """Earliest first; each job once."""
        return tuple(submitted(self.path))

    @cached_property
    def cancelled(self) -> frozenset[str]:
        """Jobs that `jobs cancel` or a failed jobs/submit.sh has cancelled: ids, and names where no id was known."""
        return cancelled(self.path)

    @cached_property
    def leases(self) -> dict[str, Lease]:
        """By task: who works on it, or did."""
        return leases(self.path)

    @cached_property
    def products(self) -> Products:
        return Products(self.folder)

    @cached_property
    def _markers(self) -> dict[str, Marker | None]:
        return {}

    def marker(self, task: PlannedTask) -> Marker | None:
        """What the task has said last; None if it has never begun."""
        if task.name not in self._markers:
            self._markers[task.name] = read_marker(self.path, task)
        return self._markers[task.name]

    def log(self, task: PlannedTask) -> Path:
        return self.folder.logs / f"{task.name}.log"

    def product(self, task: PlannedTask) -> Product | None:
        """None for the models, whose product is a cache outside the run."""
        if task.stage == "compile":
            return self.products.circuit
        if task.stage == "simulate":
            assert task.folder is not None
            return self.products.results(task.folder, task.simulation, self.plan.options.threads)
        return self.products.report if task.stage == "report" else None

    def standing(self, task: PlannedTask, thorough: bool = False) -> Standing:
        """Whether the task's product is whole; of the models, whether their task has said so."""
        product = self.product(task)
        if product is not None:
            return standing(product, thorough)
        marker = self.marker(task)
        return Standing(marker is not None and marker.state == "done")
