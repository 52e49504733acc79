"""`cerebellar-models report`."""

from pathlib import Path

import click


@click.command()
@click.argument("run_folder", type=click.Path(path_type=Path))
def report(run_folder: Path) -> None:
    """Write report.html and report.json of a run folder anew."""
    from cerebellar_models.runs.reporting import write_report
    from cerebellar_models.runs.run_folder import RunFolder
    from cerebellar_models.runs.usage import leave_usage_at_end

    leave_usage_at_end()
    folder = RunFolder(run_folder)
    for line in write_report(folder, folder.load()):
        click.echo(f"missing in the report: {line}", err=True)
    click.echo(f"report: {folder.report.resolve()}")
