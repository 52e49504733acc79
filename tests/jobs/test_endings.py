"""What a command that ended badly is said to have died of."""

import signal

import pytest

from cerebellar_models import endings

# What launchers, schedulers, HDF5 and the kernel print, word for word, and what must be in the sentence.
SAID = {
    "mpirun, signal 9": (
        "mpirun noticed that process rank 1 with PID 0 on node n1 exited on signal 9 (Killed).",
        "memory",
    ),
    "prterun, signal 9": (
        "prterun noticed that process rank 0 with PID 4711 on node n1 exited on signal 9 (Killed).",
        "memory",
    ),
    "srun": ("srun: error: n1: task 3: Killed", "memory"),
    "srun, out of memory": ("srun: error: n1: task 0: Out Of Memory", "memory"),
    "slurmstepd": (
        "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.",
        "memory",
    ),
    "slurmstepd, older": ("slurmstepd: error: Detected 1 oom-kill event(s) in step 12.batch cgroup.", "memory"),
    "PBS": ("=>> PBS: job killed: mem 2097152kb exceeded limit 1048576kb", "memory"),
    "C++": ("terminate called after throwing an instance of 'std::bad_alloc'", "memory"),
    "numpy": (
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 74.5 GiB for an array with shape (10,)",
        "memory",
    ),
    "fork": ("OSError: [Errno 12] Cannot allocate memory", "memory"),
    "shared memory": ("mpirun noticed that process rank 0 exited on signal 7 (Bus error).", "/dev/shm"),
    "ulimit -f": ("exited on signal 25 (File size limit exceeded).", "ulimit -f"),
    "file too large": ("OSError: [Errno 27] File too large", "ulimit -f"),
    "full": ("OSError: [Errno 28] No space left on device", "no space left"),
    "full, HDF5": ("(file write failed: errno = 28, error message = 'No space left on device')", "no space left"),
    "quota": ("OSError: [Errno 122] Disk quota exceeded", "quota"),
    "no locks": (
        "BlockingIOError: [Errno 37] Unable to synchronously create file (unable to lock file, errno = 37, "
        "error message = 'No locks available')",
        "HDF5_USE_FILE_LOCKING=FALSE",
    ),
    "no MPI library": ("libmpi.so.40: cannot open shared object file: No such file or directory", "doctor"),
    "no mpi4py": ("DependencyError: MPI runtime detected without parallel support.", "'parallel'"),
    "walltime, SLURM": ("slurmstepd: error: *** JOB 9 ON n1 CANCELLED AT 2026-11-26 DUE TO TIME LIMIT ***", "walltime"),
    "walltime, PBS": ("=>> PBS: job killed: walltime 3628 exceeded limit 3600", "walltime"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_the_sentence_names_the_cause(name):
    line, expected = SAID[name]
    reason = endings.reason(1, ["some line", line, "another line"])
    assert reason is not None and expected in reason and "\n" not in reason


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (-signal.SIGKILL, "memory"),
        (128 + signal.SIGKILL, "memory"),
        (-signal.SIGBUS, "/dev/shm"),
        (128 + signal.SIGXFSZ, "ulimit -f"),
    ],
)
def test_a_signal_says_it_where_the_log_does_not(status, expected):
    assert expected in endings.reason(status, ["[BSB] placing granule_cell"])


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (1, ["ConfigurationError: no such cell type"]),
        (-signal.SIGTERM, ["Terminated"]),
        (-signal.SIGINT, []),
        (255, ["a status that is no signal's"]),
        # It was cancelled, or ended by a rank of its own: that its ranks were killed then is no cause.
        (1, ["slurmstepd: error: *** STEP 9.0 ON n1 CANCELLED AT 2026-11-26 ***", "srun: error: task 0: Killed"]),
        (1, ["MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD", "exited on signal 9 (Killed)"]),
    ],
)  # fmt: skip
def test_what_is_not_known_is_not_said(status, lines):
    assert endings.reason(status, lines) is None


def test_the_cause_comes_before_how_a_process_died_of_it():
    lines = [
        "slurmstepd: error: *** STEP 9.0 ON n1 CANCELLED AT 2026-11-26 DUE TO TIME LIMIT ***",
        "srun: error: n1: task 0: Killed",
    ]
    assert "walltime" in endings.reason(137, lines)
    full = ["OSError: [Errno 28] No space left on device", "exited on signal 9 (Killed)."]
    assert "no space left" in endings.reason(137, full)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    line = "OSError: [Errno 28] No space left on device"
    monkeypatch.setattr("cerebellar_models.files._is_full", lambda folder: True)
    assert f"({tmp_path})" in endings.reason(1, [line], [tmp_path, tmp_path / "not" / "there"])
    monkeypatch.setattr("cerebellar_models.files._is_full", lambda folder: False)
    assert str(tmp_path) not in endings.reason(1, [line], [tmp_path])
