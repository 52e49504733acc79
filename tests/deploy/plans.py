"""Job plans of made-up sites, one for each shape of site, and of the shapes the cluster tests need."""

import json
from types import SimpleNamespace
from typing import Any

HOSTILE = "a b;rm -rf $HOME"


def site(**changes: Any) -> SimpleNamespace:
    """SLURM with Apptainer and PMIx, where nothing is special."""
    values: dict[str, Any] = {
        "name": "made-up",
        "scheduler": "slurm",
        "launcher": "srun",
        "launcher_options": ("--mpi=pmix",),
        "runtime": "apptainer",
        "runtime_options": (),
        "binds": (),
        "modules": (),
        "module_uses": (),
        "environment": {},
        "memory_allowed": True,
        "exclusive": False,
        "select_shape": "select",
        "directives": (),
        "array_limit": None,
        "requeue": False,
        "signal_before_end_s": 120,
        "hdf5_locking": False,
        "scratch": None,
    }
    return SimpleNamespace(**values | changes)


def options(**changes: Any) -> SimpleNamespace:
    values: dict[str, Any] = {
        "account": None,
        "qos": None,
        "constraint": None,
        "reservation": None,
        "mail": None,
        "directives": (),
        "modules": (),
        "image": "/images/cerebellar-models.sif",
        "python": "python3",
        "stage_on_scratch": False,
    }
    return SimpleNamespace(**values | changes)


def stage(name: str, after: tuple[str, ...], tasks: list[SimpleNamespace] | None = None, **changes: Any):
    values: dict[str, Any] = {
        "name": name,
        "after": after,
        "nodes": 1,
        "ranks": 1,
        "ranks_per_node": 1,
        "threads": 1,
        "walltime_s": 3600,
        "memory_mb": 2000,
        "storage_bytes": 1000,
        "queue": None,
        "qos": None,
        "limited_by": "the smallest there is",
        "tasks": tasks or [SimpleNamespace(index=0, simulation=None, seed=None, folder=None)],
    }
    return SimpleNamespace(**values | changes)


def simulations(*names: str, seeds: tuple[int | None, ...] = (None,)) -> list[SimpleNamespace]:
    """One task for each simulation and seed."""
    return [
        SimpleNamespace(
            index=index,
            simulation=name,
            seed=seed,
            folder=f"results/{name}" + (f"-seed{seed}" if seed else ""),
        )
        for index, (name, seed) in enumerate((name, seed) for name in names for seed in seeds)
    ]


def plan(
    at: SimpleNamespace | None = None,
    given: SimpleNamespace | None = None,
    circuit: str = "mouse canonical",
    tasks: list[SimpleNamespace] | None = None,
    **mpi: Any,
) -> SimpleNamespace:
    """All four stages; ``mpi`` changes those that run on ranks."""
    shape = {"nodes": 2, "ranks": 4, "ranks_per_node": 2} | mpi
    stages = (
        stage("models", ()),
        stage("compile", (), **shape),
        stage("simulate", ("models", "compile"), tasks or simulations("basal_activity"), **shape),
        stage("report", ("simulate",)),
    )
    return SimpleNamespace(site=at or site(), options=given or options(), circuit=circuit, stages=stages)


def plan_json(of: SimpleNamespace) -> str:
    return json.dumps(of, default=vars, indent=2)
