"""Text files: always UTF-8 whatever the locale is, and written whole or not at all.

What the operating system refuses names the file or the folder it was about.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from cerebellar_models.errors import UserError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""numbers of the errors that a full disk or a used up quota gives"""

# A file system with less than this left is full: what could not be written was larger.
_FULL_BYTES = 2**20


def read_text(path: Path) -> str:
    """Text that somebody wrote, with or without the mark that some editors put at its start.

    :raises UserError: it is not UTF-8.
    :raises OSError: it cannot be read.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: line {line} is not UTF-8 text (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None


def write_text(path: Path, text: str) -> None:
    """:raises OSError: names the file, also where the disk is full."""
    with naming(path):
        path.write_text(text, encoding="utf-8")


def write_atomically(path: Path, text: str) -> None:
    """Under a temporary name first, so that a file with the final name is complete.

    :raises OSError: names the file; what was there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with naming(path):
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the operating system in here names ``path``, if it names nothing itself: a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def full_folders(*folders: Path) -> list[Path]:
    """Those of the folders whose file system has no room left, one for each file system."""
    full: dict[int, Path] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            there = _nearest(folder)
            if _is_full(there):
                full.setdefault(there.stat().st_dev, folder)
    return list(full.values())


def _is_full(folder: Path) -> bool:
    """Of bytes, or of files where the file system has a number of them (f_files)."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize < _FULL_BYTES or (state.f_files > 0 and state.f_favail == 0)


def _nearest(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(each for each in (absolute, *absolute.parents) if each.exists())
