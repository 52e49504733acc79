"""`cerebellar-models models build / list`."""

import click

from cerebellar_models.errors import RunError


@click.group()
def models() -> None:
    """The neuron models a simulator has to compile."""


@models.command("list")
def list_models() -> None:
    """List the models and whether they are built here."""
    from cerebellar_models.builders import nest_module

    built = "built" if nest_module.is_built() else "not built"
    for name in nest_module.models():
        click.echo(f"{name}  NEST module {nest_module.MODULE}, {built}")


@models.command()
def build() -> None:
    """Build the NEST module, or find it in the cache, and see that it can be loaded."""
    from cerebellar_models.builders import loading, nest_module

    try:
        path = nest_module.build(click.echo)
        loading.check_loadable(path)
    except nest_module.ModelBuildError as error:
        raise RunError(str(error)) from error
    click.echo(f"module: {path}")
