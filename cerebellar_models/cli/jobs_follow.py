"""`cerebellar-models jobs submit / status / cancel / resume`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cerebellar_models.cli.table import aligned
from cerebellar_models.errors import UserError

if TYPE_CHECKING:
    from cerebellar_models.deploy.follow import TaskStatus

_run_folder = click.argument("run", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.command()
@_run_folder
@click.argument("stages", nargs=-1)
@_json
def submit(run: Path, stages: tuple[str, ...], as_json: bool) -> None:
    """Submit a rendered run, each stage after those it needs.

    STAGES: only these, and of an array only some tasks: `compile simulate=0,2 report`. At the site `local` the
    stages run here, one after the other.
    """
    from cerebellar_models.deploy import submit as scheduler
    from cerebellar_models.deploy.job_plan import read_plan

    read_plan(run)
    refuse_if_active(run)
    scheduler.submit(run, stages, quiet=as_json)
    _show(run, as_json)


def refuse_if_active(run: Path) -> None:
    """:raises UserError: some of the run's tasks wait or run, and its scripts are not to change under them."""
    from cerebellar_models.deploy import follow

    if not (run / "jobs" / "plan.json").exists():
        return
    _refuse_active(run, follow.status(run))


def _refuse_active(run: Path, statuses: "list[TaskStatus]") -> None:
    for unknown in statuses:
        if unknown.state == "unknown":
            raise UserError(
                f"{run}: whether {unknown.task} still runs is unknown: {unknown.detail}; try again where the "
                "scheduler answers, or, if you are sure that no job of this run is left, remove jobs/submitted.tsv"
            )
    active = [entry.task for entry in statuses if entry.active]
    if active:
        raise UserError(
            f"{run}: {', '.join(active)} waits or runs already; wait for its end, or `jobs cancel` first"
        )


@click.command()
@_run_folder
@_json
def status(run: Path, as_json: bool) -> None:
    """Say how far each task is, and keep that in run.json."""
    _show(run, as_json)


@click.command()
@_run_folder
@_json
def cancel(run: Path, as_json: bool) -> None:
    """Cancel what waits or runs; what is done stays."""
    from cerebellar_models.deploy import follow
    from cerebellar_models.deploy import submit as scheduler

    jobs = follow.active_jobs(run, follow.status(run))
    if jobs:
        scheduler.cancel(run, jobs)
    if as_json:
        click.echo(json.dumps({"cancelled": jobs}))
    else:
        click.echo(f"cancelled: {', '.join(jobs)}" if jobs else "nothing waits or runs")


@click.command()
@_run_folder
@_json
def resume(run: Path, as_json: bool) -> None:
    """Submit what is neither done nor on its way.

    A stage that was stopped starts again from its beginning: NEST cannot write down its state and go on from it.
    """
    from cerebellar_models.deploy import follow
    from cerebellar_models.deploy import submit as scheduler
    from cerebellar_models.deploy.task import planned_tasks

    statuses = follow.status(run)
    _refuse_active(run, statuses)
    done = {entry.task for entry in statuses if entry.state == "done"}
    missing = follow.missing(planned_tasks(run), done)
    if missing:
        scheduler.submit(run, scheduler.stage_arguments(missing), quiet=as_json)
    elif not as_json:
        click.echo("everything is done")
    _show(run, as_json)


def _show(run: Path, as_json: bool) -> None:
    from cerebellar_models.deploy import follow

    statuses = follow.status(run)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in statuses], indent=2))
    else:
        click.echo(_table(statuses))
    try:
        follow.record(run, statuses)
    except (UserError, OSError) as error:  # someone else's folder can be looked at
        click.echo(f"{run / 'run.json'}: not brought up to date: {error}", err=True)


def _table(statuses: "list[TaskStatus]") -> str:
    rows = [("task", "state", "job", "time", "memory", "nodes", "")]
    rows += [
        (
            entry.task,
            entry.state,
            entry.job,
            "" if entry.seconds is None else f"{entry.seconds:.0f} s",
            "" if entry.node_mb is None else f"{entry.node_mb:.0f} MB",
            entry.hosts,
            entry.detail,
        )
        for entry in statuses
    ]
    return aligned(rows)
