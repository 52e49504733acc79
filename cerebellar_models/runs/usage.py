"""The memory that the processes of a stage have used, which each leaves in a folder at its end."""

import atexit
import contextlib
import json
import os
import platform
import resource
import sys
from pathlib import Path

_FOLDER = "CEREBELLAR_MODELS_USAGE"


def leave_usage_at_end() -> None:
    """Where a job asks for it: it has no other way to learn it where the scheduler keeps no accounts."""
    if folder := os.environ.get(_FOLDER):
        atexit.register(_leave, Path(folder))


def _leave(folder: Path) -> None:
    usage = {"host": platform.node(), "max_rss_kb": _peak_kb()}
    try:
        (folder / f"{platform.node()}-{os.getpid()}.json").write_text(json.dumps(usage), encoding="utf-8")
    except OSError as error:  # not worth failing for
        print(f"cannot leave the memory used: {error}", file=sys.stderr)


def _peak_kb() -> int:
    """Peak of its memory; ru_maxrss, which goes from a process to the programs it starts, is where /proc is not."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def memory_used(folder: Path) -> dict[str, float]:
    """MB of the largest rank and of the fullest node, as ranks left them; or nothing."""
    nodes: dict[str, float] = {}
    largest = 0.0
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            share = json.loads(path.read_text(encoding="utf-8"))
            megabytes = share["max_rss_kb"] / 1024
            nodes[share["host"]] = nodes.get(share["host"], 0.0) + megabytes
            largest = max(largest, megabytes)
    return {"rank_mb": round(largest, 1), "node_mb": round(max(nodes.values()), 1)} if nodes else {}
