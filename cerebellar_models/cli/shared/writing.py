"""What a command was asked to write."""

from pathlib import Path

from cerebellar_models.errors import UserError
from cerebellar_models.files import write_atomically


def write_output(output: Path, text: str) -> None:
    """:raises UserError: the file cannot be written."""
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(f"output: {output} cannot be written ({error.strerror})") from error
