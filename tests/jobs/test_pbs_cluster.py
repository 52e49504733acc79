"""Rendered scripts on a real OpenPBS of two nodes, which are namespaces of this machine.

Needs root, OpenPBS in /opt/pbs, Debian's postgresql, iproute2 and openmpi-bin, and in CEREBELLAR_MODELS_MPI_PYTHON a
Python with this package and a NEST with MPI. No registry has OpenPBS: pbs/build.sh builds it from its source.
Where ranks are, and how a job ends, is asked with a program in place of BSB, which costs nothing.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

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
from plans import options, plan, simulations
from probes import SAID, probes, waiting, waiting_on_all_ranks, write_probe

from cerebellar_models.jobs.render import render
from cerebellar_models.jobs.schedulers.pbs import read_qstat
from cerebellar_models.runs.leases import leases
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.runs.submissions import submitted
from cerebellar_models.sites.profiles import load_site

PBS = Path("/opt/pbs")
SCRIPTS = Path(__file__).with_name("pbs")
# What the sites' own PBS know, as far as their scripts ask for it.
CONFIGURATION = """
create resource node_type type=string, flag=h
create resource system type=string, flag=h
create resource filesystems type=string_array
create resource storage type=string
create resource jobfs type=size
create resource wd type=boolean
set node node1 resources_available.node_type = rome
set node node2 resources_available.node_type = rome
set node node1 resources_available.system = polaris
set node node2 resources_available.system = polaris
create queue preemptable queue_type=execution, enabled=true, started=true
"""
on_one_worker = pytest.mark.xdist_group("cluster")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, mpi_python) -> Iterator[Cluster]:
    if not (PBS / "sbin/pbs_server.bin").exists():
        (pytest.fail if os.environ.get("CEREBELLAR_MODELS_REQUIRE_PBS") else pytest.skip)(
            "no OpenPBS in /opt/pbs, which no package registry has: its source (github.com/openpbs/openpbs) as a "
            "tar.gz, then: tests/jobs/pbs/build.sh ARCHIVE; or OPENPBS_SOURCE=ARCHIVE .ci/run"
        )
    others = (tmp_path_factory.getbasetemp(),)
    with started(SCRIPTS / "start.sh", mpi_python, *others, configuration=CONFIGURATION) as cluster:
        yield cluster


@pytest.fixture
def new_run(cluster, tmp_path) -> Iterator[Callable[..., Path]]:
    """A run folder of the tiny circuit, with a hostile name; ``site`` is what it extends."""

    def make(
        site: str = "generic-pbs",
        circuit: Path | None = None,
        flags: Iterable[str] = (),
        python: str | None = None,
        **facts: Any,
    ) -> Path:
        # PBS passes on nothing of the environment it is submitted from.
        own = {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PYTHONPATH": "$RUN"}
        facts = {"extends": site, "signal_before_end_s": 50, "environment": QUIET_MPI | own} | facts
        return rendered_run(tmp_path, python or cluster.python, facts, circuit, flags)

    yield make
    left = cluster("qselect", cwd=tmp_path).stdout.split()
    if left:
        cluster("qdel", "-W", "force", *left, cwd=tmp_path)


@pytest.fixture
def probe(cluster, tmp_path) -> str:
    """The path of a Python that is none where BSB is to be started; waits while ``wait`` lies beside it, or fails."""
    folder = tmp_path / "probe"
    folder.mkdir()
    return write_probe(folder, cluster.python)


def job_lives(cluster: Cluster, run: Path, job: str) -> int:
    """What the function of the job scripts says."""
    script = (run / "jobs" / "simulate.sh").read_text()
    function = script[
        script.index("job_lives() {") : script.index("\n}\n", script.index("job_lives() {")) + 3
    ]
    return cluster("bash", "-euc", f'{function}\njob_lives "$0"', job, cwd=run).returncode


def jobs_of(run: Path) -> dict[str, str]:
    """The last job of each stage."""
    return {line.stage: line.job for line in submitted(run)}


def over(cluster: Cluster, run: Path, *arguments: str) -> str:
    """Submits a job beside those of the run, and says, once it is over, how it ended."""
    job = cluster("qsub", *arguments, cwd=run).stdout.strip()
    cluster.wait(lambda: job_lives(cluster, run, job) == 1)
    return cluster("qstat", "-xf", job, cwd=run).stdout


@on_one_worker
def test_from_circuit_to_report_with_three_seeds_on_two_nodes(cluster, new_run):
    """Submitted three times at once: nothing of it twice, and nothing again of what is done."""
    run = new_run(flags=("--seed", "1234", "--seed", "7", "--seed", "8"))
    cluster.submitted_at_once(run)
    told = cluster.finished(run)
    logs = "\n".join(log_of(run, task)[-2000:] for task in told)
    assert set(states(told).values()) == {"done"}, logs
    check_three_seeds(run)
    for task in ("compile", "simulate-0", "simulate-1", "simulate-2"):
        assert "4 ranks on 2 nodes" in log_of(run, task)
        assert "orte_init" not in log_of(run, task)
    ids = jobs_of(run)
    assert {name: "[]" in job for name, job in ids.items() if name != "models"} == {
        "compile": False,
        "simulate": True,
        "report": False,
    }

    before = {path: path.stat().st_mtime_ns for path in (run / "results").rglob("*")}
    again = over(cluster, run, "-J", "0-2", "jobs/simulate.sh")
    assert "Exit_status = 0" in again
    assert all(f"simulate-{index}: done before" in log_of(run, f"simulate-{index}") for index in range(3))
    assert marker(run, "simulate-1")["starts"] == 1
    assert {path: path.stat().st_mtime_ns for path in (run / "results").rglob("*")} == before

    # Of several at once, PBS tells of each; of an array, also of each part.
    wanted = (ids["compile"], ids["simulate"], ids["report"], "9999.login")
    text = cluster("qstat", "-xtf", *wanted, cwd=run)
    listed = read_qstat(text.stdout)
    assert set(listed) == {(ids["compile"], None), (ids["report"], None)} | {
        (ids["simulate"], index) for index in (None, 0, 1, 2)
    }
    assert {(job.phase, job.exit_code) for job in listed.values()} == {("ended", 0)}
    assert "Unknown Job Id 9999.login" in text.stderr


@on_one_worker
def test_parts_of_an_array_beside_each_other(cluster, new_run, probe, compiled):
    """Two tasks at once, each of two ranks on both nodes: no rank is bound, each has a TMPDIR that will do."""
    run = new_run(python=probe, circuit=compiled, flags=("--seed", "1", "--seed", "2"))
    tasks = ("simulate-0", "simulate-1")
    with waiting(probe):
        cluster.jobs("submit", run, "models", "simulate")
        waiting_on_all_ranks(cluster, run, tasks)
        array = jobs_of(run)["simulate"]
        parts = [array.replace("[]", f"[{index}]") for index in (0, 1)]
        asked = (array, *parts, array.replace("[]", "[7]"))
        assert [job_lives(cluster, run, job) for job in asked] == [0, 0, 0, 1]
    cluster.finished(run)
    cluster.wait(lambda: job_lives(cluster, run, array) == 1)
    assert [job_lives(cluster, run, job) for job in (*parts, "9999.login")] == [1, 1, 1]
    assert job_lives(cluster, run, "33[0].elsewhere") == 2
    all_cores = Path("/proc/self/status").read_text().split("Cpus_allowed_list:\t")[1].split()[0]
    for task, seed in zip(tasks, "12", strict=True):
        said = SAID.findall(log_of(run, task))
        assert sorted(host for host, *_ in said) == ["node1", "node1", "node2", "node2"]
        assert {cores for _, _, cores, _, _ in said} == {all_cores}
        assert {given for _, _, _, given, _ in said} == {seed}
        (folder,) = {tmp for *_, tmp in said}
        assert re.fullmatch(r"[\w./-]+", folder)
        for node in ("node1", "node2"):  # each has its own
            assert not (cluster.base / f"tmp.{node}.var" / Path(folder).name).exists()


@on_one_worker
def test_a_failing_compilation_takes_its_dependents_with_it(cluster, new_run, probe):
    run = new_run(python=probe)
    Path(probe).with_name("fail").touch()
    cluster.jobs("submit", run)
    told = cluster.finished(run)
    assert states(told) == {
        "models": "done",
        "compile": "failed",
        "simulate-0": "cancelled",
        "report": "cancelled",
    }, told
    assert not list(run.glob(".*.partial"))


@on_one_worker
def test_a_stage_the_walltime_stopped_is_taken_up_again(cluster, new_run, probe, compiled):
    run = new_run(python=probe, circuit=compiled, flags=("--walltime", "00:01:00"))
    with waiting(probe):
        cluster.jobs("submit", run)
        told = cluster.finished(run)
    assert states(told) | {"models": "done"} == {
        "models": "done",
        "compile": "done",
        "simulate-0": "stopped",
        "report": "cancelled",
    }
    assert "walltime" in told["simulate-0"]["detail"]
    before = len(submitted(run))
    command = [sys.executable, "-m", "cerebellar_models", *rendering(run)]
    rendered = cluster(*command, cwd=folder_of(run))
    assert rendered.returncode == 0, rendered.stderr
    cluster.jobs("resume", run)
    cluster.finished(run)
    assert marker(run, "simulate-0")["starts"] == 2
    assert [line.stage for line in submitted(run)[before:]] == ["simulate", "report"]


@on_one_worker
def test_what_pbs_starts_again_is_there_once(cluster, new_run, probe, compiled):
    """PBS takes no array that may not start again: its parts know that they have begun before. Other jobs refuse."""
    run = new_run(python=probe, circuit=compiled, flags=("--seed", "1", "--seed", "2"))
    tasks = ("simulate-0", "simulate-1")
    with waiting(probe):
        cluster.jobs("submit", run, "models", "simulate")
        waiting_on_all_ranks(cluster, run, tasks)
        array = jobs_of(run)["simulate"]
        parts = [array.replace("[]", f"[{index}]") for index in (0, 1)]
        again = cluster("qrerun", parts[0], cwd=run)
        assert again.returncode == 0, again.stderr
        cluster.wait(lambda: len(SAID.findall(log_of(run, "simulate-0"))) == 8)
        assert marker(run, "simulate-0")["starts"] == 2
        assert len(probes(run, "simulate-0")) == 4  # of before, nothing is left
        held = leases(run)
        assert [held[task].job for task in tasks] == parts
        assert states(cluster.jobs("status", run)) | {"models": "done"} == {
            "models": "done",
            "compile": "done",
            "simulate-0": "running",
            "simulate-1": "running",
            "report": "not submitted",
        }
        command = [sys.executable, "-m", "cerebellar_models", "jobs", "cancel", str(run)]
        assert cluster(*command, cwd=run).returncode == 0
        cluster.wait(lambda: job_lives(cluster, run, array) == 1)
        told = cluster.finished(run)
        assert {told[task]["state"] for task in tasks} <= {"stopped", "cancelled"}
        assert not any(probes(run, task) for task in tasks)
    other = cluster("qsub", "-h", "jobs/models.sh", cwd=run).stdout.strip()
    assert job_lives(cluster, run, other) == 0
    assert "Rerunable = False" in cluster("qstat", "-f", other, cwd=run).stdout
    cluster("qdel", other, cwd=run)


@on_one_worker
def test_a_task_has_one_owner(cluster, new_run):
    run = new_run()
    (run / "behaviour").write_text("hang")
    cluster.jobs("submit", run, "compile")
    cluster.wait(lambda: log_of(run, "compile").count("hanging") == 4)
    held, begun = leases(run)["compile"], marker(run, "compile")

    # It has the nodes' other cores.
    assert "Exit_status = 75" in over(cluster, run, "jobs/compile.sh")
    printed = "".join(path.read_text() for path in (run / "logs").glob("*.OU"))
    assert f"compile: job {held.job} works on it" in printed
    assert (leases(run)["compile"], marker(run, "compile")) == (held, begun)
    assert len(ranks_of(run)) == 4

    # Killed, it says nothing, and PBS says that it is gone.
    os.kill(int(held.pid), signal.SIGKILL)
    cluster.wait(lambda: job_lives(cluster, run, held.job) == 1)
    assert leases(run)["compile"] == held
    assert cluster.jobs("status", run)["compile"]["state"] == "lost"
    cluster.jobs("submit", run, "compile")
    cluster.wait(lambda: log_of(run, "compile").count("hanging") == 8)
    assert leases(run)["compile"].job == jobs_of(run)["compile"] != held.job
    assert marker(run, "compile")["starts"] == 2
    assert len(ranks_of(run)) == 4
    command = [sys.executable, "-m", "cerebellar_models", "jobs", "cancel", str(run)]
    assert cluster(*command, cwd=run).returncode == 0
    assert cluster.finished(run)["compile"]["state"] in ("stopped", "cancelled")
    assert not leases(run) and not ranks_of(run)


@on_one_worker
def test_a_server_that_is_down(cluster, new_run):
    run = new_run()
    command = [sys.executable, "-m", "cerebellar_models", "jobs"]
    stopped = cluster("qterm", "-t", "quick", cwd=run)
    assert stopped.returncode == 0, stopped.stderr
    try:
        for _ in range(100):
            if cluster("qstat", "-B", cwd=run).returncode != 0:
                break
            time.sleep(0.1)
        refused = cluster(*command, "submit", str(run), cwd=run)
        assert refused.returncode == 1
        assert "qsub: cannot connect to server" in refused.stderr
        assert "some of this submission may still be in the queue" in refused.stderr  # who knows
        assert [(line.stage, line.job) for line in submitted(run)] == [("models", "")]
        assert job_lives(cluster, run, "0.login") == 2
    finally:
        # Not to a pipe: its database would keep that.
        again = cluster("bash", "-c", "pbs_server >again 2>&1", cwd=run)
        assert again.returncode == 0, (run / "again").read_text()
    assert set(states(cluster.jobs("status", run)).values()) == {"not submitted", "waiting"}
    refused = cluster(*command, "submit", str(run), cwd=run)
    assert (refused.returncode, refused.stdout) == (2, "")


@on_one_worker
@pytest.mark.parametrize(
    ("site", "flags", "nodes"),
    [
        ("hawk", ("--account", "ab12"), 2),
        ("gadi", ("--account", "ab12", "--filesystems", "gdata/ab12", "--nodes", "1", "--ranks", "2"), 1),
    ],
)
def test_a_site_whose_launcher_is_mpirun(site, flags, nodes, cluster, new_run, probe):
    """Hawk's nodes are a job's alone: each rank has a core of its own there."""
    run = new_run(site, python=probe, flags=flags, modules=[])
    cluster.jobs("submit", run, "compile")
    cluster.finished(run)
    said = SAID.findall(log_of(run, "compile"))
    assert sorted(host for host, *_ in said) == sorted(["node1", "node2"][:nodes] * 2), log_of(run, "compile")
    if site == "hawk":
        assert [cores for host, _, cores, _, _ in sorted(said)] == ["0", "1"] * 2


@on_one_worker
@pytest.mark.parametrize("name", ["generic-pbs", "hawk", "gadi", "polaris"])
def test_the_scripts_of_the_sites_are_accepted(name, cluster, tmp_path):
    at = load_site(name)
    wanted = {"account": "ab12", "filesystems": "home:eagle"}
    of = plan(
        at, options(**{key: wanted[key] for key in at.required}), tasks=simulations("a", seeds=(1, 2, 3))
    )
    (tmp_path / "jobs").mkdir()
    for path, text in render(of).items():
        (tmp_path / path).write_text(text)
    jobs = []
    for stage in of.stages:
        array = ("-J", "0-2") if stage.name == "simulate" and at.array_limit != 1 else ()
        said = cluster("qsub", "-h", *array, f"jobs/{stage.name}.sh", cwd=tmp_path)
        assert said.returncode == 0, f"{stage.name}: {said.stderr}"
        jobs.append(said.stdout.strip())
    assert cluster("qdel", *jobs, cwd=tmp_path).returncode == 0
    # It can say no.
    assert cluster("qsub", "-h", "-l", "nonsense=1", "jobs/models.sh", cwd=tmp_path).returncode != 0
    assert cluster("qsub", "-h", "-q", "nowhere", "jobs/models.sh", cwd=tmp_path).returncode != 0


@pytest.mark.xdist_group("images")
def test_in_the_image(apptainer, sif, cluster, new_run, monkeypatch):
    """Hybrid: Open MPI of the nodes outside, of the image inside; two seeds."""
    folder = Path(apptainer.command[-1]).parent
    own = {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PATH": f"{folder}:$PATH", "PYTHONPATH": "$RUN"}
    run = new_run(
        flags=("--image", str(sif), "--seed", "1234", "--seed", "7"),
        runtime="apptainer",
        runtime_options=["--userns"],
        environment=QUIET_MPI
        | own
        | {
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
            "UCX_TLS": "^posix",  # it takes the two nodes, which share a kernel, for one machine
        },
    )
    cluster.jobs("submit", run)
    told = cluster.finished(run)
    assert set(states(told).values()) == {"done"}, "\n".join(log_of(run, task)[-2000:] for task in told)
    assert RunFolder(run).report.exists()
