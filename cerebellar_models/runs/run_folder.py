"""A run folder and its record: what was asked for, what is done, with which versions and how long it took.

circuit.yaml   cerebellum.hdf5   logs/   results/<simulation>/*.nio   report.html   report.json   run.json
"""

import json
import os
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cerebellar_models.circuits.catalogue import read_yaml, yaml_tree
from cerebellar_models.circuits.compose import CIRCUIT_FILE
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.errors import UserError
from cerebellar_models.files import write_atomically
from cerebellar_models.tree import Tree

_VERSIONED = ("cerebellar-models", "bsb-core", "bsb-nest", "nest-simulator", "numpy", "numba")
# What a run that was killed at its start has left; .lock is of earlier versions.
_STARTED = {"logs", "circuit.yaml", ".lock"}
FORMAT = 1
"""of run.json; what has none is of earlier versions, and read as this one"""


@dataclass
class StageRecord:
    """How a stage ended: ``done`` or ``failed``, how long it took in seconds, and its peak of memory in MB."""

    state: str
    seconds: float
    ranks: int = 1
    rank_mb: float | None = None
    """of the largest rank; None where that is not known"""
    node_mb: float | None = None
    """of all ranks together"""


@dataclass
class RunRecord:
    """The content of run.json."""

    about: dict[str, str]
    """for people"""
    versions: dict[str, str]
    stages: dict[str, StageRecord] = field(default_factory=dict)
    """of a run of earlier versions, which did not start job scripts on the own machine"""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """by task: ids, states, exit codes, memory, nodes, use of what was asked for"""
    choices: Tree | None = None
    """those the circuit was made of, by the names of the flags; None where they are not known"""
    format: int = FORMAT
    digests: dict[str, Any] = field(default_factory=dict)
    """what identifies the compiled circuit and its simulations: see analysis.digests"""

    @property
    def species(self) -> str | None:
        return (self.choices or {}).get("species")

    @property
    def state(self) -> str | None:
        return (self.choices or {}).get("state")


class RunFolder:
    """Paths inside a run folder, and its record on disk."""

    def __init__(self, path: Path):
        self.path = path
        self.configuration = path / "circuit.yaml"
        self.circuit = path / CIRCUIT_FILE
        self.logs = path / "logs"
        self.results = path / "results"
        self.report = path / "report.html"
        self._record = path / "run.json"

    def open(self, configuration: str, about: dict[str, str]) -> RunRecord:
        """Starts the folder, or takes up the one that is there.

        :raises UserError: it belongs to another configuration, or cannot be written.
        """
        try:
            self.check(configuration)
            if self._record.exists():
                return self.load()
            self.logs.mkdir(parents=True, exist_ok=True)
            record = RunRecord(about, installed_versions())
            if not self.configuration.exists():
                write_atomically(self.configuration, configuration)
            self.save(record)  # last: it marks the folder as a run's
        except OSError as error:
            raise _unwritable(self.path, error.strerror) from error
        return record

    def check(self, configuration: str) -> None:
        """Whether `open` would take the folder, as far as can be said without writing.

        :raises UserError: it belongs to another configuration, or cannot be written.
        """
        try:
            if self.configuration.exists():
                if not self._is_of(configuration):
                    raise UserError(
                        f"{self.path}: holds the run of another configuration; choose another folder with --output"
                    )
                if self._record.exists():
                    self.load()
            elif self.path.exists() and not {entry.name for entry in self.path.iterdir()} <= _STARTED:
                raise UserError(
                    f"{self.path}: is neither empty nor a run folder; choose another with --output"
                )
        except OSError as error:
            raise _unwritable(self.path, error.strerror) from error
        nearest = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise _unwritable(self.path, f"{nearest} is no folder that can be written")

    def _is_of(self, configuration: str) -> bool:
        """Whether its circuit.yaml is that one, whatever the threads."""
        if self.configuration.read_bytes() == configuration.encode():  # parsing takes a while
            return True
        there, wanted = read_yaml(self.configuration), yaml_tree(configuration, self.configuration)
        return with_threads(there, 1) == with_threads(wanted, 1)

    def load(self) -> RunRecord:
        """:raises UserError: run.json is missing, not a run record, or of a later version."""
        try:
            content: dict[str, Any] = json.loads(self._record.read_text(encoding="utf-8"))
            if content.get("format", FORMAT) > FORMAT:
                raise UserError(
                    f"{self._record}: is of a later version of cerebellar-models; go on with that"
                )
            stages = {name: _known(StageRecord, stage) for name, stage in content["stages"].items()}
            about, jobs, digests = content["about"], content.get("jobs", {}), content.get("digests", {})
            # Earlier versions have what is known of the choices in `about`.
            told = {key: about[key] for key in ("species", "state") if key in about}
            choices = content.get("choices") or told or None
            return RunRecord(about, content["versions"], stages, jobs, choices, digests=digests)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"{self.path}: is not a run folder (no run.json)") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self._record}: is not a run record ({type(error).__name__}: {error}); move it elsewhere "
                "and run again: what is done stays done"
            ) from error

    def save(self, record: RunRecord) -> None:
        write_atomically(self._record, json.dumps(asdict(record), indent=2) + "\n")


def _known(kind: type[StageRecord], values: dict[str, Any]) -> StageRecord:
    """A later version's keys are left out."""
    return kind(**{key: value for key, value in values.items() if key in kind.__annotations__})


def _unwritable(path: Path, why: str | None) -> UserError:
    return UserError(f"{path}: cannot be written ({why}); choose another with --output")


def installed_versions() -> dict[str, str]:
    """Versions of the packages a result depends on, without importing them."""
    versions = {}
    for package in _VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
