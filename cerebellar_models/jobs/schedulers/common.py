"""What the schedulers share: the types of their answers, and the one place that calls their commands."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Literal

# A controller that is overloaded answers late; its commands give up by themselves, most after this time.
_PATIENCE_S = 120
# For so long after its submission, a job that is not listed may be one that is not listed yet: a controller keeps
# what has ended in its list for MinJobAge, 300 s by default, and caches before it are emptied every minute or so.
UNLISTED_S = 300

Key = tuple[str, int | None]
"""A job as the scheduler names it, and its index in an array"""
Phase = Literal["waiting", "running", "ended", "cancelled", "unknown"]
"""What a scheduler's word for the state of a job means for us. A word we do not know is ``unknown``: such a job may
still run, and it is not submitted again."""


Directive = tuple[str, str, object]
"""Option of the submitting command as it stands before its value, what it is called here, and the value, if any"""


class NoAnswerError(Exception):
    """The scheduler's command is not here, failed, or printed what cannot be read; the message says which."""


@dataclass(frozen=True)
class SchedulerJob:
    """A job or a part of an array, as its scheduler sees it."""

    phase: Phase
    state: str
    """the scheduler's own word"""
    reason: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    max_rss_mb: float | None = None
    """of the largest rank, as sampled"""
    hosts: str = ""

    @property
    def active(self) -> bool:
        return self.phase not in ("ended", "cancelled")


@dataclass(frozen=True)
class Answer:
    """What is known of jobs; those that are in none of these are not listed (any more, or yet)."""

    jobs: dict[Key, SchedulerJob]
    silent: str = ""
    """why the scheduler has not answered"""
    forgotten: frozenset[str] = frozenset()
    """jobs of which it said that it knows none of that id"""


@dataclass(frozen=True)
class Surroundings:
    """What of the user's environment a scheduler's commands are called with."""

    options: tuple[str, ...]
    """beginnings of the names of variables that change what its commands do or print"""
    reaching: tuple[str, ...] = ()
    """those of them without which its commands do not find it"""
    given: tuple[tuple[str, str], ...] = ()
    """what is set besides"""

    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in self.reaching or not name.startswith(self.options)
        }
        return kept | dict(self.given)


def output(surroundings: Surroundings, command: list[str], forgotten: re.Pattern[str] | None = None) -> str:
    """What a command printed, whatever its encoding, and what it said of jobs that it has ``forgotten``.

    :raises NoAnswerError: it is not here, or failed for another reason.
    """
    if shutil.which(command[0]) is None:
        raise NoAnswerError(f"no {command[0]} here")
    try:
        done = subprocess.run(
            command,
            env=surroundings.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoAnswerError(f"{command[0]} does not answer ({type(error).__name__})") from error
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = [line for line in said if forgotten and forgotten.search(line)]
    if done.returncode != 0 and not (said and told == said):
        reason = said[-1] if said else f"status {done.returncode}"
        raise NoAnswerError(reason if reason.startswith(command[0]) else f"{command[0]}: {reason}")
    return done.stdout if done.returncode == 0 else done.stdout + "".join(f"{line}\n" for line in told)
