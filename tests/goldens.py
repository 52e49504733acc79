"""Golden files of job scripts: which there are, and how what differs from them is written down.

In full lies there what makes a shape (a scheduler and a way to the image): its ``common.sh``, and of the first shape of
each scheduler the other scripts, too, which know nothing of images. All else, sites and made-up ones, is a patch of
these, in ``sites.diff``. A patch has no numbers of lines, so that a change of a template is in it only where its own
lines change: a hunk is found by the lines it takes away and, before them, as many as make them the only ones.
"""

import difflib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from plans import options, plan, simulations, site

from cerebellar_models.installation import bundle_folder
from cerebellar_models.jobs.render import render
from cerebellar_models.runs.job_plan import JobPlan
from cerebellar_models.sites.profiles import load_site

FOLDER = Path(__file__).with_name("jobs") / "golden"
TABLE = FOLDER / "sites.diff"
_HEAD = """\
# By site, of the package or made up: what its scripts have else than the golden files of its shape (tests/goldens.py).
"""
_MPIRUN = {"launcher": "mpirun", "launcher_options": ()}
_LOCAL = _MPIRUN | {"scheduler": "local"}
_ACCOUNT = options(account="ab12")  # as most sites want one
SHAPES = {
    "slurm-apptainer": plan(site(), _ACCOUNT),
    "slurm-bare": plan(site(runtime="none"), replace(_ACCOUNT, python="venv/bin/python")),
    "slurm-sarus": plan(site(runtime="sarus", launcher_options=(), runtime_options=("--mpi",)), _ACCOUNT),
    "slurm-container-engine": plan(site(runtime="container-engine"), _ACCOUNT),
    "pbs-apptainer": plan(site(scheduler="pbs", **_MPIRUN), _ACCOUNT),
    "pbs-bare": plan(site(scheduler="pbs", runtime="none", **_MPIRUN), _ACCOUNT),
    "local-bare": plan(site(runtime="none", hdf5_locking=True, **_LOCAL), nodes=1, ranks=2),
    "local-docker": plan(
        site(runtime="docker", **_LOCAL), options(image="cerebellar-models"), nodes=1, ranks=2
    ),
}
"""by the names that `shape` gives them"""
_FIRST = {"slurm": "slurm-apptainer", "pbs": "pbs-apptainer", "local": "local-bare"}
_OF_A_SHAPE = ("jobs/common.sh", "jobs/environment.toml")
# Which command the image is started by makes some words of a script, and no shape.
_ALIKE = {"none": "bare", "singularity": "apptainer", "podman": "docker"}

_TASKS = simulations("basal_activity", "mf_stimulus", seeds=(None, 7))
_FOLDERS = {"binds": ("$PROJECT", "/data:/in"), "scratch": "$SCRATCH/x"}
_ON_SCRATCH = replace(_ACCOUNT, stage_on_scratch=True)
# What none of the package's own sites has.
MADE_UP = {
    "slurm-arrays": plan(
        site(modules=("Apptainer",), binds=("$PROJECT",), requeue=True, array_limit=2, exclusive=True),
        options(account="cerebellum", constraint="rome&big", reservation="mine", mail="a@b.org"),
        tasks=_TASKS,
    ),
    "slurm-side-by-side": plan(
        site(whole_nodes=True),
        _ACCOUNT,
        tasks=_TASKS,
        nodes=1,
        ranks=1,
        ranks_per_node=1,
        threads=4,
        cores_per_node=16,
        tasks_per_job=3,
    ),
    "slurm-scratch": plan(site(scratch="$SCRATCH/x"), _ON_SCRATCH),
    "slurm-sarus-scratch": plan(site(runtime="sarus", **_FOLDERS), _ON_SCRATCH),
    "slurm-container-engine-scratch": plan(site(runtime="container-engine", **_FOLDERS), _ON_SCRATCH),
    "slurm-cache": plan(
        site(runtime="none", environment={"XDG_CACHE_HOME": "$SCRATCH/cache"}),
        replace(_ACCOUNT, python="venv/bin/python"),
    ),
    "pbs-arrays": plan(
        site(scheduler="pbs", runtime="none", array_limit=3, **_MPIRUN | {"launcher_options": ("-v",)}),
        _ACCOUNT,
        tasks=_TASKS,
    ),
    "local-podman": plan(
        site(runtime="podman", runtime_options=("--tls-verify=false",), **_LOCAL, **_FOLDERS),
        options(image="cerebellar-models", stage_on_scratch=True),
        nodes=1,
        ranks=2,
    ),
    "local-options": plan(
        site(runtime="none", hdf5_locking=True, **_LOCAL | {"launcher_options": ("-v",)}), nodes=1, ranks=2
    ),
    "local-alone": plan(
        site(runtime="none", hdf5_locking=True, **_LOCAL), nodes=1, ranks=1, ranks_per_node=1
    ),
}


def at_site(name: str) -> JobPlan:
    """What the site wants, given; its limits are for test_site_limits."""
    at = load_site(name)
    wanted = {"account": "ab12", "qos": "gp_ehpc", "filesystems": "home:eagle"}
    given = options(**{key: wanted[key] for key in at.required})
    # `local` is as large as the machine at hand.
    return plan(replace(at, queues=()), given, nodes=1, ranks=2) if name == "local" else plan(at, given)


SITES = {
    path.stem: at_site(path.stem) for path in sorted((bundle_folder("jobscripts") / "sites").glob("*.yaml"))
}
PLANS = SHAPES | MADE_UP | SITES
RENDERED = {name: render(of) for name, of in PLANS.items()}


def shape(of: JobPlan) -> str:
    """The name of its shape."""
    return f"{of.site.scheduler}-{_ALIKE.get(of.site.runtime, of.site.runtime)}"


def holder(name: str, path: str) -> str:
    """The shape whose golden file this script of a plan is compared with."""
    own = shape(PLANS[name])
    return own if path in _OF_A_SHAPE else _FIRST[PLANS[own].site.scheduler]


def in_full() -> dict[Path, str]:
    """The text of each golden file, as the templates make it now."""
    return {
        FOLDER / name / Path(path).name: text
        for name in SHAPES
        for path, text in RENDERED[name].items()
        if holder(name, path) == name
    }


def named(text: str, name: str) -> str:
    """A golden file as the plan of this name has it: the name of a site is in comments of every script."""
    return text.replace("made-up", PLANS[name].site.name)


def table() -> str:
    """The text of `TABLE`, as the templates make it now."""
    lines = [_HEAD]
    for name in sorted(PLANS):
        scripts: dict[tuple[str, ...], list[str]] = {}
        for path, text in RENDERED[name].items():
            base = named(RENDERED[holder(name, path)][path], name)
            if patch := tuple(_hunks(base.split("\n"), text.split("\n"))):
                scripts.setdefault(patch, []).append(Path(path).name)
        if scripts:
            lines += [f"\n=== {name}: {shape(PLANS[name])}\n"]
        for patch, files in sorted(scripts.items(), key=lambda item: item[1]):
            lines += [f"== {' '.join(files)}\n", *(f"{line}\n" for line in patch)]
    return "".join(lines)


def read_table(text: str) -> dict[tuple[str, str], list[str]]:
    """Its patches by the name of the plan and of the file."""
    found: dict[tuple[str, str], list[str]] = {}
    name, files = "", list[str]()
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "===":
            name = rest.partition(":")[0]
        elif mark == "==":
            files = rest.split()
            found |= {(name, file): [] for file in files}
        elif files and line:
            for file in files:
                found[name, file].append(line)
    return found


def refresh() -> None:
    """Writes all of them anew, and removes what is none of them any more."""
    wanted = in_full() | {TABLE: table()}
    for path in FOLDER.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    """``@@``, then lines of both, of the old alone and of the new alone, as in a diff."""
    for kind, start, end, new_start, new_end in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            continue
        above = start
        while len(_places(old, old[above:end])) != 1:
            above -= 1
            assert above >= 0, f"nothing tells where in the script this is: {new[new_start:new_end]}"
        yield "@@"
        yield from (f" {line}" for line in old[above:start])
        yield from (f"-{line}" for line in old[start:end])
        yield from (f"+{line}" for line in new[new_start:new_end])


def patched(text: str, patch: Iterable[str]) -> str:
    """The text with the hunks of a patch carried out.

    :raises AssertionError: a hunk has not one place in the text.
    """
    lines, hunks = text.split("\n"), []
    for mark, group in itertools.groupby(patch, lambda line: line == "@@"):
        if not mark:
            hunk = list(group)
            before = [line[1:] for line in hunk if line[0] in " -"]
            places = _places(lines, before)
            assert len(places) == 1, f"{len(places)} places for the hunk {hunk}"
            hunks.append((places[0], len(before), [line[1:] for line in hunk if line[0] in " +"]))
    for place, length, after in sorted(hunks, reverse=True):
        lines[place : place + length] = after
    return "\n".join(lines)


def _places(lines: list[str], wanted: list[str]) -> list[int]:
    return [at for at in range(len(lines) - len(wanted) + 1) if lines[at : at + len(wanted)] == wanted]
