"""`cerebellar-models clean`."""

import shutil

import click

from cerebellar_models.installation import cache_folder


@click.command()
@click.option("--yes", is_flag=True, help="Empty the cache instead of only showing it.")
def clean(yes: bool) -> None:
    """Show what the caches of built models and compiled rules hold; with --yes, empty them."""
    from cerebellar_models.connectome.kernels import kept_files

    folder = cache_folder()
    parts = sorted(folder.iterdir()) if folder.is_dir() else []
    for part in parts:
        size = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        click.echo(f"{part}  {size / 1e6:.1f} MB")
        if yes:
            shutil.rmtree(part)
    if kernels := kept_files():
        size = sum(file.stat().st_size for file in kernels)
        click.echo(f"{len(kernels)} files of compiled rules in {kernels[0].parent}  {size / 1e6:.1f} MB")
        for file in kernels if yes else ():
            file.unlink(missing_ok=True)
    if not (parts or kernels):
        click.echo(f"{folder} is empty")
    elif not yes:
        click.echo("nothing removed; --yes removes it")
