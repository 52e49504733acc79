"""The command line: one thin file per command group that parses, calls and prints."""

import tempfile
from pathlib import Path
from typing import Any

import click

from cerebellar_models import __version__, streams
from cerebellar_models.cli.clean import clean
from cerebellar_models.cli.configure import configure
from cerebellar_models.cli.digest import digest
from cerebellar_models.cli.doctor import doctor
from cerebellar_models.cli.image import image
from cerebellar_models.cli.jobs import jobs
from cerebellar_models.cli.models import models
from cerebellar_models.cli.report import report
from cerebellar_models.cli.run import run
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.files import NO_ROOM, full_folders
from cerebellar_models.installation import cache_folder


class _OneLineErrors(click.Group):
    """Ends with one line and the error's exit status where the error is one of ours."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        streams.prepare()
        return super().main(*arguments, **settings)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (UserError, RunError) as error:
            click.echo(f"cerebellar-models: {error}", err=True)
            context.exit(error.exit_status)
        except BrokenPipeError:
            streams.end_of_reader()
        except OSError as error:  # a full disk, a folder that went away
            click.echo(f"cerebellar-models: {_where(error)}: {error.strerror or error}", err=True)
            context.exit(RunError.exit_status)


def _where(error: OSError) -> str:
    """The file or folder an error is about; if it names none, as a full disk does, the folders that are full."""
    if error.filename is not None:
        return str(error.filename)
    here = Path.cwd()
    if error.errno not in NO_ROOM:
        return str(here)
    full = full_folders(here, Path(tempfile.gettempdir()), cache_folder())
    return ", ".join(map(str, full)) or "standard output"  # in a file of another disk


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cerebellar-models")
def main() -> None:
    """Reconstruct, simulate and report on cerebellar circuits.

    Exit status: 0 done, 1 a stage failed, 2 bad input.
    """


for command in (configure, run, models, report, digest, jobs, image, doctor, clean):
    main.add_command(command)
