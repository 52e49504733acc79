"""How far a task is, as its own script says: jobs/state/<name>.json."""

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cerebellar_models.files import write_atomically
from cerebellar_models.runs.tasks import PlannedTask


@dataclass
class Marker:
    """What a task has said last."""

    state: str
    """running, done, failed or stopped"""
    job: str
    hosts: str
    started: float
    """seconds since the epoch, as ``ended``"""
    ended: float | None = None
    reason: str = ""
    exit_code: int | None = None
    starts: int = 1
    """how often it has begun"""
    usage: dict[str, float] = field(default_factory=dict)
    """MB of memory: of the largest rank and of the fullest node"""
    folder: str | None = None
    """of the results, which tells two tasks of the same index apart when the seeds have changed"""
    image: str = ""
    """checksum of the image it runs in, where there is one"""
    versions: dict[str, str] = field(default_factory=dict)
    """of the packages on the node that runs it"""
    command: str = ""
    """with its launcher, as it was started; empty where it was not, or its scripts are of an earlier version"""
    format: int = 1


def marker_path(run: Path, name: str) -> Path:
    return run / "jobs" / "state" / f"{name}.json"


def read_marker(run: Path, task: PlannedTask) -> Marker | None:
    """None if the task has never begun, its marker cannot be read, or is of another task of this name.

    The last where a run was rendered anew for other seeds.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        content = json.loads(marker_path(run, task.name).read_text(encoding="utf-8"))
        marker = Marker(**{key: value for key, value in content.items() if key in Marker.__annotations__})
        return marker if marker.folder in (None, task.folder) else None
    return None


def write_marker(run: Path, name: str, marker: Marker) -> None:
    marker_path(run, name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(marker_path(run, name), json.dumps(asdict(marker), indent=2) + "\n")
