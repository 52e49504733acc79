"""`cerebellar-models image`: Docker, Podman and Apptainer behind one verb."""

import click


@click.group()
def image() -> None:
    """Build, test and enter the container image."""
