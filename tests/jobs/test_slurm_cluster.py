"""Rendered scripts on a real SLURM cluster of two nodes, which are namespaces of this machine.

Needs root, Debian's slurm-wlm, munge, libpmix-dev, iproute2 and openmpi-bin, and in CEREBELLAR_MODELS_MPI_PYTHON a
Python with this package and a NEST with MPI (containers/build-nest.sh). The image is that of tests/engines.py.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from clusters import (
    QUIET_MPI,
    Cluster,
    check_three_seeds,
    folder_of,
    log_of,
    marker,
    ranks_of,
    rendered_run,
    rendering,
    started,
    states,
)
from support import missing

from cerebellar_models.runs.job_plan import read_plan
from cerebellar_models.runs.leases import leases
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.runs.submissions import submitted

SCRIPTS = Path(__file__).with_name("cluster")
on_one_worker = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, mpi_python) -> Iterator[Cluster]:
    for command in ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged", "ip", "nsenter"):
        if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            packages = "slurm-wlm slurmdbd mariadb-server munge libpmix-dev iproute2"
            missing(f"{command} is not installed: apt install {packages}")
    with started(SCRIPTS / "start.sh", mpi_python, tmp_path_factory.getbasetemp()) as cluster:
        yield cluster


@pytest.fixture
def new_run(cluster, tmp_path) -> Callable[..., Path]:
    """A run folder of the tiny circuit, with a hostile name, rendered for a site file of the test's."""

    def make(circuit: Path | None = None, flags: Iterable[str] = (), **facts) -> Path:
        site = {"extends": "generic-slurm", "signal_before_end_s": 50} | facts
        return rendered_run(tmp_path, cluster.python, site, circuit, flags)

    return make


@on_one_worker
def test_from_circuit_to_report_with_three_seeds_on_two_nodes(cluster, new_run):
    """Submitted three times at once: nothing of it twice."""
    run = new_run(flags=("--seed", "1234", "--seed", "7", "--seed", "8"))  # the circuit's own, and others
    cluster.submitted_at_once(run)
    told = cluster.finished(run)
    logs = "\n".join(log_of(run, task)[-2000:] for task in told)
    assert set(states(told).values()) == {"done"}, logs
    check_three_seeds(run)
    record = RunFolder(run).load().jobs["simulate-1"]
    assert record["hosts"] == "node[1-2]"
    assert record["exit_code"] == 0
    # Two ranks share a node, and what the plan asked for of it is enough.
    asked = next(stage.memory_mb for stage in read_plan(run).stages if stage.name == "simulate")
    assert record["max_rss_mb"] < record["node_mb"] < asked
    assert record["efficiency"]["memory"] == pytest.approx(record["node_mb"] / asked, abs=0.01)


@on_one_worker
def test_nothing_is_submitted_twice_and_a_task_has_one_owner(cluster, new_run):
    run = new_run()
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run, "compile")
    for verb in ("submit", "resume"):
        command = [sys.executable, "-m", "cerebellar_models", "jobs", verb, str(run)]
        again = cluster(*command, cwd=run)
        assert again.returncode == 2
        assert "compile" in again.stderr
    cluster.wait(lambda: log_of(run, "compile").count("hanging") == 4)
    held, begun = leases(run)["compile"], marker(run, "compile")

    # It has the nodes' other cores.
    other = cluster("sbatch", "--parsable", "jobs/compile.sh", cwd=run).stdout.strip()
    assert "ExitCode=75:0" in ended(cluster, run, other)
    printed = (run / "logs" / f"slurm-compile-{other}.out").read_text()
    assert f"compile: job {held.job} works on it" in printed
    assert (leases(run)["compile"], marker(run, "compile")) == (held, begun)
    assert len(ranks_of(run)) == 4

    # The same job, where SLURM starts it again.
    cluster("scontrol", "update", f"JobId={held.job}", "Requeue=1", cwd=run)
    again = cluster("scontrol", "requeue", held.job, cwd=run)
    assert again.returncode == 0, again.stderr
    cluster.wait(lambda: log_of(run, "compile").count("hanging") == 8)
    taken = leases(run)["compile"]
    assert (taken.job, taken.token == held.token) == (held.job, False)
    assert marker(run, "compile")["starts"] == 2
    assert len(ranks_of(run)) == 4

    # Killed, it says nothing, and SLURM says that it is gone.
    os.kill(int(taken.pid), signal.SIGKILL)
    ended(cluster, run, held.job)
    assert leases(run)["compile"] == taken
    cluster.wait(lambda: cluster.jobs("status", run)["compile"]["state"] == "lost")
    cluster.jobs("submit", run, "compile")
    cluster.wait(lambda: log_of(run, "compile").count("hanging") == 12)
    assert leases(run)["compile"].job not in (held.job, other)
    assert marker(run, "compile")["starts"] == 3
    assert len(ranks_of(run)) == 4
    command = [sys.executable, "-m", "cerebellar_models", "jobs", "cancel", str(run)]
    assert cluster(*command, cwd=run).returncode == 0
    told = cluster.finished(run)
    assert told["compile"]["state"] in ("stopped", "cancelled")
    assert not leases(run)


def ended(cluster: Cluster, run: Path, job: str) -> str:
    """What SLURM says of a job once it is over."""

    def said() -> str:
        return str(cluster("scontrol", "--oneliner", "show", "job", job, cwd=run).stdout)

    cluster.wait(lambda: re.search(r" JobState=(COMPLETED|FAILED|CANCELLED|NODE_FAIL)", said()))
    return said()


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


@on_one_worker
@pytest.mark.long(part="faults")
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
    before = len(submitted(run))
    # With more time; on the login node, since only the scheduler knows that nothing of it still runs.
    command = [sys.executable, "-m", "cerebellar_models", *rendering(run)]
    rendered = cluster(*command, cwd=folder_of(run))
    assert rendered.returncode == 0, rendered.stderr
    cluster.jobs("resume", run)
    told = cluster.finished(run)
    assert set(states(told).values()) == {"done"}, (run / "logs" / "simulate-0.log").read_text()[-3000:]
    assert [line.stage for line in submitted(run)[before:]] == ["simulate", "report"]


@on_one_worker
@pytest.mark.long(part="faults")
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
            "PYTHONPATH": "$RUN",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
            "UCX_TLS": "^posix",  # it takes the two nodes, which share a kernel, for one machine
        },
    )
    cluster.jobs("submit", run)
    told = cluster.finished(run)
    logs = "\n".join(path.read_text()[-2000:] for path in (run / "logs").iterdir())
    assert set(states(told).values()) == {"done"}, logs
    assert RunFolder(run).report.exists()
