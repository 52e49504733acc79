"""`cerebellar-models clean`."""

import shutil

import click

from cerebellar_models.cache import cache_folder


@click.command()
@click.option("--yes", is_flag=True, help="Empty the cache instead of only showing it.")
def clean(yes: bool) -> None:
    """Show what the cache of built models holds; with --yes, empty it."""
    folder = cache_folder()
    parts = sorted(folder.iterdir()) if folder.is_dir() else []
    for part in parts:
        size = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        click.echo(f"{part}  {size / 1e6:.1f} MB")
        if yes:
            shutil.rmtree(part)
    if not parts:
        click.echo(f"{folder} is empty")
    elif not yes:
        click.echo("nothing removed; --yes removes it")
