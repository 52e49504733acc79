"""Rendered scripts on a real SLURM cluster of two nodes, which are namespaces of this machine.

Needs root, Debian's slurm-wlm, munge, libpmix-dev, iproute2 and openmpi-bin, and in CEREBELLAR_MODELS_MPI_PYTHON a
Python with this package and a NEST with MPI (containers/build-nest.sh). The image is that of tests/engines.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from plans import HOSTILE
from support import command_line, missing

from cerebellar_models.analysis.read import read_activity
from cerebellar_models.deploy.job_plan import read_plan
from cerebellar_models.deploy.run_folder import RunFolder

SCRIPTS = Path(__file__).with_name("cluster")
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

# One cluster at a time: its ranks are more than the cores. The test of the image is with those of the images.
on_one_worker = pytest.mark.xdist_group("cluster")


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
        done = self(*command, cwd=run, PYTHONPATH=str(run), **environment)
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

    def finished(self, run: Path) -> dict[str, dict]:
        """The states when nothing waits or runs any more."""
        return self.until(run, lambda states: not any(is_active(entry) for entry in states.values()))


def is_active(entry: dict) -> bool:
    return entry["state"] in ("waiting", "running")


def states(told: dict[str, dict]) -> dict[str, str]:
    return {task: entry["state"] for task, entry in told.items()}


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, mpi_python) -> Iterator[Cluster]:
    for command in ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged", "ip", "nsenter"):
        if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            packages = "slurm-wlm slurmdbd mariadb-server munge libpmix-dev iproute2"
            missing(f"{command} is not installed: apt install {packages}")
    if os.geteuid() != 0:
        missing("only root can make the namespaces of a cluster")
    base = Path(tempfile.mkdtemp(prefix="cluster-"))
    base.chmod(0o755)  # munged wants its socket where everyone may pass, which pytest's folders do not allow
    needed = (sys.prefix, sys.executable, mpi_python, os.environ.get("CEREBELLAR_MODELS_SIF", ""), __file__)
    needed += (os.environ.get("XDG_CACHE_HOME", ""), str(Path.cwd()))
    shared = {below_tmp(path) for path in needed} | {str(tmp_path_factory.getbasetemp())}
    start = [str(SCRIPTS / "start.sh"), str(base), "2", "4", *sorted(filter(None, shared))]
    try:
        started = subprocess.run(
            start,
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            capture_output=True,
            text=True,
        )
        if started.returncode != 0 and "Operation not permitted" in started.stderr:
            missing(f"no namespaces here: {started.stderr.strip()}")
        assert started.returncode == 0, started.stderr
        yield Cluster(base, mpi_python)
    finally:
        subprocess.run([str(SCRIPTS / "stop.sh"), str(base)], check=False)
        shutil.rmtree(base, ignore_errors=True)


def below_tmp(path: str) -> str:
    """The folder directly below /tmp that a path lies in, which the nodes would not see."""
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


@pytest.fixture(scope="module")
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


@pytest.fixture
def new_run(cluster, tmp_path) -> Callable[..., Path]:
    """A run folder of the tiny circuit, with a hostile name, rendered for a site file of the test's."""

    def make(circuit: Path | None = None, flags: Iterable[str] = (), **facts) -> Path:
        number = len(list(tmp_path.iterdir()))
        folder, run = tmp_path / f"circuit {number}", tmp_path / f"{HOSTILE} {number}"
        folder.mkdir()
        configure(folder)
        site = {"extends": "generic-slurm", "runtime": "none", "options": {"python": cluster.python}}
        site |= {"environment": QUIET_MPI, "hdf5_locking": True, "signal_before_end_s": 50}
        site |= {"queues": {"normal": {"walltime_h": 24, "nodes": 2, "cores": 4, "memory_mb": 16000}}}
        (folder / "two-nodes.yaml").write_text(yaml.safe_dump(site | facts))
        rendered = command_line(*rendering(run, *flags), cwd=folder)
        assert rendered.returncode == 0, rendered.stderr
        shutil.copy(folder / "misbehave.py", run)
        if circuit:
            shutil.copy(circuit, run)
        return run

    return make


def folder_of(run: Path) -> Path:
    """Where its circuit and site file are."""
    return run.with_name(f"circuit {run.name.removeprefix(HOSTILE).strip()}")


def rendering(run: Path, *flags: str) -> tuple[str, ...]:
    """Arguments of ``jobs render`` for two nodes of two ranks."""
    size = ("--nodes", "2", "--ranks", "4", "--walltime", "00:10:00")
    return ("jobs", "render", "circuit.yaml", "--site-file", "two-nodes.yaml", "-o", str(run), *size, *flags)


@on_one_worker
def test_from_circuit_to_report_on_two_nodes(cluster, new_run):
    run = new_run(flags=("--seed", "1234", "--seed", "7"))  # the circuit's own, and another
    submitted = cluster.jobs("submit", run)
    assert submitted["report"]["state"] == "waiting"
    told = cluster.finished(run)
    logs = "\n".join(path.read_text()[-2000:] for path in (run / "logs").iterdir())
    assert set(states(told).values()) == {"done"}, logs
    folder = RunFolder(run)
    assert folder.report.exists()
    spikes = {name: read_activity(files).recordings for name, files in folder.activities().items()}
    assert set(spikes) == {"basal_activity", "basal_activity-seed7"}
    first, second = ([entry.spike_times.tolist() for entry in spikes[name]] for name in sorted(spikes))
    assert first != second  # the seed made a difference
    markers = {task: json.loads((run / "jobs" / "state" / f"{task}.json").read_text()) for task in told}
    assert markers["compile"]["ended"] <= markers["simulate-0"]["started"]
    assert (
        max(markers[task]["ended"] for task in ("simulate-0", "simulate-1")) <= markers["report"]["started"]
    )
    record = folder.load().jobs["simulate-1"]
    assert record["hosts"] == "node[1-2]"
    assert record["exit_code"] == 0
    # Two ranks share a node, and what the plan asked for of it is enough.
    asked = next(stage.memory_mb for stage in read_plan(run).stages if stage.name == "simulate")
    assert record["max_rss_mb"] < record["node_mb"] < asked
    assert record["efficiency"]["memory"] == pytest.approx(record["node_mb"] / asked, abs=0.01)
    assert not list(run.glob(".*.partial"))


@on_one_worker
def test_nothing_is_submitted_twice(cluster, new_run):
    run = new_run()
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run, "compile")
    for verb in ("submit", "resume"):
        command = [sys.executable, "-m", "cerebellar_models", "jobs", verb, str(run)]
        again = cluster(*command, cwd=run)
        assert again.returncode == 2
        assert "compile" in again.stderr
    cluster.until(run, lambda told: told["compile"]["state"] == "running")
    command = [sys.executable, "-m", "cerebellar_models", "jobs", "cancel", str(run)]
    assert cluster(*command, cwd=run).returncode == 0
    told = cluster.finished(run)
    assert told["compile"]["state"] in ("stopped", "cancelled")


@on_one_worker
def test_a_failing_compilation_takes_its_dependents_with_it(cluster, new_run):
    run = new_run()
    (run / "behaviour").write_text("fail")
    cluster.jobs("submit", run)
    told = cluster.finished(run)
    assert states(told) == {
        "models": "done",
        "compile": "failed",
        "simulate-0": "cancelled",
        "report": "cancelled",
    }
    assert "failing on purpose" in (run / "logs" / "compile.log").read_text()
    assert not RunFolder(run).circuit.exists()
    assert not list(run.glob(".*.partial"))


@on_one_worker
def test_a_wrong_kind_of_pmi_is_caught_before_work(cluster, new_run):
    run = new_run(launcher_options=["--mpi=none"])
    cluster.jobs("submit", run, "compile")
    told = cluster.finished(run)
    assert told["compile"]["state"] == "failed"
    assert "as many ranks" in told["compile"]["detail"]
    log = (run / "logs" / "compile.log").read_text()
    assert "JobStatus" not in log


@on_one_worker
def test_a_hang_ends_with_the_stack_of_every_rank(cluster, new_run):
    run = new_run()
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run, "compile", CEREBELLAR_MODELS_WATCHDOG_S="15", CEREBELLAR_MODELS_GRACE_S="5")
    told = cluster.finished(run)
    assert told["compile"]["state"] == "failed"
    assert "hang" in told["compile"]["detail"]
    log = (run / "logs" / "compile.log").read_text()
    assert log.count('misbehave.py", line') >= 4, log[-3000:]
    assert not RunFolder(run).circuit.exists()


@on_one_worker
def test_a_killed_rank_ends_the_job(cluster, new_run):
    run = new_run()
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run, "compile")
    log = run / "logs" / "compile.log"
    cluster.until(run, lambda told: log.exists() and log.read_text().count("hanging") == 4)
    killed = time.time()
    os.kill(ranks_of(run)[0], signal.SIGKILL)
    told = cluster.finished(run)
    marker = json.loads((run / "jobs" / "state" / "compile.json").read_text())
    assert marker["ended"] - killed < 60  # what is promised: not the walltime, and not the watchdog's hour
    assert told["compile"]["state"] == "failed"
    assert "Killed" in log.read_text()
    assert ranks_of(run) == []
    assert not RunFolder(run).circuit.exists()


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


@on_one_worker
def test_a_stage_the_walltime_stopped_is_taken_up_again(cluster, new_run, compiled):
    run = new_run(circuit=compiled, flags=("--walltime", "00:01:00"))
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run)
    told = cluster.finished(run)
    assert states(told) == {
        "models": "done",
        "compile": "done",
        "simulate-0": "stopped",
        "report": "cancelled",
    }
    assert "walltime" in told["simulate-0"]["detail"]
    assert not (run / "results" / "basal_activity").exists()
    (run / "behaviour").unlink()
    before = (run / "jobs" / "submitted.tsv").read_text()
    # With more time; on the login node, since only the scheduler knows that nothing of it still runs.
    command = [sys.executable, "-m", "cerebellar_models", *rendering(run)]
    rendered = cluster(*command, cwd=folder_of(run))
    assert rendered.returncode == 0, rendered.stderr
    cluster.jobs("resume", run)
    told = cluster.finished(run)
    assert set(states(told).values()) == {"done"}, (run / "logs" / "simulate-0.log").read_text()[-3000:]
    again = (run / "jobs" / "submitted.tsv").read_text().removeprefix(before)
    assert [line.split("\t")[0] for line in again.splitlines()] == ["simulate", "report"]


@on_one_worker
def test_where_the_site_allows_it_a_stopped_stage_starts_again_by_itself(cluster, new_run, compiled):
    run = new_run(circuit=compiled, flags=("--walltime", "00:01:30"), requeue=True, signal_before_end_s=10)
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run, "models", "compile", "simulate")
    marker = run / "jobs" / "state" / "simulate-0.json"
    cluster.until(run, lambda told: marker.exists() and json.loads(marker.read_text())["state"] == "stopped")
    (run / "behaviour").unlink()
    told = cluster.until(run, lambda told: told["simulate-0"]["state"] == "done")
    log = (run / "logs" / "simulate-0.log").read_text()
    assert told["simulate-0"]["state"] == "done", log[-3000:]
    assert json.loads(marker.read_text())["starts"] == 2


@pytest.mark.xdist_group("images")
def test_from_circuit_to_report_in_the_image(apptainer, sif, cluster, new_run, monkeypatch):
    """Hybrid: SLURM's PMIx outside, Open MPI inside."""
    monkeypatch.setenv("PATH", f"{Path(apptainer.command[-1]).parent}:{os.environ['PATH']}")
    run = new_run(
        flags=("--image", str(sif)),
        runtime="apptainer",
        runtime_options=["--userns"],
        environment=QUIET_MPI
        | {
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
            "UCX_TLS": "^posix",  # it takes the two nodes, which share a kernel, for one machine
        },
    )
    cluster.jobs("submit", run)
    told = cluster.finished(run)
    logs = "\n".join(path.read_text()[-2000:] for path in (run / "logs").iterdir())
    assert set(states(told).values()) == {"done"}, logs
    assert RunFolder(run).report.exists()
