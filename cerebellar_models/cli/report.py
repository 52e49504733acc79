"""`cerebellar-models report`."""

from pathlib import Path

import click


@click.command()
@click.argument("run_folder", type=click.Path(path_type=Path))
def report(run_folder: Path) -> None:
    """Write report.html and report.json of a run folder anew."""
    from cerebellar_models.deploy.local import write_report
    from cerebellar_models.deploy.run_folder import RunFolder

    folder = RunFolder(run_folder)
    write_report(folder, folder.load())
    click.echo(f"report: {folder.report.resolve()}")
