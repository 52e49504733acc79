"""One owner for each task: who holds it, when it is given up, and that all that belongs to it ends with it.

The scripts are those of site `local`; the Python they start is a stub whose compilation waits until it is ended.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asking import marker_of, tasks_of
from plans import options, plan, site

from cerebellar_models.jobs import local
from cerebellar_models.jobs.render import render
from cerebellar_models.on_node import task
from cerebellar_models.runs.leases import leases, members, works
from cerebellar_models.runs.run import Run

# What belongs to the work: a process of its own and one that has left its group, as ranks may.
PYTHON = f"""#!/bin/bash
case $* in
  *on_node.task*) exec {sys.executable} "$@" ;;
  *"bsb compile"*)
    env >"$SEEN"
    [ -n "${{STUBBORN:-}}" ] || trap 'kill $(jobs -p); exit 1' TERM # as launchers do
    setsid sleep 300 &
    sleep 300 &
    echo working
    wait
    ;;
esac
"""
PATIENCE_S = 60


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "a run"
    (folder / "jobs").mkdir(parents=True)
    (folder / "circuit.yaml").write_text("name: made up\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "py").write_text(PYTHON)
    (tmp_path / "bin" / "py").chmod(0o755)
    of = plan(
        site(scheduler="local", launcher="none", runtime="none", environment={"BSB_OF_THE_SITE": "1"}),
        options(python="py"),
        nodes=1,
        ranks=1,
        ranks_per_node=1,
    )
    for name, text in (render(of) | {"jobs/plan.json": of.to_json()}).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def start(run, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """``start(script, arguments…)`` in a session of its own; what is left of it ends with the test."""
    started: list[subprocess.Popen] = []

    def begin(script: str, *arguments: str, **environment: str) -> subprocess.Popen:
        given = {
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "CEREBELLAR_MODELS_GRACE_S": "2",
            "SEEN": str(tmp_path / "seen"),
        }
        process = subprocess.Popen(
            ["bash", str(run / "jobs" / script), *arguments],
            env=given | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell cannot trap what it inherits ignored, as the tests' own may be.
            preexec_fn=lambda: [
                signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
            ],
        )
        started.append(process)
        return process

    yield begin
    for lease in leases(run).values():
        for member in members(lease):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def at_work(run: Path) -> bool:
    log = run / "logs" / "compile.log"
    return log.exists() and "working" in log.read_text()


def script_of(run: Path) -> int:
    return int(leases(run)["compile"].pid)


def test_a_second_script_respects_the_first(run, start):
    start("compile.sh")
    until(lambda: at_work(run))
    held, log = leases(run)["compile"], (run / "logs" / "compile.log").read_text()
    assert works(held)
    second = start("compile.sh")
    _, said = second.communicate()
    assert second.returncode == 75
    assert f"compile: process {held.pid} on this machine works on it" in said
    assert leases(run)["compile"] == held
    marker = marker_of(run, "compile")
    assert marker is not None and (marker.state, marker.starts) == ("running", 1)
    assert (run / "logs" / "compile.log").read_text() == log
    assert (run / ".compile.partial").exists()


SIGNALS = {
    signal.SIGHUP: "its terminal or connection was closed",
    signal.SIGTERM: "it was cancelled",
    signal.SIGINT: "it was cancelled",
}


@pytest.mark.parametrize("script", ["compile.sh", "submit.sh"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_all_that_belongs_to_the_task(number, script, run, start):
    parent = start(script, *(("compile",) if script == "submit.sh" else ()), STUBBORN="1")
    until(lambda: at_work(run))
    held = leases(run)["compile"]
    assert len(members(held)) >= 3
    os.kill(parent.pid, number)
    parent.communicate(timeout=PATIENCE_S)
    assert parent.returncode != 0
    assert not members(held)
    assert leases(run) == {}
    marker = marker_of(run, "compile")
    assert marker is not None
    # What hands signals on asks its stage to end: only a closed terminal is told from that.
    assert (marker.state, marker.reason) == ("stopped", SIGNALS[number])
    assert not (run / "cerebellum.hdf5").exists()
    assert not list(run.glob(".*.partial"))


def test_a_hangup_of_everything_at_once_is_no_end(run, start):
    """As when a terminal closes: the script, and what it waits for, hear of it together."""
    parent = start("compile.sh")
    until(lambda: at_work(run))
    os.killpg(parent.pid, signal.SIGHUP)
    parent.communicate(timeout=PATIENCE_S)
    assert parent.returncode != 0
    marker = marker_of(run, "compile")
    assert marker is not None and marker.state == "stopped"
    assert not (run / "cerebellum.hdf5").exists()


@pytest.mark.parametrize("victim", ["script", "submitter"])
def test_what_a_killed_parent_leaves_ends_or_is_named(victim, run, start, tmp_path):
    parent = start("submit.sh", "compile")
    until(lambda: at_work(run))
    held = leases(run)["compile"]
    os.kill(parent.pid if victim == "submitter" else int(held.pid), signal.SIGKILL)
    until(lambda: not works(held) or not at_work(run))
    again = start("compile.sh")
    until(lambda: leases(run).get("compile", held) != held)
    assert not list(members(held))
    again.terminate()
    again.communicate(timeout=PATIENCE_S)


def test_where_nothing_ends_what_is_left_its_lease_names_it(run, start, tmp_path):
    """util-linux before 2.33 has no --pdeathsig."""
    (tmp_path / "bin" / "setpriv").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "setpriv").chmod(0o755)
    parent = start("compile.sh")
    until(lambda: at_work(run))
    held = leases(run)["compile"]
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert works(held)
    again = start("compile.sh")
    _, said = again.communicate()
    assert again.returncode == 75
    for process in members(held):
        assert str(process) in said
        os.kill(process, signal.SIGKILL)
    until(lambda: not works(held))
    start("compile.sh")
    until(lambda: leases(run).get("compile", held) != held)


def lease_text(**changes: str) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    values = {"token": "t", "scheduler": "local", "job": "1", "host": os.uname().nodename, "boot": boot}
    values |= {"pid": "999999", "start": "5", "since": "1"}
    return "".join(f"{key}={value}\n" for key, value in (values | changes).items())


@pytest.mark.parametrize(
    ("changes", "holder"),
    [
        ({}, None),
        ({"pid": "1"}, None),  # another process has its number now
        ({"boot": "before"}, None),
        ({"host": "elsewhere", "boot": "its own"}, "process 999999 on elsewhere"),
        ({"host": "a-container"}, None),
        ({"scheduler": "slurm", "job": "7"}, "job 7 of slurm"),
    ],
)
def test_a_lease_is_given_up_when_its_owner_is_certainly_gone(changes, holder, run, start):
    folder = run / "jobs" / "leases"
    folder.mkdir()
    (folder / "compile").write_text(lease_text(**changes))
    script = start("compile.sh")
    if holder is None:
        until(lambda: at_work(run))
        assert leases(run)["compile"].pid == str(script.pid)
        assert works(leases(run)["compile"])
    else:
        _, said = script.communicate()
        assert script.returncode == 75
        assert f"compile: {holder} works on it" in said
        assert "remove jobs/leases/compile" in said
        assert leases(run)["compile"].pid == "999999"


def test_another_container_is_known_by_its_lock(run, start):
    folder = run / "jobs" / "leases"
    folder.mkdir()
    (folder / "compile").write_text(lease_text(host="a-container"))
    with subprocess.Popen(["flock", str(folder / "compile.lock"), "cat"], stdin=subprocess.PIPE) as holder:
        until(lambda: works(leases(run)["compile"]) is None)
        script = start("compile.sh")
        _, said = script.communicate()
        assert script.returncode == 75
        assert "process 999999 in a-container works on it" in said
        assert holder.stdin is not None
        holder.stdin.close()
    assert works(leases(run)["compile"]) is False
    start("compile.sh")
    until(lambda: at_work(run))


def test_of_many_that_start_at_once_one_works(run, start):
    scripts = [start("compile.sh") for _ in range(6)]
    until(lambda: at_work(run))
    until(lambda: sum(script.poll() is not None for script in scripts) == 5)
    assert sorted(script.returncode or 0 for script in scripts) == [0, 75, 75, 75, 75, 75]
    marker = marker_of(run, "compile")
    assert marker is not None and marker.starts == 1


def test_what_the_caller_has_set_does_not_reach_a_stage(run, start, tmp_path):
    given = {
        "BSB_CONFIG_NETWORK_X": "60",
        "BSB_SKIP_CONNECTIVITY": "1",
        "CEREBELLAR_MODELS_SEED": "7",
        "CEREBELLAR_MODELS_THREADS": "8",
        "NUMBA_DISABLE_JIT": "1",
        "NUMBA_CACHE_DIR": "/kept",
        "OWN": "kept",
    }
    start("compile.sh", **given)
    until(lambda: at_work(run))
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    assert given.keys() & seen.keys() == {"NUMBA_CACHE_DIR", "OWN"}
    assert seen["BSB_OF_THE_SITE"] == "1"  # a site's file is meant
    assert seen["CEREBELLAR_MODELS_LEASE"] == leases(run)["compile"].token


@pytest.mark.parametrize(
    ("content", "owner"),
    [
        (lease_text(host="elsewhere", boot="its own"), "process 999999 on elsewhere"),
        (lease_text(scheduler="slurm", job="7"), "job 7 of slurm"),
        ("", "one that has left no name"),  # its disk was full
    ],
)
def test_a_lease_that_cannot_be_judged_from_here_is_named_with_its_file(content, owner, run, cli):
    (run / "jobs" / "leases").mkdir()
    path = run / "jobs" / "leases" / "compile"
    path.write_text(content)
    done = cli("jobs", "submit", str(run), "compile")
    assert done.returncode == 2
    assert f"{owner} works on compile" in done.stderr
    assert f"remove {path}" in done.stderr
    assert not (run / "logs").exists()


EARLIER = "=== compile: job 1 on a, Monday\nKilled\n=== compile: ended with status 137, Monday\n"


def test_what_an_earlier_start_has_logged_is_no_reason(run):
    (run / "logs").mkdir()
    (run / "logs" / "compile.log").write_text(EARLIER + "=== compile: job 2 on a, Tuesday\nof today\n")
    assert task.end(run, "compile", 143, "") == 143
    marker = marker_of(run, "compile")
    assert marker is not None and marker.reason == "its work ended with status 143"


def test_a_killed_script_is_told_without_words_of_the_shell(run):
    (run / "logs").mkdir()
    (run / "logs" / "compile.log").write_text(EARLIER + "=== compile: job 2 on a, Tuesday\nof today\n")
    (run / "jobs" / "state").mkdir()
    (run / "jobs" / "state" / "compile.json").write_text(
        '{"state": "running", "job": "2", "hosts": "a", "started": 1}'
    )
    compile_task = next(each for each in tasks_of(run) if each.name == "compile")
    said = local._failure(Run.open(run), compile_task, "jobs/submit.sh: line 60: 356 Killed setpriv")
    assert said.startswith(
        "compile failed: a script of it was killed; the same command goes on from here | of today (all of it:"
    )
