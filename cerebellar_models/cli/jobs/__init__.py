"""`cerebellar-models jobs`: the HPC side."""

import click

from cerebellar_models.cli.jobs.calibrate import calibrate
from cerebellar_models.cli.jobs.follow import cancel, resume, status, submit
from cerebellar_models.cli.jobs.render import plan, render
from cerebellar_models.cli.jobs.sites import sites


@click.group()
def jobs() -> None:
    """Plan, render, submit and follow a run on a supercomputer."""


for command in (sites, plan, render, submit, status, cancel, resume, calibrate):
    jobs.add_command(command)
