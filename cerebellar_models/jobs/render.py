"""The text of a run's job scripts: a pure function of its plan.

Scripts hold no path of this machine, so that a rendered run folder can be copied to another. Every value reaches bash
through `quote` (word for word) or `expand` (the site's own expressions, such as ``$SCRATCH/x``), and a directive
through `directive`, which refuses what no scheduler could read back.
"""

import functools
import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder
from cerebellar_models.jobs.schedulers import UNLISTED_S, scheduler, scheduler_names
from cerebellar_models.runs.job_plan import JobPlan, JobStage

# Silence of a log taken for a hang, in s, and as a share of the walltime: whichever is longer. BSB tells of each
# of its jobs, and a simulation that fits into its walltime tells its progress 20 times in it.
_LEAST_WATCHDOG_S = 3600
_WATCHDOG_SHARE = 1 / 4
# Tasks of an array where a site publishes no limit: SLURM's own default of MaxArraySize.
_ARRAY_LIMIT = 1000
# Old versions of PBS refuse longer names, and all of them refuse quotes.
_JOB_NAME_LENGTH = 15
# What a container or a launcher that forwards no environment has to be given by name.
_FORWARDED = (
    "PYTHONUTF8",
    "PYTHONUNBUFFERED",
    "PYNEST_QUIET",
    "OMP_NUM_THREADS",
    "CEREBELLAR_MODELS_LEASE",
    "CEREBELLAR_MODELS_STAGE",
    "CEREBELLAR_MODELS_FINISHED",
    "CEREBELLAR_MODELS_USAGE",
    "CEREBELLAR_MODELS_SEED",
    "CEREBELLAR_MODELS_THREADS",
    "CEREBELLAR_MODELS_PROGRESS",
)
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
_OURS = (  # limits of the scripts, where species of the user's own are, and that another image is meant
    "CEREBELLAR_MODELS_WATCHDOG_S",
    "CEREBELLAR_MODELS_GRACE_S",
    "CEREBELLAR_MODELS_CONFIGURATIONS",
    "CEREBELLAR_MODELS_OTHER_IMAGE",
)
# What of the environment of `jobs submit` reaches the scheduler and the jobs, as bash reads patterns; besides, what the
# site's expressions name. Jobs load their own modules: they get the command and where modules are, but not what is
# loaded at the moment, which they would take for loaded without having what it has set.
_PASSED = (
    (
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "PATH",
        "LD_LIBRARY_PATH",
        "LANG",
        "LANGUAGE",
        "LC_*",
        "TZ",
        "KRB5CCNAME",
    ),
    ("BASH_ENV", "MODULESHOME", "MODULEPATH", "MODULEPATH_ROOT"),
    ("LMOD_CMD", "LMOD_DIR", "LMOD_PKG", "LMOD_ROOT", "LMOD_SYSTEM_*"),
    ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR"),
    _OURS,
)
# Variables of the scripts a site's expressions may use, and those that are the scripts' own.
_GIVEN = {"RUN", "JOB", "NODES", "RANKS", "RANKS_PER_NODE", "THREADS"}
_OWN = {
    "STAGE",
    "INDEX",
    "SIDE_BY_SIDE",
    "NAME",
    "HOSTS",
    "LOG",
    "MARKER",
    "MARKED",
    "PARTIAL",
    "PRODUCT",
    "STAGED",
    "REASON",
    "READY",
}
_OWN |= {
    "LAUNCHED",
    "STOPPED_AT",
    "IN",
    "ALONE",
    "RANKED",
    "LAUNCH",
    "PYTHON",
    "WATCHDOG_S",
    "GRACE_S",
    "WALLTIME_S",
}
_OWN |= {
    "SIMULATION",
    "SEED",
    "TEMPORARY",
    "ROOM",
    "AGENT",
    "LEASE",
    "TOKEN",
    "LEASE_LOCK",
    "TAKEN",
    "WORKED",
}
# What these would read as signs of their own in the path of a folder that is mounted, beside blanks: Sarus takes its
# options apart at these, and so do the Container Engine, its SLURM plugin and its table of mounts. The others read CSV.
_UNMOUNTABLE = {"sarus": ",=", "container-engine": ":,$\"'\\"}
_DIRECTIVE_VALUE = re.compile(r"[\w.:@%+=/,*&|\[\]()~-]+", re.ASCII)


@dataclass(frozen=True)
class Chunk:
    """Part of an array that the site takes at once: the index its first task has in the run, and its own indices."""

    offset: int
    range: str


def render(plan: JobPlan) -> dict[str, str]:
    """Text of each file by its path in the run folder.

    :raises UserError: a value cannot stand in a directive, or a variable is one of the scripts' own.
    """
    _check_variables(plan)
    environment = _environment()
    shared = _shared_values(plan)
    folder = plan.site.scheduler
    files = {"jobs/common.sh": environment.get_template("common.sh.j2").render(shared)}
    for stage in plan.stages:
        values = shared | _stage_values(plan, stage)
        files[f"jobs/{stage.name}.sh"] = environment.get_template(f"{folder}/job.sh.j2").render(values)
    files["jobs/submit.sh"] = environment.get_template(f"{folder}/submit.sh.j2").render(shared)
    if shared["runtime"] == "container-engine":
        files["jobs/environment.toml"] = environment.get_template("environment.toml.j2").render(shared)
    return files


def _check_variables(plan: JobPlan) -> None:
    """What a site means by a variable is not what the scripts have put into it."""
    for name in plan.site.environment:
        if name in _OWN | _GIVEN:
            raise UserError(f"environment: {name} is a variable of the job scripts; give it another name")
    for key, values in _expressions(plan).items():
        for variable in _variables(values):
            if variable in _OWN:
                raise UserError(
                    f"{key}: ${variable} is the job scripts' own; only {', '.join(sorted(_GIVEN))} are given"
                )


def _expressions(plan: JobPlan) -> dict[str, Iterable[str | None]]:
    """What of the site's and the user's values bash expands variables in."""
    site, options = plan.site, plan.options
    return {
        "environment": site.environment.values(),
        "scratch": (site.scratch,),
        "binds": site.binds,
        "runtime_options": site.runtime_options,
        "launcher_options": site.launcher_options,
        "module_uses": site.module_uses,
        "image": (options.image,),
        "python": (options.python,),
    }


def _variables(values: Iterable[str | None]) -> list[str]:
    return [name.strip("${}") for name in _VARIABLE.findall(" ".join(filter(None, values)))]


def check_folder(path: Path, runtime: str) -> None:
    """The image of a job can be given this run folder; the scripts look again, for a folder may be copied.

    :raises UserError: its path has what the runtime cannot be told of.
    """
    if runtime == "none":
        return
    absolute, signs = str(path.absolute()), _UNMOUNTABLE.get(runtime, "")
    try:
        absolute.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"--output: {runtime} cannot be told of {absolute!r}, which is not UTF-8") from error
    if signs and any(sign in signs or sign.isspace() for sign in absolute):
        raise UserError(
            f"--output: {runtime} cannot be told of {absolute!r}: no blank and none of {signs} may be in its path"
        )


def quote(value: object) -> str:
    """The value as one word of bash."""
    return shlex.quote(str(value))


def expand(value: object) -> str:
    """The value as one word of bash in which ``$NAME`` and ``${NAME}`` are variables; nothing else is special."""
    text = str(value)
    parts, end = [], 0
    for match in _VARIABLE.finditer(text):
        parts += [_escape(text[end : match.start()]), match[0]]
        end = match.end()
    return f'"{"".join(parts)}{_escape(text[end:])}"' if parts else shlex.quote(text)


def _escape(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def braced(value: object) -> str:
    """The value with its variables as ``${NAME}``, the only form the Container Engine knows."""
    return _VARIABLE.sub(lambda match: f"${{{match[0].strip('${}')}}}", str(value))


def comment(value: object) -> str:
    """The value on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def directive(value: object, option: str) -> str:
    """The value as a scheduler reads it from a comment line, where quoting differs between versions.

    :raises UserError: it has characters for which that matters.
    """
    text = str(value)
    if not _DIRECTIVE_VALUE.fullmatch(text):
        raise UserError(
            f"{option}: {text!r} cannot stand in a job script; letters, digits and . _ - : @ % + = / , are allowed"
        )
    return text


def raw_directive(line: str) -> str:
    """A directive the user wrote, as it is.

    :raises UserError: it is more than one line.
    """
    if not line.isprintable():
        raise UserError(f"directives: {line!r} is not one line of text")
    return line


def job_name(circuit: str, stage: str) -> str:
    """Stage and circuit in what every scheduler takes for a name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{stage}-{circuit}")[:_JOB_NAME_LENGTH].strip("-")


def walltime(seconds: float) -> str:
    """``HH:MM:SS``, which SLURM and PBS read alike."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def chunks(tasks: int, limit: int) -> list[Chunk]:
    """The tasks 0 … ``tasks`` - 1 as arrays of at most ``limit``."""
    starts = range(0, tasks, limit)
    return [Chunk(start, _range(min(limit, tasks - start))) for start in starts]


def _range(length: int) -> str:
    return f"0-{length - 1}" if length > 1 else "0"


@functools.cache
def _environment() -> Any:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundle_folder("jobscripts") / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # this is bash, not HTML
    )
    environment.filters["toml"] = json.dumps  # a string of JSON is one of TOML
    for name_filter in (quote, expand, braced, comment, directive, raw_directive, walltime):
        environment.filters[name_filter.__name__] = name_filter
    return environment


def _shared_values(plan: JobPlan) -> dict[str, Any]:
    site, options = plan.site, plan.options
    simulate = next((stage for stage in plan.stages if stage.name == "simulate"), None)
    limit = site.array_limit or _ARRAY_LIMIT
    return {
        "site": site,
        "circuit": plan.circuit,
        "stages": plan.stages,
        "launcher": _launcher(plan),
        "runtime": site.runtime,
        "image": options.image,
        "python": options.python,
        "binds": site.binds,
        "unmountable": _UNMOUNTABLE.get(site.runtime, ""),
        "modules": (*site.modules, *options.modules),
        "environment": sorted(site.environment.items()),
        "forwarded": (*_FORWARDED, *sorted(site.environment), *_locking(site.hdf5_locking)),
        "scratch": site.scratch if options.stage_on_scratch else None,
        "scheduler_signals": scheduler(site.scheduler).SIGNALS_FIRST,
        "scheduler_ends_all": scheduler(site.scheduler).ENDS_ALL_OF_A_JOB,
        "chunks": chunks(len(simulate.tasks), limit) if simulate else [],
        "chunk_size": limit,
        **_submitting(plan),
    }


def _submitting(plan: JobPlan) -> dict[str, Any]:
    """What jobs/submit.sh has to know of its scheduler."""
    of = scheduler(plan.site.scheduler)
    passed = (*_PASSED, _reaching())
    used = {name for values in _expressions(plan).values() for name in _variables(values)}
    used -= {*_GIVEN, *(name for names in passed for name in names)}
    of_a_job = tuple(filter(None, (scheduler(name).JOB_VARIABLES for name in scheduler_names())))
    named = tuple(sorted(name for name in used if not name.startswith(of_a_job)))
    return {
        "commands": of.COMMANDS,
        "id_pattern": of.ID_PATTERN,
        "ended": of.OVER,
        "unlisted_s": UNLISTED_S,
        "ours": _OURS,
        "passed": (*passed, *((named,) if named else ())),
        "clusters": "",  # that jobs are sent to, where they have to be asked after
        **of.submit_values(plan),
    }


def _reaching() -> tuple[str, ...]:
    """By which the commands of any scheduler find it."""
    names = sorted(scheduler_names(), key=lambda name: name != "slurm")
    return tuple(variable for name in names for variable in scheduler(name).SURROUNDINGS.reaching)


def _launcher(plan: JobPlan) -> str:
    """One rank on this machine needs none, which may not be there."""
    alone = plan.site.scheduler == "local" and all(stage.ranks == 1 for stage in plan.stages)
    return "none" if alone else plan.site.launcher


def _locking(locks: bool) -> tuple[str, ...]:
    return () if locks else ("HDF5_USE_FILE_LOCKING",)


def _stage_values(plan: JobPlan, stage: JobStage) -> dict[str, Any]:
    of = scheduler(plan.site.scheduler)
    given = (*plan.site.directives, *stage.directives, *plan.options.directives)
    return {
        "stage": stage,
        # A machine of one's own ends no job at its walltime, unless that was asked for.
        "walltime_s": 0
        if plan.site.scheduler == "local" and plan.options.walltime_s is None
        else stage.walltime_s,
        "watchdog_s": max(_LEAST_WATCHDOG_S, int(stage.walltime_s * _WATCHDOG_SHARE)),
        "job_name": job_name(plan.circuit, stage.name),
        "directives": [each for each in of.directives(plan, stage) if each[2]],
        "raw_directives": (*given, *of.more_directives(plan, stage, given)),
        **of.job_values(plan, stage),
    }
