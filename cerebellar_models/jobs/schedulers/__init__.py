"""The schedulers: all that is one scheduler's own lies in its file here and in its folder of templates, nowhere else.

A new one is a module of this package with what `Scheduler` has, and a folder of its name in jobscripts/templates with
job.sh.j2 and submit.sh.j2 (and launch.sh.j2, tidy.sh.j2 where its jobs need them). May not be in here: anything of
tasks, markers or leases.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

from cerebellar_models.jobs.schedulers.common import (
    UNLISTED_S,
    Answer,
    Directive,
    Key,
    NoAnswerError,
    SchedulerJob,
    Surroundings,
    output,
)
from cerebellar_models.runs.job_plan import JobPlan, JobStage

__all__ = [
    "UNLISTED_S",
    "Answer",
    "Key",
    "NoAnswerError",
    "Scheduler",
    "SchedulerJob",
    "ask",
    "cancel",
    "jobs_named",
    "scheduler",
    "scheduler_names",
]


class Scheduler(Protocol):
    """What a module of a scheduler has."""

    COMMANDS: tuple[str, ...]
    """what is needed to submit to it, to look into its queue, and to cancel"""
    OPTIONS: tuple[str, ...] | None
    """fields of `Options` that it knows something like; None: it takes none, and refuses none"""
    SURROUNDINGS: Surroundings
    JOB_VARIABLES: str
    """beginning of the names of variables that it sets in a job"""
    SIGNALS_FIRST: bool
    """whether its jobs hear of the end of their walltime before it comes"""
    ENDS_ALL_OF_A_JOB: bool
    """whether it ends what a script that was killed has started"""
    ID_PATTERN: str
    """what its submitting command answers, as grep -E reads it"""
    OVER: tuple[str, ...]
    """its words for a job that is over"""

    def directives(self, plan: JobPlan, stage: JobStage) -> list[Directive]:
        """What the user and the plan chose."""

    def more_directives(self, plan: JobPlan, stage: JobStage, given: Sequence[str]) -> Iterator[str]:
        """What it has to be told beside the lines that the site and the user give."""

    def job_values(self, plan: JobPlan, stage: JobStage) -> dict[str, Any]:
        """Of its own for job.sh.j2."""

    def submit_values(self, plan: JobPlan) -> dict[str, Any]:
        """Of its own for submit.sh.j2."""

    def ask(self, ids: list[str], recent: set[str]) -> Answer:
        """:raises NoAnswerError: it does not answer."""

    def jobs_named(self, names: dict[str, str]) -> dict[str, str]:
        """:raises NoAnswerError: it does not answer."""

    def cancel_commands(self, ids: Iterable[str]) -> list[list[str]]: ...

    def key_of(self, job: str) -> Key:
        """What a job script calls its job, as `Answer` does."""

    def shown(self, key: Key) -> str:
        """A job or a part of an array as the scheduler's own commands take it."""


def scheduler_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "common")


def scheduler(name: str) -> Scheduler:
    return cast(Scheduler, importlib.import_module(f"{__name__}.{name}"))


def ask(name: str, ids: Iterable[str], recent: Iterable[str] = ()) -> Answer:
    """What the scheduler says about these jobs.

    :param recent: those of them that were submitted so lately that to be silent about them is not to have forgotten
        them: it is asked about each by itself.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return Answer({})
    try:
        found = scheduler(name).ask(wanted, set(recent))
    except NoAnswerError as error:
        return Answer({}, str(error))
    jobs = {key: job for key, job in found.jobs.items() if key[0] in wanted}
    return Answer(jobs, found.silent, found.forgotten)


def jobs_named(name: str, names: dict[str, str]) -> dict[str, str]:
    """Ids by the names that submissions have; only of those the scheduler lists.

    :param names: and the clusters to look on, empty for the one at hand.
    :raises NoAnswerError: it does not answer.
    """
    return scheduler(name).jobs_named(names) if names else {}


def cancel(name: str, ids: Iterable[str]) -> None:
    """:raises NoAnswerError: the scheduler refused, or is not here."""
    of = scheduler(name)
    for command in of.cancel_commands(ids):
        output(of.SURROUNDINGS, command)
