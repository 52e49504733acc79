"""What tests on a real cluster share: its start and end, its commands, a run of the tiny circuit that can misbehave.

The scheduler's own start script lies beside its tests. A test that uses these carries ``xdist_group("cluster")``: one
cluster at a time, since its ranks are more than the cores; a test of the image is with those of the images.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import HOSTILE, command_line, missing

from cerebellar_models.analysis.read import find_recordings, read_activity
from cerebellar_models.runs.completion import prove, write_mark
from cerebellar_models.runs.products import Products
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.runs.submissions import submitted

HERE = Path(__file__).parent
# How long something may take that takes some seconds; a wait, not a measure.
PATIENCE_S = 600
# More ranks than cores: let them give way to each other.
QUIET_MPI = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1"}
# A component of the circuit that does, on every rank, what a file says: how to hang, or fail, on purpose.
MISBEHAVE = """
import time
from pathlib import Path

behaviour = Path(__file__).with_name("behaviour")
if behaviour.exists() and behaviour.read_text() == "hang":
    print("hanging", flush=True)
    while behaviour.exists():
        time.sleep(0.1)
if behaviour.exists() and behaviour.read_text() == "fail":
    raise SystemExit("failing on purpose")
"""


class Cluster:
    """Runs commands on the login node."""

    def __init__(self, base: Path, python: str):
        self.base, self.python = base, python

    def __call__(self, *command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(self.base / "in.sh"), *command],
            cwd=cwd,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def jobs(self, verb: str, run: Path, *arguments: str, **environment: str) -> dict[str, dict]:
        """``jobs VERB RUN``: what it tells of each task."""
        command = [sys.executable, "-m", "cerebellar_models", "jobs", verb, str(run), *arguments, "--json"]
        done = self(*command, cwd=run, **environment)
        assert done.returncode == 0, done.stderr
        told = done.stdout[done.stdout.index("[\n") :]
        return {entry["task"]: entry for entry in json.loads(told)}

    def until(self, run: Path, wanted: Callable[[dict[str, dict]], bool]) -> dict[str, dict]:
        """The states when they are as wanted, or after a long wait."""
        end = time.monotonic() + PATIENCE_S
        while True:
            states = self.jobs("status", run)
            if wanted(states) or time.monotonic() > end:
                return states
            time.sleep(1)

    def wait(self, condition: Callable[[], object]) -> None:
        """Until it holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.5)

    def submitted_at_once(self, run: Path) -> None:
        """Three times, by the command and by the script: one submits, the others refuse."""
        command = [sys.executable, "-m", "cerebellar_models", "jobs", "submit", str(run)]
        commands = [command, command, ["bash", str(run / "jobs" / "submit.sh")]]
        with ThreadPoolExecutor(len(commands)) as pool:
            done = list(pool.map(lambda words: self(*words, cwd=run), commands))
        assert sorted(each.returncode for each in done) == [0, 2, 2], [each.stderr for each in done]

    def finished(self, run: Path) -> dict[str, dict]:
        """The states when nothing waits or runs any more."""
        return self.until(run, lambda states: not any(is_active(entry) for entry in states.values()))


def is_active(entry: dict) -> bool:
    return entry["state"] in ("waiting", "running")


def states(told: dict[str, dict]) -> dict[str, str]:
    return {task: entry["state"] for task, entry in told.items()}


@pytest.fixture(scope="session")
def mpi_python() -> str:
    """A Python with a NEST that has MPI, its models built."""
    python = os.environ.get("CEREBELLAR_MODELS_MPI_PYTHON", "")
    if not Path(python).is_file():
        missing("CEREBELLAR_MODELS_MPI_PYTHON names no Python with a NEST that has MPI")
    built = subprocess.run(
        [python, "-m", "cerebellar_models", "models", "build"], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return python


@contextmanager
def started(script: Path, python: str, *others: Path, configuration: str = "") -> Iterator[Cluster]:
    """Two nodes of four cores, which see what this Python, ``python`` and the others are made of.

    :param configuration: what the script reads from its standard input.
    """
    if os.geteuid() != 0:
        missing("only root can make the namespaces of a cluster")
    base = Path(tempfile.mkdtemp(prefix="cluster-"))
    base.chmod(0o755)  # munged wants its socket where everyone may pass, which pytest's folders do not allow
    needed = (sys.prefix, sys.executable, python, os.environ.get("CEREBELLAR_MODELS_SIF", ""), __file__)
    needed += (os.environ.get("XDG_CACHE_HOME", ""), str(Path.cwd()), *map(str, others))
    shared = {below_tmp(path) for path in needed}
    start = [str(script), str(base), "2", "4", *sorted(filter(None, shared))]
    try:
        done = subprocess.run(
            start,
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            input=configuration,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 and "Operation not permitted" in done.stderr:
            missing(f"no namespaces here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        yield Cluster(base, python)
    finally:
        subprocess.run([str(HERE / "jobs/cluster/stop.sh"), str(base)], check=False)
        shutil.rmtree(base, ignore_errors=True)


def below_tmp(path: str) -> str:
    """What of a path below /tmp the nodes are to be shown; the folder directly below it, as they have their own."""
    parts = Path(path).absolute().parts if path else ()
    return f"/tmp/{parts[2]}" if parts[1:2] == ("tmp",) and len(parts) > 2 else ""


def configure(folder: Path) -> None:
    """The tiny circuit, with a component that can misbehave."""
    choices = ("--preset", "tiny", "--simulation", "basal_activity", "--duration", "100")
    configured = command_line("configure", *choices, cwd=folder)
    assert configured.returncode == 0, configured.stderr
    tree = yaml.safe_load((folder / "circuit.yaml").read_text())
    tree["components"] = [*tree["components"], "misbehave"]
    (folder / "circuit.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    (folder / "misbehave.py").write_text(MISBEHAVE)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Path:
    """The circuit, compiled, for tests of what comes after."""
    folder = tmp_path_factory.mktemp("compiled")
    configure(folder)
    command = [sys.executable, "-m", "bsb", "compile", "circuit.yaml", "-v1", "--clear"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "cerebellum.hdf5"


def rendered_run(
    folder: Path, python: str, site: dict[str, Any], circuit: Path | None = None, flags: Iterable[str] = ()
) -> Path:
    """A run folder of the tiny circuit below ``folder``, with a hostile name, for two nodes.

    :param site: facts of its site, which start from two nodes of four cores and no image.
    :param circuit: compiled already.
    """
    number = len(list(folder.iterdir()))
    here, run = folder / f"circuit {number}", folder / f"{HOSTILE} {number}"
    here.mkdir()
    configure(here)
    facts = {"runtime": "none", "options": {"python": python}, "hdf5_locking": True}
    # Of the shell that submits, nothing of this would reach a job of SLURM's.
    facts["environment"] = QUIET_MPI | {"PYTHONPATH": "$RUN"}
    facts |= {"queues": {"normal": {"walltime_h": 24, "nodes": 2, "cores": 4, "memory_mb": 16000}}}
    (here / "two-nodes.yaml").write_text(yaml.safe_dump(facts | site))
    rendered = command_line(*rendering(run, *flags), cwd=here)
    assert rendered.returncode == 0, rendered.stderr
    shutil.copy(here / "misbehave.py", run)
    if circuit:
        product = Products(RunFolder(run)).circuit
        shutil.copy(circuit, product.path)
        write_mark(product.mark, prove(product.base, product.names, product.made_from))
    return run


def folder_of(run: Path) -> Path:
    """Where its circuit and site file are."""
    return run.with_name(f"circuit {run.name.removeprefix(HOSTILE).strip()}")


def rendering(run: Path, *flags: str) -> tuple[str, ...]:
    """Arguments of ``jobs render`` for two nodes of two ranks."""
    size = ("--nodes", "2", "--ranks", "4", "--walltime", "00:10:00")
    return ("jobs", "render", "circuit.yaml", "--site-file", "two-nodes.yaml", "-o", str(run), *size, *flags)


def marker(run: Path, task: str) -> dict:
    found: dict = json.loads((run / "jobs" / "state" / f"{task}.json").read_text(encoding="utf-8"))
    return found


def log_of(run: Path, task: str) -> str:
    path = run / "logs" / f"{task}.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def check_three_seeds(run: Path) -> None:
    """Nothing of it twice, each stage after those it needs, and each seed made a difference."""
    recordings = find_recordings(RunFolder(run).results)[0]
    spikes = {
        name: [entry.spike_times.tolist() for entry in read_activity(files).recordings]
        for name, files in recordings.items()
    }
    assert set(spikes) == {"basal_activity", "basal_activity-seed7", "basal_activity-seed8"}
    assert len(set(map(str, spikes.values()))) == 3
    simulated = [f"simulate-{index}" for index in range(3)]
    tasks = ("models", "compile", *simulated, "report")
    assert {task: marker(run, task)["starts"] for task in tasks} == dict.fromkeys(tasks, 1)
    assert {task: log_of(run, task).count(f"=== {task}: job ") for task in tasks} == dict.fromkeys(tasks, 1)
    assert [line.stage for line in submitted(run)] == ["models", "compile", "simulate", "report"]
    assert marker(run, "compile")["ended"] <= min(marker(run, task)["started"] for task in simulated)
    assert max(marker(run, task)["ended"] for task in simulated) <= marker(run, "report")["started"]
    assert RunFolder(run).report.exists()
    assert not list(run.glob(".*.partial"))
    # The last task is done a moment before its job gives it up.
    deadline = time.monotonic() + 30
    while held := list((run / "jobs" / "leases").iterdir()):
        assert time.monotonic() < deadline, held
        time.sleep(0.1)


def ranks_of(run: Path) -> list[int]:
    """Processes of ``bsb`` that work on this run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:3] == [b"-m", b"bsb"] and str(run / "circuit.yaml").encode() in words:
            found.append(int(entry.name))
    return found
