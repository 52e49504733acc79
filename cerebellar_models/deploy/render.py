"""The text of a run's job scripts: a pure function of its plan.

Scripts hold no path of this machine, so that a rendered run folder can be copied to another. Every value reaches bash
through `quote` (word for word) or `expand` (the site's own expressions, such as ``$SCRATCH/x``), and a directive
through `directive`, which refuses what no scheduler could read back.
"""

import functools
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cerebellar_models.bundle import bundle_folder
from cerebellar_models.deploy.job_plan import JobPlan, JobStage
from cerebellar_models.errors import UserError
from cerebellar_models.extras import install_hint

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
    "PYTHONUNBUFFERED",
    "PYNEST_QUIET",
    "OMP_NUM_THREADS",
    "CEREBELLAR_MODELS_USAGE",
    "CEREBELLAR_MODELS_SEED",
    "CEREBELLAR_MODELS_THREADS",
    "CEREBELLAR_MODELS_PROGRESS",
)
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
# Variables of the scripts a site's expressions may use, and those that are the scripts' own.
_GIVEN = {"RUN", "JOB", "NODES", "RANKS", "RANKS_PER_NODE", "THREADS"}
_OWN = {
    "STAGE",
    "INDEX",
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
_OWN |= {"SIMULATION", "SEED"}
_DIRECTIVE_VALUE = re.compile(r"[\w.:@%+=/,*&|\[\]()~-]+", re.ASCII)


@dataclass(frozen=True)
class Chunk:
    """Part of an array that the site takes at once: the index its first task has in the run, and its own indices."""

    offset: int
    range: str


def render(plan: JobPlan) -> dict[str, str]:
    """Text of each file by its path in the run folder.

    :raises UserError: a value cannot stand in a directive, a variable is one of the scripts' own, or Jinja2 is not
        installed.
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
    site, options = plan.site, plan.options
    for name in site.environment:
        if name in _OWN | _GIVEN:
            raise UserError(f"environment: {name} is a variable of the job scripts; give it another name")
    expressions = {
        "environment": site.environment.values(),
        "scratch": (site.scratch,),
        "binds": site.binds,
        "runtime_options": site.runtime_options,
        "launcher_options": site.launcher_options,
        "module_uses": site.module_uses,
        "image": (options.image,),
        "python": (options.python,),
    }
    for key, values in expressions.items():
        for variable in _VARIABLE.findall(" ".join(filter(None, values))):
            if variable.strip("${}") in _OWN:
                raise UserError(
                    f"{key}: {variable} is the job scripts' own; only {', '.join(sorted(_GIVEN))} are given"
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
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise UserError(f"jobs render needs Jinja2: {install_hint('deploy')}") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundle_folder("jobscripts") / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # this is bash, not HTML
    )
    environment.filters["toml"] = json.dumps  # a string of JSON is one of TOML
    for name_filter in (quote, expand, comment, directive, raw_directive, walltime):
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
        "modules": (*site.modules, *options.modules),
        "environment": sorted(site.environment.items()),
        "forwarded": (*_FORWARDED, *sorted(site.environment), *_locking(site.hdf5_locking)),
        "scratch": site.scratch if options.stage_on_scratch else None,
        "scheduler_signals": site.scheduler == "slurm",
        "chunks": chunks(len(simulate.tasks), limit) if simulate else [],
        "chunk_size": limit,
    }


def _launcher(plan: JobPlan) -> str:
    """One rank on this machine needs none, which may not be there."""
    alone = plan.site.scheduler == "local" and all(stage.ranks == 1 for stage in plan.stages)
    return "none" if alone else plan.site.launcher


def _locking(locks: bool) -> tuple[str, ...]:
    return () if locks else ("HDF5_USE_FILE_LOCKING",)


def _stage_values(plan: JobPlan, stage: JobStage) -> dict[str, Any]:
    return {
        "stage": stage,
        "watchdog_s": max(_LEAST_WATCHDOG_S, int(stage.walltime_s * _WATCHDOG_SHARE)),
        "job_name": job_name(plan.circuit, stage.name),
        "directives": list(_directives(plan, stage)),
        "raw_directives": (*plan.site.directives, *stage.directives, *plan.options.directives),
        "resources": _pbs_resources(plan, stage) if plan.site.scheduler == "pbs" else "",
    }


def _directives(plan: JobPlan, stage: JobStage) -> Iterator[tuple[str, str, object]]:
    """What the user and the plan chose: the option of sbatch or qsub, what it is called here, and its value."""
    site, options = plan.site, plan.options
    if site.scheduler == "slurm":
        given = [
            ("--account=", "account", options.account),
            ("--partition=", "queue", stage.partition),
            ("--qos=", "qos", stage.qos),
            ("--constraint=", "constraint", options.constraint),
            ("--reservation=", "reservation", options.reservation),
            ("--mail-user=", "mail", options.mail),
            ("--mail-type=", "mail", "END,FAIL" if options.mail else None),
        ]
    else:
        given = [
            (f"{site.account_option} ", "account", options.account),
            ("-q ", "queue", stage.partition),
            (site.filesystems_option, "filesystems", options.filesystems),
            ("-M ", "mail", options.mail),
            ("-m ", "mail", "ae" if options.mail else None),
        ]
    yield from ((option, key, value) for option, key, value in given if value)


def _pbs_resources(plan: JobPlan, stage: JobStage) -> str:
    cores = stage.ranks_per_node * stage.threads
    return plan.site.resources.format(
        nodes=stage.nodes,
        ranks_per_node=stage.ranks_per_node,
        cores=cores,
        memory_mb=stage.memory_mb,
        job_cores=stage.nodes * stage.cores_per_node,
        job_memory_mb=stage.nodes * stage.memory_mb,
    )
