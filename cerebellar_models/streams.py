"""What this process reads from and prints to, made safe where a program is started: closed, or of another encoding."""

import os
import signal
import sys
from typing import TextIO, cast


def prepare() -> None:
    """Output never ends in an error of its encoding or for want of a stream: what cannot be shown is a question mark.

    For the start of a program, before it opens anything.
    """
    # A file opened later would get the number of a closed stream, and everything this process starts would write to it.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _nothing(number))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # tests put others in their place
            stream.reconfigure(errors="replace")


def _nothing(number: int) -> TextIO:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
    return cast(TextIO, open(os.devnull, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123


def end_of_reader() -> None:
    """Ends this process as every other whose reader has gone (``| head -1``): without a word, by SIGPIPE."""
    # Python would try again to write what is left, and say that it could not.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
