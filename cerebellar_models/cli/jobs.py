"""`cerebellar-models jobs`: the HPC side."""

import click


@click.group()
def jobs() -> None:
    """Plan, render, submit and follow a run on a supercomputer."""
