"""The flags `jobs plan` and `jobs render` share, and the plan of a circuit they lead to."""

import functools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cerebellar_models.circuits.catalogue import load_species
from cerebellar_models.circuits.choices import CircuitChoices
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.circuits.texts import about, configuration_text, rows, yaml_text
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.cli.jobs.circuit_file import check_circuit
from cerebellar_models.cli.shared.choices_file import beside, named_by
from cerebellar_models.cli.shared.flags import resolve_file
from cerebellar_models.cli.shared.reading import read_tree
from cerebellar_models.errors import UserError
from cerebellar_models.files import read_text
from cerebellar_models.tree import Tree

if TYPE_CHECKING:
    from cerebellar_models.runs.job_plan import JobPlan, Options
    from cerebellar_models.sites.profiles import Site

# Whose costs stand in for those of a circuit that is not from the catalogue.
_SPECIES = "mouse"


def _own(name: str, text: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that may also come from the environment, or from `options` of a site's file."""
    return click.option(f"--{name}", envvar=f"CEREBELLAR_MODELS_{name.upper()}", help=text, **settings)


class _Line(click.types.StringParamType):
    """A text with spaces in it; in the environment, several are lines."""

    envvar_list_splitter = "\n"


_OPTIONS = (
    click.argument("circuit", required=False, type=click.Path(path_type=Path)),
    click.option("--species", help="Instead of a circuit: the canonical circuit of each of its states."),
    click.option(
        "--from",
        "choices_file",
        type=click.Path(path_type=Path),
        metavar="CHOICES.YAML",
        help="Instead of a circuit: the one that these choices make.",
    ),
    click.option("--site", help="Where to; see `jobs sites`."),
    click.option("--site-file", type=click.Path(path_type=Path), help="A file of yours that describes it."),
    _own("queue", "Partition or queue.  [default: the cheapest that takes a stage]"),
    _own("account", "Account or project that pays."),
    _own("qos", "Quality of service."),
    _own("constraint", "Features the nodes must have (SLURM)."),
    _own("reservation", "Reservation (SLURM)."),
    _own("filesystems", "File systems the jobs need (PBS), such as home:eagle."),
    _own("mail", "Address to tell of ends and failures."),
    _own("image", "Image, as the site's container runtime names it."),
    _own(
        "python",
        "Python on the cluster, where there is no image.  [default: python3; at the site local this one]",
        default=None,
    ),
    click.option(
        "--directive",
        "directives",
        type=_Line(),
        multiple=True,
        envvar="CEREBELLAR_MODELS_DIRECTIVE",
        help="Line after #SBATCH or #PBS; may be repeated.",
    ),
    click.option(
        "--module",
        "modules",
        multiple=True,
        envvar="CEREBELLAR_MODELS_MODULE",
        help="Module to load; may be repeated.",
    ),
    click.option(
        "--scratch", "stage_on_scratch", is_flag=True, help="Write to the site's scratch, then copy back."
    ),
    click.option("--seed", "seeds", type=int, multiple=True, help="Seed of a simulation; may be repeated."),
    click.option("--simulation", "simulations", multiple=True, help="Only this one; may be repeated."),
    click.option("--nodes", type=int, help="Nodes of compile and simulate."),
    click.option("--ranks", type=int, help="MPI ranks of compile and simulate, over all nodes."),
    click.option("--threads", type=int, help="Threads of each rank of simulate."),
    click.option("--walltime", "walltime", metavar="HH:MM:SS", help="Of compile and simulate."),
    click.option("--json", "as_json", is_flag=True, help="For machines."),
)


@dataclass(frozen=True)
class Circuit:
    """What is to be run."""

    name: str
    """of its folder, where there are several"""
    tree: Tree
    configuration: str
    """text of circuit.yaml"""
    about: dict[str, str]
    """for people"""
    choices: Tree | None
    """by the names of the flags; None where nothing says of which choices it was made"""
    notes: tuple[str, ...] = ()

    @property
    def species(self) -> str | None:
        return None if self.choices is None else str(self.choices["species"])


@dataclass(frozen=True)
class Job:
    """A circuit, planned for a site."""

    circuit: Circuit
    plan: "JobPlan"


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the flags; the command receives the planned ``jobs``, ``as_json``, and whether there may be ``several``."""

    @functools.wraps(command)
    def planned(
        circuit: Path | None,
        species: str | None,
        choices_file: Path | None,
        site: str | None,
        site_file: Path | None,
        seeds: tuple[int, ...],
        simulations: tuple[str, ...],
        walltime: str | None,
        **rest: Any,
    ) -> Any:
        from cerebellar_models.runs.job_plan import Options
        from cerebellar_models.sites.profiles import load_site, load_site_file

        if (site is None) == (site_file is None):
            raise UserError("site: give one of --site and --site-file; `jobs sites` lists them")
        at = load_site(site) if site else load_site_file(Path(str(site_file)))
        flags = {name: rest.pop(name) for name in Options.__annotations__ if name in rest}
        given = {name: value for name, value in flags.items() if value is not None}
        here = {"python": sys.executable} if at.scheduler == "local" else {}
        options = Options(**here | at.options | given, walltime_s=_seconds(walltime))
        circuits = _circuits(circuit, species, choices_file)
        jobs = [_job(each, at, options, seeds, simulations) for each in circuits]
        return command(jobs=jobs, several=species is not None, **rest)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), planned)


def _seconds(walltime: str | None) -> int | None:
    if walltime is None:
        return None
    parts = re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", walltime)
    if parts is None:
        raise UserError(f"walltime: {walltime!r} is not hours:minutes:seconds, such as 02:30:00")
    hours, minutes, seconds = (int(part) for part in parts.groups())
    return 3600 * hours + 60 * minutes + seconds


def _circuits(circuit: Path | None, species: str | None, choices_file: Path | None) -> list[Circuit]:
    """:raises UserError: of the three ways to name one, not one is given; or what it names is none."""
    if [circuit, species, choices_file].count(None) != 2:
        raise UserError("circuit: give one of a circuit file, --species and --from")
    if species:
        return _of_species(species)
    return [_of_file(circuit) if circuit else _of_choices(Path(str(choices_file)))]


def _of_species(species: str) -> list[Circuit]:
    """The canonical circuit of each of its states."""
    circuits = []
    for state in load_species(species).states:
        circuits.append(_chosen(state, *resolve(species, state=state)))
    return circuits


def _of_choices(path: Path) -> Circuit:
    return _chosen(named_by(path), *resolve_file(path))


def _chosen(name: str, choices: CircuitChoices, tree: Tree) -> Circuit:
    return Circuit(name, tree, configuration_text(choices, tree), about(choices), rows(choices))


def _of_file(path: Path) -> Circuit:
    tree = read_tree(path)
    try:
        check_circuit(path, tree)
        text = yaml_text(tree, f"from {path.name}") if path.suffix == ".json" else read_text(path)
    except RecursionError as error:
        raise UserError(f"{path}: is nested too deeply, or refers to itself") from error
    named = {"name": path.stem} | tree
    saved = beside(path)
    if not saved.exists():
        note = (
            f"no {saved.name} lies beside the circuit, so that its species is not known: it is taken to cost what "
            f"{_SPECIES} costs, and is compared with no published rates"
        )
        return Circuit(path.stem, named, text, {"circuit": str(named["name"])}, None, (note,))
    choices, chosen = resolve_file(saved)
    if json.loads(json.dumps(with_threads(chosen, 1))) == with_threads(tree, 1):
        return Circuit(path.stem, named, text, about(choices), rows(choices))
    note = f"{path.name} is not what {saved.name} makes: species and state are taken from there"
    described = {"circuit": str(named["name"]), "species": choices.species, "state": choices.state}
    return Circuit(path.stem, named, text, described, rows(choices), (note,))


def _job(
    circuit: Circuit, site: "Site", options: "Options", seeds: tuple[int, ...], simulations: tuple[str, ...]
) -> Job:
    from cerebellar_models.costs.estimate import load_cost_model
    from cerebellar_models.jobs.plan import plan

    model = load_cost_model(circuit.species or _SPECIES)
    planned = plan(circuit.tree, site, options, model, seeds, simulations)
    return Job(circuit, replace(planned, notes=(*circuit.notes, *planned.notes)))
