"""The cost model: what stages take for each cell, contact and step, as measured. Checked when it is read.

A species has one (``configurations/<species>/resources.yaml``). A user's own, which `jobs calibrate` writes, replaces
the numbers it holds.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cerebellar_models.circuits.catalogue import read_yaml, species_folders
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder, config_folder
from cerebellar_models.tree import Tree, mapping, merged

RESOURCES = "resources.yaml"
OTHER = "other"


@dataclass(frozen=True)
class ModelsCost:
    """Building the NEST module: what its compiler takes."""

    process_mb: float
    seconds: float
    storage_mb: float


@dataclass(frozen=True)
class CompileCost:
    """`bsb compile`. Rank 0 gives out jobs, each a rule at a chunk, and does none where there are others."""

    process_mb: float
    """a rank before the first job"""
    kb_per_cell: float
    """of the whole circuit, on each rank"""
    bytes_per_candidate: float
    """of the job with most pairs of cells whose boxes meet"""
    bytes_per_contact: float
    """of the largest set of connections another rule looks up"""
    seconds: float
    seconds_per_job: float
    seconds_per_cell: float
    seconds_per_candidate: float
    seconds_per_pair: float
    seconds_per_contact: float
    storage_mb: float
    storage_kb_per_job: float
    storage_bytes_per_contact: float


@dataclass(frozen=True)
class NeuronCost:
    """A cell of a neuron model."""

    kb: float
    bytes_per_delay_step: float
    """of the buffers that have a place for each step of the network's shortest and longest delay, as NEST's own have"""
    kb_recorded: float
    """what it takes more where a device records its spikes"""
    ns_per_update: float
    """a step of one cell on one thread, its synapses' spikes included"""


@dataclass(frozen=True)
class SynapseCost:
    """A connection of a synapse model."""

    bytes: float
    """with its entries in the tables of sources and targets"""


@dataclass(frozen=True)
class SimulateCost:
    """`bsb simulate` with NEST. Cells and connections are dealt out to ranks and threads; reading them is not."""

    process_mb: float
    mb_per_thread: float
    kb_per_cell: float
    """of the whole circuit, on each rank"""
    seconds: float
    seconds_per_cell: float
    seconds_per_contact: float
    seconds_per_pair: float
    storage_bytes_per_recorded_cell: float
    storage_bytes_per_spike: float
    rate_hz: float
    """mean over the recorded cells, of which the size of the recordings follows"""
    neuron_models: dict[str, NeuronCost]
    synapse_models: dict[str, SynapseCost]


@dataclass(frozen=True)
class ReportCost:
    """The report on a circuit and its recordings."""

    process_mb: float
    bytes_per_contact: float
    kb_per_cell: float
    seconds: float
    seconds_per_contact: float
    storage_mb: float


@dataclass(frozen=True)
class CostModel:
    """Measured costs of each stage."""

    models: ModelsCost
    compile: CompileCost
    simulate: SimulateCost
    report: ReportCost
    source: str
    """the file, or files, the numbers come from"""


_STAGES = {"models": ModelsCost, "compile": CompileCost, "simulate": SimulateCost, "report": ReportCost}
_TABLES = {"neuron_models": NeuronCost, "synapse_models": SynapseCost}


def load_cost_model(species: str | Path, override: Path | None = None) -> CostModel:
    """The cost model of a species, or in a file, with a user's own numbers over it.

    :param species: name of a species, whose users' numbers hold too, or a file that holds a whole model.
    :param override: a file with numbers that replace others; default: the user's own of the species, if there are.
    :raises UserError: no such file or species, or one that is no cost model; names file, key and what is right.
    """
    if isinstance(species, Path):
        path, own = species, override
    else:
        folders = species_folders()
        if species not in folders:
            raise UserError(f"species: there is no '{species}'; known: {', '.join(sorted(folders))}")
        path = folders[species] / RESOURCES
        if not path.exists():  # costs are those of the programs, nearly the same for all species
            path = bundle_folder("configurations") / "mouse" / RESOURCES
        own = override or user_file(species)
    tree = read_yaml(path)
    check(tree, path, whole=True)
    source = str(path)
    if own is not None and (override is not None or own.exists()):
        changes = read_yaml(own)
        check(changes, own, whole=False)
        tree, source = merged(tree, changes), f"{path}, {own}"
        check(tree, own, whole=True)  # a row it adds has to be whole
    return from_tree(tree, source)


def from_tree(tree: Tree, source: str) -> CostModel:
    """The model of a whole tree that has been checked."""
    return CostModel(**{stage: _read(kind, tree[stage]) for stage, kind in _STAGES.items()}, source=source)


def as_tree(model: CostModel) -> Tree:
    """The model as its file holds it."""
    return {stage: asdict(getattr(model, stage)) for stage in _STAGES}


def user_file(species: str) -> Path:
    """Where a user's own numbers of a species are kept; it may not exist."""
    return config_folder() / "resources" / f"{species}.yaml"


def check(tree: Tree, path: Path, whole: bool) -> None:
    """:raises UserError: a key that is missing from a whole model, is unknown, or holds no number."""
    _check_keys(tree, {*_STAGES, "measured"}, set(_STAGES) if whole else set(), f"{path}: ")
    for stage, kind in _STAGES.items():
        if stage in tree:
            _check_numbers(mapping(tree[stage], f"{path}: {stage}"), kind, f"{path}: {stage}.", whole)


def _check_numbers(block: Tree, kind: type, where: str, whole: bool) -> None:
    known = {field.name for field in fields(kind)}
    _check_keys(block, known, known if whole else set(), where)
    for key, value in block.items():
        if key in _TABLES:
            rows = mapping(value, f"{where}{key}")
            if whole and OTHER not in rows:
                raise UserError(f"{where}{key}: has no row '{OTHER}', for models it does not name")
            for row in rows:
                at = f"{where}{key}."
                _check_numbers(mapping(rows[row], f"{at}{row}"), _TABLES[key], f"{at}{row}.", whole)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise UserError(f"{where}{key}: {value!r} is not a number from 0 on")


def _check_keys(block: Tree, known: set[str], needed: set[str], where: str) -> None:
    for key in block:
        if key not in known:
            raise UserError(f"{where}{key}: is not known; known are {', '.join(sorted(known))}")
    for key in sorted(needed):
        if key not in block:
            raise UserError(f"{where}{key}: is missing")


def _read(kind: Callable[..., Any], block: Tree) -> Any:
    values = {
        key: {name: _read(_TABLES[key], row) for name, row in value.items()}
        if key in _TABLES
        else float(value)
        for key, value in block.items()
    }
    return kind(**values)
