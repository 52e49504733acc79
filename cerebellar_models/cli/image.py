"""`cerebellar-models image`: Docker, Podman and Apptainer behind one verb."""

import json
import os
import shlex
from pathlib import Path

import click

from cerebellar_models.errors import RunError, UserError
from cerebellar_models.images import engines as container

_engine = click.option(
    "--engine", type=click.Choice(container.ENGINES), help="What to use.  [default: the first that answers]"
)
_image = click.argument("image", required=False)


@click.group()
def image() -> None:
    """Build, test and enter the container image.

    IMAGE is the name of a Docker or Podman image, or an Apptainer file that ends in .sif.
    """


@image.command(context_settings={"ignore_unknown_options": True})
@_engine
@_image
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def build(engine: str | None, image: str | None, options: tuple[str, ...]) -> None:
    """Build the image from a checkout of this package.

    OPTIONS after the image go to the engine's own build command, as in: --build-arg NEST_MODELS=full
    """
    container.checkout()
    if image is not None and image.startswith("-"):
        options, image = (image, *options), None
    if engine is None and image is not None and image.endswith(".sif"):
        engine = "apptainer"
    found = container.find_engine(*[engine] if engine else [], for_build=True)
    container.build(found, image or _default(found), options)


@image.command()
@_engine
@_image
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the result there."
)
@click.option("--only", metavar="NAME,...", help="Some of the checks.  [default: all]")
def test(engine: str | None, image: str | None, json_file: Path | None, only: str | None) -> None:
    """Have the image test itself: MPI, NEST, NEURON, HDF5 locks, a small circuit, versions, built files."""
    if json_file is not None and not os.access(json_file.parent, os.W_OK):
        raise UserError(f"--json: {json_file.parent} is no folder that can be written to")
    found, name = _found(engine, image)
    result = container.test(found, name, click.echo, ["--only", only] if only else [])
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if failed := [check["check"] for check in result["checks"] if not check["passed"]]:
        raise RunError(f"image test: {name}: failed: {', '.join(failed)}")
    click.echo(f"{name}: all {len(result['checks'])} checks passed")


@image.command()
@_engine
@_image
def shell(engine: str | None, image: str | None) -> None:
    """Open a shell in the image; the current folder is /work in it."""
    found, name = _found(engine, image)
    command = container.shell_command(found, name, Path.cwd())
    os.execvp(command[0], command)


@image.command()
@_image
@click.option("--ranks", type=click.IntRange(min=2), default=2, show_default=True, help="How many to start.")
@click.option("--launcher", help="The launcher, with its options.  [default: mpirun -np RANKS]")
def preflight(image: str | None, ranks: int, launcher: str | None) -> None:
    """Find out whether this machine's MPI launcher and the image's MPI know each other.

    For ranks that are started outside, each in an image of its own. No rank starts MPI; nothing is computed.
    """
    name = image or str(container.SIF)
    if not name.endswith(".sif"):
        raise UserError(
            f"image: {name} is no Apptainer file (.sif); ranks of other engines are started inside"
        )
    found = container.engine_of(name, "apptainer")
    try:
        command = ["mpirun", "-np", str(ranks)] if launcher is None else shlex.split(launcher)
    except ValueError as error:
        raise UserError(f"--launcher: {launcher!r}: {error}") from error
    if not command:
        raise UserError("--launcher: is empty; an example: 'srun --mpi=pmix --ntasks=2'")
    click.echo(f"ok: {container.preflight(found, name, command, ranks)}")


def _found(engine: str | None, image: str | None) -> tuple[container.Engine, str]:
    name = image or _default(container.find_engine(*[engine] if engine else []))
    return container.engine_of(name, engine), name


def _default(engine: container.Engine) -> str:
    return str(container.SIF) if engine.is_apptainer else container.IMAGE
