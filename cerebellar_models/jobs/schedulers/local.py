"""This machine: a task is a script that runs here, and its own marker and lease say all there is to know of it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cerebellar_models.jobs.schedulers.common import Answer, Directive, Key, Surroundings
from cerebellar_models.runs.job_plan import JobPlan, JobStage

COMMANDS: tuple[str, ...] = ()
OPTIONS: tuple[str, ...] | None = None  # what is for a scheduler is not looked at
SURROUNDINGS = Surroundings(())
JOB_VARIABLES = ""
SIGNALS_FIRST = False
ENDS_ALL_OF_A_JOB = False
ID_PATTERN = "[0-9]+"
OVER: tuple[str, ...] = ()


def directives(plan: JobPlan, stage: JobStage) -> list[Directive]:
    return []


def more_directives(plan: JobPlan, stage: JobStage, given: Sequence[str]) -> Iterator[str]:
    yield from ()


def job_values(plan: JobPlan, stage: JobStage) -> dict[str, Any]:
    return {}


def submit_values(plan: JobPlan) -> dict[str, Any]:
    return {}


def ask(ids: list[str], recent: set[str]) -> Answer:
    return Answer({})


def jobs_named(names: dict[str, str]) -> dict[str, str]:
    return {}


def cancel_commands(ids: Iterable[str]) -> list[list[str]]:
    return []


def key_of(job: str) -> Key:
    return job, None


def shown(key: Key) -> str:
    return key[0]
