"""Sites: what differs from one supercomputer to the next, read from jobscripts/sites/ and the user's own files.

A site's file is thin: it extends a shape (such as SLURM with Apptainer and PMIx) and says only what is its own, each
fact with its source. jobscripts/site.schema.json has every key. This is the one place that reads them.
"""

import functools
import json
import os
import string
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cerebellar_models.circuits.catalogue import read_yaml
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder, config_folder
from cerebellar_models.sites.schema import check
from cerebellar_models.tree import Tree, merged

# What `resources` of a PBS site may name; see `Site.resources`.
RESOURCE_FIELDS = ("nodes", "ranks_per_node", "cores", "memory_mb", "job_cores", "job_memory_mb")
# Keys of a file that are no facts about its site.
_ABOUT = ("title", "extends", "notes", "evidence")
_NODE = {"cores": None, "memory_mb": None, "gpus": 0}


@dataclass(frozen=True)
class Evidence:
    """Where a fact comes from."""

    fact: str
    """key of the site's file, or KEY.NAME of a mapping"""
    source: str
    checked: str
    """date on which the source was last looked at"""
    verified: bool
    """the site itself says so, or a run has shown it; otherwise a third party says it, or it is assumed"""


@dataclass(frozen=True)
class Queue:
    """A partition, a queue or a quality of service, with its limits; None where none is known."""

    name: str
    walltime_s: int | None = None
    nodes: int | None = None
    """most nodes of one job: its limit, or all there are"""
    least_nodes: int = 1
    cores: int | None = None
    """of a node, as the memory and GPUs"""
    memory_mb: int | None = None
    gpus: int = 0
    partition: str | None = None
    """what the scheduler is told; None where it is told a quality of service only"""
    qos: str | None = None
    directives: tuple[str, ...] = ()
    by_name: bool = False
    """chosen only if asked for"""


@dataclass(frozen=True)
class Site:
    """A machine, as its job scripts see it. Texts with ``$NAME`` hold variables of the job."""

    name: str
    scheduler: str
    launcher: str
    runtime: str
    title: str = ""
    launcher_options: tuple[str, ...] = ()
    runtime_options: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    module_uses: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directives: tuple[str, ...] = ()
    memory_allowed: bool = True
    exclusive: bool = False
    whole_nodes: bool = False
    resources: str = ""
    """argument of PBS' ``-l`` as a format of `RESOURCE_FIELDS`"""
    account_option: str = "-A"
    filesystems_option: str = "-l filesystems="
    array_limit: int | None = None
    requeue: bool = False
    signal_before_end_s: int = 120
    hdf5_locking: bool = False
    scratch: str | None = None
    required: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    queues: tuple[Queue, ...] = ()
    """the one to be preferred first; none known: a queue is whatever the user says"""
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether every fact is."""
        return all(entry.verified for entry in self.evidence)


def site_names() -> list[str]:
    """Sites of the package and of the user."""
    return sorted({path.stem for folder in (_own_folder(), _bundled()) for path in folder.glob("*.yaml")})


def load_site(name: str) -> Site:
    """The site of this name; the user's own file comes before the package's.

    :raises UserError: there is none, or a file is not as the schema wants it.
    """
    for folder in (_own_folder(), _bundled()):
        if (folder / f"{name}.yaml").is_file():
            return load_site_file(folder / f"{name}.yaml")
    raise UserError(
        f"site: there is no '{name}'; known: {', '.join(site_names())}; "
        f"others: a file in {_own_folder()}, or --site-file"
    )


def load_site_file(path: Path) -> Site:
    """The site a file describes, named as the file is.

    :raises UserError: the file is not as the schema wants it; the message has the file, the key and what is right.
    """
    layers = _layers(path)
    facts, evidence = _merged(layers)
    for key in ("scheduler", "launcher", "runtime"):
        if key not in facts:
            raise UserError(f"{path}: has no '{key}'; give one, or extend one of: {', '.join(_shapes())}")
    try:
        _check_together(facts)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return _site(path.stem, facts, evidence)


def _own_folder() -> Path:
    return config_folder() / "sites"


def _bundled() -> Path:
    return bundle_folder("jobscripts") / "sites"


def _shapes() -> list[str]:
    return sorted(path.stem for path in (_bundled() / "shapes").glob("*.yaml"))


def _layers(path: Path) -> list[tuple[Path, Tree]]:
    """The file and those it extends, the farthest first."""
    layers: list[tuple[Path, Tree]] = []
    following: Path | None = path
    while following is not None:
        content = _as_json(read_yaml(following), following)
        check(content, following)
        if any(following == seen for seen, _ in layers):
            raise UserError(f"{path}: extends: goes round in a circle through {following}")
        layers.insert(0, (following, content))
        following = _extended(following, content.get("extends"))
    return layers


def _as_json(tree: Tree, path: Path) -> Tree:
    """The content as the schema knows it: dates are texts, and 4.0 is 4.

    :raises UserError: no JSON can hold it.
    """
    try:
        content: Tree = json.loads(json.dumps(tree, default=str, allow_nan=False), parse_float=_number)
    except TypeError as error:
        raise UserError(f"{path}: a key is no text; put it into quotation marks") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: holds .inf or .nan, which are no limits, or refers to itself; for no limit: null"
        ) from error
    return content


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _extended(path: Path, name: str | None) -> Path | None:
    """A user's own `jusuf.yaml` may extend the package's `jusuf`."""
    if name is None:
        return None
    folders = (_own_folder(), _bundled(), _bundled() / "shapes")
    for candidate in (folder / f"{name}.yaml" for folder in folders):
        if candidate.is_file() and candidate.resolve() != path.resolve():
            return candidate
    known = sorted({*site_names(), *_shapes()} - {path.stem})
    raise UserError(f"{path}: extends: there is no '{name}'; known: {', '.join(known)}")


def _merged(layers: list[tuple[Path, Tree]]) -> tuple[Tree, tuple[Evidence, ...]]:
    """The facts of all layers, nearer ones first, and the evidence for each from the layer it comes from.

    What only a shape says is assumed of a site.
    """
    facts: Tree = {}
    evidence: dict[str, Evidence] = {}
    for path, layer in layers:
        said = {
            fact: Evidence(fact, entry["source"], entry["checked"], entry["verified"])
            for entry in layer.get("evidence", ())
            for fact in entry["facts"]
        }
        for key in layer:
            if key not in _ABOUT and key != "options":
                evidence = {fact: entry for fact, entry in evidence.items() if fact != key} | {
                    key: said.get(key, Evidence(key, _unproven(path), "", False))
                }
        evidence |= said
        facts = merged(facts, layer)
        for fact in said:
            key, _, name = fact.partition(".")
            if key not in facts or (name and name not in facts[key]):
                raise UserError(f"{path}: evidence: there is no '{fact}' for it to be about")
    order = list(facts)
    return facts, tuple(sorted(evidence.values(), key=lambda entry: order.index(entry.fact.split(".")[0])))


def _schedulers() -> list[str]:
    """Those that there are templates of."""
    templates = bundle_folder("jobscripts") / "templates"
    return sorted(path.parent.name for path in templates.glob("*/job.sh.j2"))


def _unproven(path: Path) -> str:
    return f"assumed, as shape {path.stem} has it" if path.parent.name == "shapes" else f"your {path.name}"


def _check_together(facts: Tree) -> None:
    scheduler, launcher, runtime = facts["scheduler"], facts["launcher"], facts["runtime"]
    if scheduler not in _schedulers():
        raise UserError(f"scheduler: '{scheduler}' is not one of {', '.join(_schedulers())}")
    if launcher == "srun" and scheduler != "slurm":
        raise UserError("launcher: srun is SLURM's; mpirun, mpiexec or none")
    if runtime == "container-engine" and launcher != "srun":
        raise UserError("launcher: the container engine is part of srun; launcher: srun")
    if scheduler == "pbs":
        resources = facts.get("resources", "")
        wanted = ", ".join(f"{{{name}}}" for name in RESOURCE_FIELDS)
        try:
            named = {name for _, name, _, _ in string.Formatter().parse(resources) if name is not None}
            resources.format(**dict.fromkeys(RESOURCE_FIELDS, 1))
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise UserError(f"resources: {resources!r}; a text with some of {wanted}") from error
        if not named or not named <= set(RESOURCE_FIELDS):
            raise UserError(f"resources: {resources!r}; a text with some of {wanted}")


def _site(name: str, facts: Tree, evidence: tuple[Evidence, ...]) -> Site:
    node = _NODE | facts.get("node", {})
    queues = tuple(_queue(queue, node | limits) for queue, limits in facts.get("queues", {}).items())
    if facts["scheduler"] == "local":
        queues = (this_machine(),)
    elif not queues and "node" in facts:
        queues = (Queue("", **node),)  # the scheduler's default
    known = {entry.name for entry in fields(Site)} - {"name", "queues", "evidence"}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in facts.items()
        if key in known
    }
    return Site(name=name, queues=queues, evidence=evidence, **values)


def _queue(name: str, limits: Tree) -> Queue:
    hours = limits.pop("walltime_h", None)
    limits["directives"] = tuple(limits.get("directives", ()))
    walltime_s = None if hours is None else round(3600 * hours)
    values: Tree = {"partition": name, "walltime_s": walltime_s} | limits
    return Queue(name, **values)


@functools.cache
def this_machine() -> Queue:
    """The one node of the site `local`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Queue("this machine", nodes=1, cores=len(os.sched_getaffinity(0)), memory_mb=memory // 2**20)
