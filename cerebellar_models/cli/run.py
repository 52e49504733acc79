"""`cerebellar-models run`."""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.texts import about, configuration_text, recap, rows
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.cli.jobs.follow import refuse_if_active
from cerebellar_models.cli.shared.costs_in_words import expectation
from cerebellar_models.cli.shared.flags import choice_options
from cerebellar_models.tree import Tree

# Off a terminal, progress within a stage is told no oftener than this.
_PROGRESS_INTERVAL_S = 10.0


@click.command()
@choice_options
@click.option("--ranks", type=int, default=1, show_default=True, help="MPI ranks of compile and simulate.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/<choices>]"
)
def run(choices: CircuitChoices, tree: Tree, threads: int | None, ranks: int, output: Path | None) -> None:
    """Build the models, compile the circuit, simulate it and report, all into one run folder.

    Stages that are done are not done again: the same command takes up an interrupted run. Other --threads simulate
    again, and keep the circuit.
    """
    from cerebellar_models.jobs import local
    from cerebellar_models.jobs.prepare import prepare
    from cerebellar_models.runs.run import Run
    from cerebellar_models.runs.run_folder import RunFolder

    local.check_ranks(ranks)
    configuration = configuration_text(choices, tree)
    folder = RunFolder(output or Path("runs") / _folder_name(choices, configuration))
    folder.check(configuration)
    refuse_if_active(folder.path)
    threads = threads or local.threads_asked_before(folder.path)
    plan = local.local_plan(tree, choices.species, ranks, threads)
    used = with_threads(tree, threads or 1)
    expected = expectation(used, choices.species, ranks, local.simulating_ranks(ranks))
    click.echo(f"{recap(choices)}\n{expected}\nrun folder: {folder.path}")
    teller = local.Teller(*_tellers())
    found = Run(folder, plan)
    if all(local.is_whole(found, task) for task in found.tasks):  # nothing is written then
        for task in found.tasks:
            teller.tell(f"{task.title}: done before")
    else:
        prepare(folder.path, configuration, about(choices), plan, rows(choices)).write()
        local.run_all(Run(folder, plan), teller)
    click.echo(f"report: {folder.report.resolve()}")


def _folder_name(choices: CircuitChoices, configuration: str) -> str:
    x, y = choices.size
    digest = hashlib.sha256(configuration.encode()).hexdigest()[:8]
    return f"{choices.species}-{choices.state}-{x:g}x{y:g}-{digest}"


def _tellers() -> tuple[Callable[[str], None], Callable[[str], None]]:
    """One that prints lines that stay, one that shows progress: in place on a terminal, now and then elsewhere."""
    if sys.stdout.isatty():
        clear = "\r\033[K"
        return (lambda text: click.echo(clear + text)), (lambda text: click.echo(clear + text, nl=False))
    last = time.monotonic()

    def now_and_then(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_INTERVAL_S:
            last = time.monotonic()
            click.echo(f"  {text}")

    return click.echo, now_and_then
