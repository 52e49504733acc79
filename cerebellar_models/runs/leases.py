"""Who works on a run's tasks, as the job scripts write it into jobs/leases (see jobscripts/templates/lease.sh.j2)."""

import fcntl
import os
import platform
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
# Of the fields of /proc/PID/stat behind the name in brackets: state, and start in ticks since the machine's.
_STATE, _START = 0, 19


@dataclass(frozen=True)
class Lease:
    """A script that has made itself the owner of a task."""

    path: Path
    task: str
    token: str
    """in the environment of all that the script has started, as ``CEREBELLAR_MODELS_LEASE``"""
    scheduler: str
    job: str
    host: str
    boot: str
    pid: str
    start: str

    @property
    def owner(self) -> str:
        """For people."""
        if self.scheduler == "local":
            return f"process {self.pid} on {self.host}"
        return f"job {self.job} of {self.scheduler}" if self.job else "one that has left no name"


def leases(run: Path) -> dict[str, Lease]:
    """By task."""
    found = {}
    folder = run / "jobs" / "leases"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".lock" or path.name.startswith("."):
            continue
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # given up this moment
            continue
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        keys = [key for key in Lease.__annotations__ if key not in ("path", "task")]
        found[path.name] = Lease(path, path.name, **{key: values.get(key, "") for key in keys})
    return found


def works(lease: Lease) -> bool | None:
    """Whether its owner, or something that has started, is at work; None where that is not to be seen from here."""
    if lease.scheduler != "local":
        return None
    if lease.host != platform.node():
        # Another container on this machine: its processes are not seen from here, but their lock is.
        return None if lease.boot != _boot() or _locked(lease.path.with_name(f"{lease.task}.lock")) else False
    if lease.boot != _boot():
        return False
    return _started(lease.pid) == lease.start or bool(members(lease))


def members(lease: Lease) -> list[int]:
    """Processes on this machine that the owner has started, and those that these have."""
    wanted = f"CEREBELLAR_MODELS_LEASE={lease.token}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = path.read_bytes()
        except OSError:  # someone else's, or gone
            continue
        if wanted in content.split(b"\0") and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return sorted(found)


def _locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or a file system without locks
        return True
    return False


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def _started(pid: str) -> str:
    """Empty if there is no such process any more."""
    try:
        fields = (
            Path("/proc", pid, "stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(") ")[2]
            .split()
        )
    except OSError:
        return ""
    return "" if fields[_STATE] == "Z" else fields[_START]
