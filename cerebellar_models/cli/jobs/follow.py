"""`cerebellar-models jobs submit / status / cancel / resume`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cerebellar_models.cli.shared.table import aligned
from cerebellar_models.errors import UserError

if TYPE_CHECKING:
    from cerebellar_models.jobs.follow import Followed, TaskStatus
    from cerebellar_models.runs.run import Run
    from cerebellar_models.runs.tasks import PlannedTask

_run_folder = click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.command()
@_run_folder
@click.argument("stages", nargs=-1)
@_json
def submit(path: Path, stages: tuple[str, ...], as_json: bool) -> None:
    """Submit a rendered run, each stage after those it needs; what is done is not submitted again.

    STAGES: only these, and of an array only some tasks: `compile simulate=0,2 report`. At the site `local` the
    stages run here, one after the other: Ctrl-C, kill (SIGTERM) or a closed terminal stops the stage that runs,
    which is waited for. Started with `&` in a script, it does not hear Ctrl-C, and below nohup no closed terminal:
    end it with kill.
    """
    from cerebellar_models.jobs.submit import asked_for
    from cerebellar_models.runs.run import Run

    run = Run.open(path)
    _submit_missing(run, asked_for(run, stages), as_json)


def _submit_missing(run: "Run", tasks: "Sequence[PlannedTask]", as_json: bool) -> None:
    """Of these tasks, those that are not done.

    :raises UserError: something of the run waits or runs, or may.
    """
    from cerebellar_models.jobs import follow
    from cerebellar_models.jobs import submit as scheduler

    followed = follow.follow(run)
    _refuse_active(followed)
    for damaged in (entry for entry in followed.statuses if entry.state == "damaged"):
        raise UserError(damaged.detail)
    missing = follow.missing(tasks, {entry.task for entry in followed.statuses if entry.state == "done"})
    if missing:
        scheduler.submit(run, scheduler.stage_arguments(missing), quiet=as_json)
    elif not as_json:
        names = ", ".join(task.name for task in tasks)
        everything = len(tasks) == len(run.tasks)
        click.echo("everything is done" if everything else f"{names}: done before; nothing is submitted")
    _show(run.path, as_json)


def refuse_if_active(path: Path) -> None:
    """:raises UserError: some of the run's tasks wait or run, and its scripts are not to change under them."""
    from cerebellar_models.jobs.follow import follow
    from cerebellar_models.runs.run import Run

    if (path / "jobs" / "plan.json").exists():
        _refuse_active(follow(Run.open(path)))


def _refuse_active(followed: "Followed") -> None:
    from cerebellar_models.runs.leases import works

    run = followed.run
    for unknown in followed.statuses:
        if unknown.state == "unknown":
            raise UserError(
                f"{run.path}: whether {unknown.task} still runs is unknown: {unknown.detail}; try again where the "
                "scheduler answers, or, if you are sure that no job of this run is left, remove jobs/submitted.tsv"
            )
    active = [entry.task for entry in followed.statuses if entry.active]
    for lease in run.leases.values() if run.scheduler == "local" else ():
        if lease.task in active and works(lease) is None:
            raise UserError(
                f"{run.path}: {lease.owner} works on {lease.task}, as far as can be seen from here; wait for its end, "
                f"or, if you are sure that it is gone, remove {lease.path}"
            )
    if active:
        raise UserError(
            f"{run.path}: {', '.join(active)} waits or runs already; wait for its end, or `jobs cancel` first"
        )


@click.command()
@_run_folder
@_json
def status(path: Path, as_json: bool) -> None:
    """Say how far each task is, and keep that in run.json."""
    _show(path, as_json)


@click.command()
@_run_folder
@_json
def cancel(path: Path, as_json: bool) -> None:
    """Cancel what waits or runs; what is done stays."""
    from cerebellar_models.jobs import submit as scheduler
    from cerebellar_models.jobs.follow import follow
    from cerebellar_models.runs.run import Run

    run = Run.open(path)
    jobs = follow(run).active_jobs()
    if jobs:
        scheduler.cancel(run, jobs)
    if as_json:
        click.echo(json.dumps({"cancelled": jobs}))
    else:
        click.echo(f"cancelled: {', '.join(jobs)}" if jobs else "nothing waits or runs")


@click.command()
@_run_folder
@_json
def resume(path: Path, as_json: bool) -> None:
    """Submit what is neither done nor on its way.

    A stage that was stopped starts again from its beginning: NEST cannot write down its state and go on from it.
    """
    from cerebellar_models.runs.run import Run

    run = Run.open(path)
    _submit_missing(run, run.tasks, as_json)


def _show(path: Path, as_json: bool) -> None:
    from cerebellar_models.jobs import follow
    from cerebellar_models.runs.run import Run

    followed = follow.follow(Run.open(path))
    statuses = followed.statuses
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in statuses], indent=2))
    else:
        click.echo(_table(statuses))
    try:
        follow.record(followed)
    except (UserError, OSError) as error:  # someone else's folder can be looked at
        click.echo(f"{path / 'run.json'}: not brought up to date: {error}", err=True)


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
