"""The command line: one thin file per command group that parses, calls and prints."""

import click

from cerebellar_models import __version__
from cerebellar_models.cli.clean import clean
from cerebellar_models.cli.configure import configure
from cerebellar_models.cli.doctor import doctor
from cerebellar_models.cli.image import image
from cerebellar_models.cli.jobs import jobs
from cerebellar_models.cli.models import models
from cerebellar_models.cli.report import report
from cerebellar_models.cli.run import run
from cerebellar_models.errors import RunError, UserError


class _OneLineErrors(click.Group):
    """Ends with one line and the error's exit status where the error is one of ours."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except (UserError, RunError) as error:
            click.echo(f"cerebellar-models: {error}", err=True)
            context.exit(error.exit_status)
        except OSError as error:  # a full disk, a folder that went away
            click.echo(f"cerebellar-models: {error.filename or 'file'}: {error.strerror}", err=True)
            context.exit(RunError.exit_status)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cerebellar-models")
def main() -> None:
    """Reconstruct, simulate and report on cerebellar circuits.

    Exit status: 0 done, 1 a stage failed, 2 bad input.
    """


for command in (configure, run, models, report, jobs, image, doctor, clean):
    main.add_command(command)
