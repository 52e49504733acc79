"""A run folder and its record: what was asked for, what is done, with which versions and how long it took.

circuit.yaml   cerebellum.hdf5   logs/   results/<simulation>/*.nio   report.html   report.json   run.json
"""

import contextlib
import errno
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from cerebellar_models.circuits.catalogue import read_yaml
from cerebellar_models.circuits.compose import CIRCUIT_FILE
from cerebellar_models.errors import UserError

_VERSIONED = ("cerebellar-models", "bsb-core", "bsb-nest", "nest-simulator", "nestml", "numpy", "numba")
_LOCK = ".lock"
# What flock says on Lustre that is mounted without it.
_CANNOT_LOCK = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
# What a run that was killed at its start has left.
_STARTED = {"logs", "circuit.yaml", _LOCK}


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
    versions: dict[str, str]
    stages: dict[str, StageRecord] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """of a run on a cluster, by task: ids, states, exit codes, memory, nodes, use of what was asked for"""


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
                self._lock()
                return self.load()
            self.logs.mkdir(parents=True, exist_ok=True)
            self._lock()
            record = RunRecord(about, installed_versions())
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
            if self._record.exists():
                if read_yaml(self.configuration) != yaml.safe_load(configuration):
                    raise UserError(
                        f"{self.path}: holds the run of another configuration; choose another folder with --output"
                    )
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

    def _lock(self) -> None:
        """Held until this process ends; not at all on a file system that has no locks.

        :raises UserError: another run holds it.
        """
        self._held = (self.path / _LOCK).open("a")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{self.path}: another run is working in it; wait for its end") from error
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise

    def load(self) -> RunRecord:
        """:raises UserError: run.json is missing or not a run record."""
        try:
            content: dict[str, Any] = json.loads(self._record.read_text())
            stages = {name: StageRecord(**stage) for name, stage in content["stages"].items()}
            return RunRecord(content["about"], content["versions"], stages, content.get("jobs", {}))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"{self.path}: is not a run folder (no run.json)") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self._record}: is not a run record; delete the folder and run again"
            ) from error

    def save(self, record: RunRecord) -> None:
        write_atomically(self._record, json.dumps(asdict(record), indent=2) + "\n")

    def activities(self) -> dict[str, list[Path]]:
        """Result files by simulation; unfinished results lie under another name."""
        folders = sorted(self.results.iterdir()) if self.results.is_dir() else []
        return {
            folder.name: sorted(folder.glob("*.nio")) for folder in folders if not folder.name.startswith(".")
        }


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


def memory_used(folder: Path) -> dict[str, float]:
    """MB of the largest rank and of the fullest node, as ranks left them (``CEREBELLAR_MODELS_USAGE``); or nothing."""
    nodes: dict[str, float] = {}
    largest = 0.0
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            share = json.loads(path.read_text())
            megabytes = share["max_rss_kb"] / 1024
            nodes[share["host"]] = nodes.get(share["host"], 0.0) + megabytes
            largest = max(largest, megabytes)
    return {"rank_mb": round(largest, 1), "node_mb": round(max(nodes.values()), 1)} if nodes else {}


def write_atomically(path: Path, text: str) -> None:
    """Under a temporary name first, so that a file with the final name is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
