"""Job plans of made-up numbers: of made-up sites, one for each shape of site, and of the package's own."""

from pathlib import Path
from typing import Any

from cerebellar_models.jobs.render import render
from cerebellar_models.runs.job_plan import JobPlan, JobStage, Options, Task
from cerebellar_models.runs.run_folder import RunFolder, RunRecord
from cerebellar_models.sites.profiles import Queue, Site


def site(**changes: Any) -> Site:
    """SLURM with Apptainer and PMIx, where nothing is special."""
    values: dict[str, Any] = {
        "name": "made-up",
        "scheduler": "slurm",
        "launcher": "srun",
        "launcher_options": ("--mpi=pmix",),
        "runtime": "apptainer",
        "resources": "select={nodes}:ncpus={cores}:mpiprocs={ranks_per_node}:mem={memory_mb}mb",
    }
    return Site(**values | changes)


def options(**changes: Any) -> Options:
    return Options(**{"image": "/images/cerebellar-models.sif"} | changes)


def simulations(*names: str, seeds: tuple[int | None, ...] = (None,)) -> tuple[Task, ...]:
    """One task for each simulation and seed."""
    return tuple(
        Task(index, name, seed, f"results/{name}" + (f"-seed{seed}" if seed else ""))
        for index, (name, seed) in enumerate((name, seed) for name in names for seed in seeds)
    )


def plan(
    at: Site | None = None,
    given: Options | None = None,
    circuit: str = "mouse canonical",
    tasks: tuple[Task, ...] | None = None,
    **mpi: Any,
) -> JobPlan:
    """All four stages, in the first queue that takes two nodes; ``mpi`` changes those that run on ranks."""
    at = at or site()
    queue = next((queue for queue in at.queues if queue.least_nodes <= 2 <= (queue.nodes or 2)), Queue(""))
    common = {
        "storage_bytes": 1000,
        "queue": queue.name,
        "partition": queue.partition,
        "qos": (given and given.qos) or queue.qos,
        "directives": queue.directives,
        "limited_by": "the smallest there is",
    }
    shape = common | {"nodes": 2, "ranks": 4, "ranks_per_node": 2, "cores_per_node": 2} | mpi
    stages = (
        JobStage("models", (), **common),
        JobStage("compile", (), **shape | {"tasks_per_job": 1}),
        JobStage("simulate", ("models", "compile"), tasks or simulations("basal_activity"), **shape),
        JobStage("report", ("simulate",), **common),
    )
    return JobPlan(at, given or options(), circuit, stages)


def write_run(folder: Path) -> Path:
    """The folder, as a run for SLURM whose simulation has three tasks in arrays of two."""
    (folder / "jobs" / "state").mkdir(parents=True)
    of = plan(
        site(array_limit=2, runtime="none"),
        options(),
        tasks=simulations("basal_activity", seeds=(None, 7, 8)),
    )
    for path, text in render(of).items():
        (folder / path).write_text(text)
    (folder / "jobs" / "plan.json").write_text(of.to_json())
    RunFolder(folder).save(RunRecord({}, {}))
    return folder
