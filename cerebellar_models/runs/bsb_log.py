"""What a task's log says: how far BSB is, and the last words before an end."""

import os
import re
from pathlib import Path

_TAIL_BYTES = 20_000
_BSB_JOB = re.compile(r"JobStatus\.RUNNING \{root\}\.(\w+)\.(\w+)")
_SIMULATED = re.compile(r"progress: (\d+(?:\.\d+)?) ")


def progress(log: Path) -> str:
    """What the end of a log says about how far its stage is, since it last began; empty if it says nothing."""
    try:
        text = _since_last_start(log, _TAIL_BYTES)
    except OSError:
        return ""
    if simulated := _SIMULATED.findall(text):
        return f"{float(simulated[-1]):.0f} ms simulated"
    if jobs := _BSB_JOB.findall(text):
        return " ".join(jobs[-1])
    return ""


def last_lines(log: Path, most_bytes: int) -> list[str]:
    """The last lines of a log, none of what an earlier start of its task has said; none if it cannot be read."""
    try:
        return _since_last_start(log, most_bytes).splitlines()
    except OSError:
        return []


def _since_last_start(log: Path, most_bytes: int) -> str:
    """:raises OSError: it cannot be read."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
        text = file.read().decode(errors="replace")
    return text[max(0, text.rfind(f"=== {log.stem}: job ")) :]
