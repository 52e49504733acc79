"""Why a command ended badly, in one sentence that says what to do: from its exit status and its last words.

What MPI launchers, schedulers, HDF5 and the kernel say of it is long, and says it to somebody else.
"""

import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cerebellar_models.files import full_folders

_MEMORY = (
    "it was killed, most likely for want of memory: use fewer ranks on a machine, more nodes or memory, or a smaller "
    "circuit"
)
_WALLTIME = "its walltime ended: ask for more (--walltime)"
_NO_LOCKS = (
    "HDF5 cannot lock files on this file system: set HDF5_USE_FILE_LOCKING=FALSE, "
    "and let only one process write a file"
)
_SHARED_MEMORY = (
    "it died of a bus error, as it does where /dev/shm is full: make room there (df -h /dev/shm), or give a container "
    "more (--shm-size)"
)
_FILE_SIZE = "a file grew over the limit of its size (ulimit -f): raise the limit"
_NO_MPI = "mpi4py finds no MPI library; `cerebellar-models doctor` says how to get one"
_NO_PARALLEL = (
    "mpi4py is not installed, while a variable with 'mpi' in its name is set, which BSB takes for a running MPI: "
    "install the extra 'parallel', or set BSB_IGNORE_PARALLEL=1"
)
_NO_ROOM = re.compile(r"No space left on device|errno = 28\b|Errno 28\b", re.IGNORECASE)
_QUOTA = re.compile(r"Disk quota exceeded|errno = 122\b|Errno 122\b", re.IGNORECASE)

# The first that fits decides: what names the cause stands before what says how a process died of it. None: there is a
# cause, and nothing to add to what the log says of it.
_SAYINGS: tuple[tuple[re.Pattern[str], str | None], ...] = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (r"cannot load MPI library|libmpi\.so\S*: cannot open shared object", _NO_MPI),
        (r"MPI runtime detected without parallel support", _NO_PARALLEL),
        (r"unable to lock file.*errno = (?!11\b)", _NO_LOCKS),  # 11: another process has locked it
        (
            r"(?i)oom[-_ ]?kill|out of memory|cannot allocate memory|job killed: v?mem|exceeded .*memory limit",
            _MEMORY,
        ),
        (r"std::bad_alloc|\bMemoryError\b|Unable to allocate .* for an array", _MEMORY),
        (r"DUE TO TIME LIMIT|job killed: walltime", _WALLTIME),
        (r"CANCELLED AT|MPI_ABORT was invoked|MPI_Abort", None),
        (r"signal 7\b|Bus error|SIGBUS", _SHARED_MEMORY),
        (r"signal 25\b|File size limit exceeded|SIGXFSZ|Errno 27\]|errno = 27\b", _FILE_SIZE),
        (r"signal 9\b|SIGKILL|\bKilled\b", _MEMORY),
    )
)
# Of the process itself: by its signal (negative, as Python tells it), or 128 and more, as a shell does.
_SIGNALS = {signal.SIGKILL: _MEMORY, signal.SIGBUS: _SHARED_MEMORY, signal.SIGXFSZ: _FILE_SIZE}


def reason(status: int, last_lines: Sequence[str], written_to: Iterable[Path] = ()) -> str | None:
    """One sentence on why a command ended with ``status``, and what to do; None where nothing is known of it.

    :param status: as Python tells it (-9) or a shell (137).
    :param last_lines: the end of its output; some 50 lines hold what a launcher says after a rank has died.
    :param written_to: folders it writes to, of which those that are full are named.
    """
    text = "\n".join(last_lines)
    if _QUOTA.search(text):
        return f"the disk quota is used up{_at(list(written_to))}: make room, or write elsewhere"
    if _NO_ROOM.search(text):
        return f"no space left on the disk{_at(full_folders(*written_to))}: make room, or write elsewhere"
    for line_pattern, sentence in _SAYINGS:
        if any(line_pattern.search(line) for line in last_lines):
            return sentence
    return _SIGNALS.get(signal_of(status) or signal.SIGCONT)


def reason_of(error: BaseException, written_to: Iterable[Path] = ()) -> str | None:
    """As `reason`, for an error of this process and those that led to it."""
    return reason(1, [" ".join(str(each).split()) for each in _with_causes(error)], written_to)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Each once: the errors of a group, and what an error came of."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += getattr(each, "exceptions", ())
            waiting += [cause for cause in (each.__cause__, each.__context__) if cause is not None]


def signal_of(status: int) -> signal.Signals | None:
    """The signal that ended a process, or the one a shell tells of; None if it ended by itself."""
    number = -status if status < 0 else status - 128
    try:
        return signal.Signals(number) if number > 0 else None
    except ValueError:
        return None


def _at(folders: Sequence[Path]) -> str:
    return f" ({', '.join(map(str, folders))})" if folders else ""
