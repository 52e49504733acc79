"""`cerebellar-models jobs plan / render`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cerebellar_models.cli.jobs.follow import refuse_if_active
from cerebellar_models.cli.jobs.options import Job, job_options
from cerebellar_models.cli.shared.table import aligned

if TYPE_CHECKING:
    from cerebellar_models.runs.job_plan import JobPlan, JobStage


@click.command()
@job_options
def plan(jobs: list[Job], several: bool, as_json: bool) -> None:
    """Say what a circuit will take at a site, stage by stage, and which number decides."""
    if as_json:
        content = [{"name": job.circuit.name} | _as_json(job.plan) for job in jobs]
        click.echo(json.dumps(content if several else content[0], indent=2))
        return
    for job in jobs:
        click.echo(_table(job.plan))


@click.command()
@job_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run folder; with --species, one in it for each state.  [default: runs/<circuit>-<site>]",
)
def render(jobs: list[Job], several: bool, as_json: bool, output: Path | None) -> None:
    """Write a run folder with job scripts, ready to be submitted here or copied to where its scheduler is.

    Into a folder that is there, the scripts are written anew; what is done is left alone.
    """
    from cerebellar_models.jobs.prepare import prepare
    from cerebellar_models.jobs.submit import how_to_submit

    runs = {_folder(job, output, several): job for job in jobs}
    prepared = {}
    for run, job in runs.items():  # all of them, before the first is written
        refuse_if_active(run)
        circuit = job.circuit
        prepared[run] = prepare(run, circuit.configuration, circuit.about, job.plan, circuit.choices)
    written = {run: each.write() for run, each in prepared.items()}
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"run": str(run), "files": [str(path) for path in paths]} | _as_json(runs[run].plan)
                    for run, paths in written.items()
                ],
                indent=2,
            )
        )
        return
    for run, job in runs.items():
        click.echo(f"{_table(job.plan)}\nrun folder: {run}\n{how_to_submit(run, job.plan.site.scheduler)}")


def _folder(job: Job, output: Path | None, several: bool) -> Path:
    site = job.plan.site.name
    if not several:
        return output or Path("runs") / f"{job.circuit.name}-{site}"
    return (output or Path("runs") / f"{job.circuit.species}-{site}") / job.circuit.name


def _as_json(plan: "JobPlan") -> dict[str, Any]:
    stages = [
        asdict(stage) | {"jobs": stage.jobs, "core_hours": round(stage.core_hours, 1)}
        for stage in plan.stages
    ]
    return {
        "circuit": plan.circuit,
        "site": plan.site.name,
        "stages": stages,
        "core_hours": round(sum(stage.core_hours for stage in plan.stages), 1),
        "notes": plan.notes,
    }


def _table(plan: "JobPlan") -> str:
    from cerebellar_models.costs.estimate import MEMORY_SAFETY, STORAGE_SAFETY, WALLTIME_SAFETY

    rows: list[tuple[str, ...]] = [
        (
            "stage",
            "tasks",
            "jobs",
            "nodes",
            "ranks",
            "threads",
            "memory",
            "walltime",
            "disk",
            "core h",
            "queue",
            "",
        )
    ]
    rows += [_row(stage) for stage in plan.stages]
    total = sum(stage.core_hours for stage in plan.stages)
    unsure = [entry.fact for entry in plan.site.evidence if not entry.verified]
    lines = [
        f"{plan.circuit} at {plan.site.name}",
        aligned(rows),
        f"at most {total:.1f} core hours; margins in it: memory x {MEMORY_SAFETY:g}, walltime x {WALLTIME_SAFETY:g}, "
        f"disk x {STORAGE_SAFETY:g}; "
        "memory is of a node, ranks, threads and disk of a task",
    ]
    lines += [f"note: {note}" for note in (*plan.notes, *plan.site.notes)]
    if unsure:
        lines.append(
            f"note: not verified of {plan.site.name}: {', '.join(unsure)} (see jobs sites {plan.site.name})"
        )
    return "\n".join(lines)


def _row(stage: "JobStage") -> tuple[str, ...]:
    from cerebellar_models.jobs.render import walltime

    return (
        stage.name,
        str(len(stage.tasks)),
        str(stage.jobs),
        str(stage.nodes),
        str(stage.ranks),
        str(stage.threads),
        f"{stage.memory_mb} MB",
        walltime(stage.walltime_s),
        f"{stage.storage_bytes / 1e6:.0f} MB",
        f"{stage.core_hours:.1f}",
        stage.queue,
        stage.limited_by,
    )
