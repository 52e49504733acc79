"""OpenPBS and PBS Professional: their commands, words and ids, and how what ``qstat -f`` prints is read.

Always the text form: with ``-F json`` PBS prints what is no JSON as soon as a name, a folder or a variable holds a
comma, a quote, a tab, leading zeros, or bytes that are no UTF-8.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cerebellar_models.jobs.schedulers.common import (
    Answer,
    Directive,
    Key,
    NoAnswerError,
    Phase,
    SchedulerJob,
    Surroundings,
    output,
)
from cerebellar_models.runs.job_plan import JobPlan, JobStage

COMMANDS = ("qsub", "qstat", "qselect", "qdel")
OPTIONS = ("account", "filesystems", "mail")
SURROUNDINGS = Surroundings(
    ("PBS_", "QSUB_"),
    (
        "PBS_CONF_FILE",
        "PBS_DEFAULT",
        "PBS_SERVER",
        "PBS_PRIMARY",
        "PBS_SECONDARY",
        "PBS_EXEC",
        "PBS_HOME",
        "PBS_BATCH_SERVICE_PORT",
        "PBS_AUTH_METHOD",
        "PBS_ENCRYPT_METHOD",
    ),
)
JOB_VARIABLES = "PBS_"
SIGNALS_FIRST = False
ENDS_ALL_OF_A_JOB = False
# Of the manual qstat(1B), for jobs, arrays and sub-jobs, and Torque's C.
WAITING = {
    "Q",  # queued
    "H",  # held
    "W",  # waits for its time
    "T",  # in transit to another server
    "M",  # moved to another server, where it goes on
    "S",  # suspended
    "U",  # suspended while the workstation's owner is at it
}
RUNNING = {
    "R",
    "E",  # exiting
    "B",  # an array that has begun
}
ENDED = {
    "F",  # finished
    "X",  # a sub-job that is over, or was deleted
    "C",  # completed
}
OVER = tuple(sorted(ENDED))
# What qsub answers, as grep -E reads it; sites print more around it.
ID_PATTERN = r"[0-9]+(\[\])?(\.[A-Za-z0-9_.-]+)?"
# Exit_status of a job that was ended at its walltime.
_WALLTIME = -29
# Substate of a job that was deleted, whatever its Exit_status.
_DELETED = "91"
UNKNOWN_ID = re.compile(r"Unknown Job Id (\S+)", re.IGNORECASE)
_FORGOTTEN = re.compile(rf"{UNKNOWN_ID.pattern}|Job has finished", re.IGNORECASE)
_NO_HISTORY = "history"
_SUB_JOB = re.compile(r"(\d+)\[(\d+)\](.*)", re.DOTALL)


def directives(plan: JobPlan, stage: JobStage) -> list[Directive]:
    """What the user and the plan chose."""
    site, options = plan.site, plan.options
    return [
        (f"{site.account_option} ", "account", options.account),
        ("-q ", "queue", stage.partition),
        (site.filesystems_option, "filesystems", options.filesystems),
        ("-M ", "mail", options.mail),
        ("-m ", "mail", "ae" if options.mail else None),
    ]


def more_directives(plan: JobPlan, stage: JobStage, given: Sequence[str]) -> Iterator[str]:
    """PBS puts two chunks on one host unless it is told to scatter them."""
    placed = any(re.search(r"\bplace=", line) for line in given)
    if "select=" in plan.site.resources and stage.nodes > 1 and not placed:
        yield "-l place=scatter"


def job_values(plan: JobPlan, stage: JobStage) -> dict[str, Any]:
    """The site's expression for resources, with the numbers of the stage."""
    resources = plan.site.resources.format(
        nodes=stage.nodes,
        ranks_per_node=stage.ranks_per_node,
        cores=stage.ranks_per_node * stage.threads,
        memory_mb=stage.memory_mb,
        job_cores=stage.nodes * stage.cores_per_node,
        job_memory_mb=stage.nodes * stage.memory_mb,
    )
    return {"resources": resources}


def submit_values(plan: JobPlan) -> dict[str, Any]:
    return {}


def ask(ids: list[str], recent: set[str]) -> Answer:
    """:raises NoAnswerError: it does not answer."""
    text = _with_history(["qstat", "-xtf", *ids], ["qstat", "-tf", *ids])
    return Answer(read_qstat(text), forgotten=frozenset(UNKNOWN_ID.findall(text)))


def _with_history(command: list[str], without: list[str]) -> str:
    """What the first command prints, or, of a server that keeps no history, the second."""
    try:
        return output(SURROUNDINGS, command, _FORGOTTEN)
    except NoAnswerError as error:
        if _NO_HISTORY not in str(error):
            raise
    return output(SURROUNDINGS, without, _FORGOTTEN)


def jobs_named(names: dict[str, str]) -> dict[str, str]:
    """:raises NoAnswerError: it does not answer."""
    found = {}
    for name in names:
        text = _with_history(["qselect", "-x", "-N", name], ["qselect", "-N", name])
        if ids := text.split():
            found[name] = ids[-1]
    return found


def cancel_commands(ids: Iterable[str]) -> list[list[str]]:
    return [["qdel", *ids]]


def key_of(job: str) -> Key:
    """``33[0].server`` is 0 of ``33[].server``."""
    part = _SUB_JOB.fullmatch(job)
    return (f"{part[1]}[]{part[3]}", int(part[2])) if part else (job, None)


def shown(key: Key) -> str:
    job, index = key
    return job if index is None else job.replace("[]", f"[{index}]", 1)


def read_qstat(text: str) -> dict[Key, SchedulerJob]:
    """``qstat -xtf``: a paragraph for each job, values of more than a line go on after a tab."""
    jobs = {}
    for paragraph in re.split(r"^Job Id: *", text, flags=re.MULTILINE)[1:]:
        name, _, lines = paragraph.partition("\n")
        attributes: dict[str, str] = {}
        for line in lines.replace("\n\t", "").splitlines():
            attribute, equals, value = line.strip().partition(" = ")
            if equals:
                attributes.setdefault(attribute, value)
        jobs[key_of(name.strip())] = _job(attributes)
    return jobs


def _job(attributes: dict[str, str]) -> SchedulerJob:
    word = attributes.get("job_state", "")
    status = attributes.get("Exit_status", "")
    code = int(status) if re.fullmatch(r"-?\d+", status) else None
    phase, state = _phase(word), word
    if phase == "ended":
        # Without an exit status, it never ran: it was deleted, or what it waited for has failed.
        deleted = code != _WALLTIME and (attributes.get("substate") == _DELETED or code is None)
        phase = "cancelled" if deleted else "ended"
        state = "CANCELLED" if deleted else "TIMEOUT" if code == _WALLTIME else "ENDED"
    hosts = "+".join(dict.fromkeys(part.split("/")[0] for part in attributes.get("exec_host", "").split("+")))
    return SchedulerJob(
        phase,
        state,
        attributes.get("comment", ""),
        code,
        _seconds(attributes.get("resources_used.walltime", "")),
        hosts=hosts,
    )


def _phase(word: str) -> Phase:
    return (
        "waiting"
        if word in WAITING
        else "running"
        if word in RUNNING
        else "ended"
        if word in ENDED
        else "unknown"
    )


def _seconds(walltime: str) -> float | None:
    parts = re.fullmatch(r"(\d+):(\d+):(\d+)", walltime)
    return float(3600 * int(parts[1]) + 60 * int(parts[2]) + int(parts[3])) if parts else None
