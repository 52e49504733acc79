"""`cerebellar-models run`."""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from cerebellar_models.circuits.catalogue import Tree
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.cli.choosing import about, choice_options, configuration_text, recap
from cerebellar_models.cli.expectation import expectation
from cerebellar_models.errors import UserError

# Off a terminal, progress within a stage is told no oftener than this.
_PROGRESS_INTERVAL_S = 10.0


@click.command()
@choice_options
@click.option("--ranks", type=int, default=1, show_default=True, help="MPI ranks of compile and simulate.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/<choices>]"
)
def run(choices: CircuitChoices, tree: Tree, ranks: int, output: Path | None) -> None:
    """Build the models, compile the circuit, simulate it and report, all into one run folder.

    Stages that are done are not done again: the same command takes up an interrupted run.
    """
    from cerebellar_models.deploy.local import Stages, run_all, simulating_ranks
    from cerebellar_models.deploy.run_folder import RunFolder

    if ranks < 1:
        raise UserError(f"ranks: {ranks} is not at least 1")
    configuration = configuration_text(choices, tree)
    folder = RunFolder(output or Path("runs") / _folder_name(choices, configuration))
    record = folder.open(configuration, about(choices))
    expected = expectation(tree, choices.species, ranks, simulating_ranks(ranks))
    click.echo(f"{recap(choices)}\n{expected}\nrun folder: {folder.path}")
    run_all(folder, record, tree, ranks, Stages(folder, record, *_tellers()))
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
