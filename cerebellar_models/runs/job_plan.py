"""A planned run: what each stage asks a site for. jobs/plan.json keeps it in the run folder, for what comes after."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cerebellar_models.errors import UserError
from cerebellar_models.sites.profiles import Evidence, Queue, Site

FORMAT = 1
"""of jobs/plan.json; what has none is of earlier versions, and read as this one"""


@dataclass(frozen=True)
class Options:
    """What the user asks for, beside the circuit and the site; None leaves it to the plan, or out."""

    account: str | None = None
    queue: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    mail: str | None = None
    filesystems: str | None = None
    image: str | None = None
    python: str = "python3"
    directives: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    stage_on_scratch: bool = False
    nodes: int | None = None
    """of compile and simulate, as all below"""
    ranks: int | None = None
    threads: int | None = None
    walltime_s: int | None = None


@dataclass(frozen=True)
class Task:
    """One job of a stage; only `simulate` has several: a simulation with a seed each."""

    index: int = 0
    simulation: str | None = None
    seed: int | None = None
    """None: the configuration's own"""
    folder: str | None = None
    """of its results, in the run folder"""


@dataclass(frozen=True)
class JobStage:
    """What a stage asks for; each of its jobs gets all of it."""

    name: str
    after: tuple[str, ...]
    tasks: tuple[Task, ...] = (Task(),)
    nodes: int = 1
    ranks: int = 1
    ranks_per_node: int = 1
    threads: int = 1
    """of each rank"""
    cores_per_node: int = 1
    """charged: those in use, or all where nodes are not shared"""
    memory_mb: int = 2000
    """of a node, for all that runs on it"""
    walltime_s: int = 3600
    storage_bytes: int = 0
    queue: str = ""
    partition: str | None = None
    qos: str | None = None
    directives: tuple[str, ...] = ()
    limited_by: str = ""
    """which number decided on the ranks"""
    tasks_per_job: int = 1
    """side by side on a node of its own, each with the ranks and threads above; 1: a job for each task"""

    @property
    def jobs(self) -> int:
        return math.ceil(len(self.tasks) / self.tasks_per_job)

    @property
    def core_hours(self) -> float:
        """Of all jobs, at most: if each takes its whole walltime."""
        return self.jobs * self.nodes * self.cores_per_node * self.walltime_s / 3600


@dataclass(frozen=True)
class JobPlan:
    """All there is to know to render a run."""

    site: Site
    options: Options
    circuit: str
    """its name"""
    stages: tuple[JobStage, ...]
    notes: tuple[str, ...] = ()
    """what the estimates leave out, or rest on"""

    def to_json(self) -> str:
        content = asdict(self) | {"format": FORMAT}
        for stage in content["stages"]:
            if stage["tasks_per_job"] == 1:  # so that an image of an older version can read it
                del stage["tasks_per_job"]
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "JobPlan":
        """What `to_json` of this version, an older or a newer one writes; what only a newer one knows is left out.

        :raises UserError: it is of a later format.
        :raises ValueError, KeyError, TypeError, AttributeError: it is nothing of the kind.
        """
        content = json.loads(text)
        if content.get("format", FORMAT) > FORMAT:
            raise UserError("is of a later version of cerebellar-models; go on with that")
        site = content["site"] | {
            "queues": [_read(Queue, queue) for queue in content["site"]["queues"]],
            "evidence": [_read(Evidence, entry) for entry in content["site"]["evidence"]],
        }
        stages = tuple(
            _read(JobStage, stage | {"tasks": [_read(Task, task) for task in stage["tasks"]]})
            for stage in content["stages"]
        )
        options = _read(Options, content["options"])
        return cls(_read(Site, site), options, content["circuit"], stages, tuple(content["notes"]))


def _read(kind: Callable[..., Any], values: dict[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
    )


def read_plan(run: Path) -> JobPlan:
    """The plan of a run folder.

    :raises UserError: the folder has no job scripts, or the plan is none.
    """
    path = run / "jobs" / "plan.json"
    try:
        return JobPlan.from_json(path.read_text(encoding="utf-8"))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{run}: has no job scripts (no jobs/plan.json); make them with: jobs render"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path}: is not a job plan ({error}); move it elsewhere and render the scripts again"
        ) from error
