"""Schedulers to submit to; see queues.py."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plans import options, plan, simulations, site
from queues import FAKE_PBS, JUDGE, NODES, Site, free_ports
from support import HOSTILE, missing

from cerebellar_models.jobs.render import render
from cerebellar_models.runs.run_folder import RunFolder, RunRecord


@pytest.fixture(scope="module")
def controller() -> Iterator[Path]:
    """The configuration of a SLURM that queues what it is given."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    for command in ("slurmctld", "munged", "sbatch"):
        if shutil.which(command, path=path) is None:
            missing(f"{command} is not installed: apt install slurm-wlm munge")
    base = Path(tempfile.mkdtemp(prefix="queue-"))
    try:
        with (base / "started").open("w+") as said:  # munged holds on to what it inherits: no pipes
            start = [str(JUDGE), "start", str(base), str(free_ports())]
            done = subprocess.run(
                start,
                input=NODES,
                env=os.environ | {"PATH": path},
                stdout=said,
                stderr=said,
                text=True,
                check=False,
            )
            said.seek(0)
            assert done.returncode == 0, said.read()
        yield base / "slurm.conf"
    finally:
        subprocess.run([str(JUDGE), "stop", str(base)], check=False)
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def slurm(controller, tmp_path) -> Iterator[Site]:
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "USER": "me", "SLURM_CONF": str(controller)}
    found = Site("slurm", tmp_path, given)
    yield found
    subprocess.run(["scancel", "--state=PENDING", *found.queue()], env=os.environ | given, check=False)


@pytest.fixture
def pbs(tmp_path) -> Site:
    commands, queue = tmp_path / "pbs", tmp_path / "queue"
    commands.mkdir()
    queue.mkdir()
    for name, text in FAKE_PBS.items():
        text = text.replace("$QUEUE", str(queue))  # what submits passes on no variable it does not know
        (commands / name).write_text(f"#!/bin/bash\n{text}", encoding="utf-8")
        (commands / name).chmod(0o755)
    given = {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path), "QUEUE": str(queue)}
    return Site("pbs", tmp_path, given)


@pytest.fixture(params=["slurm", "pbs"])
def at(request) -> Site:
    return request.getfixturevalue(request.param)


@pytest.fixture
def new_run(tmp_path) -> Callable[..., Path]:
    """A run folder of a hostile name, with two simulations, for a scheduler."""

    def make(scheduler: str = "slurm", seeds: tuple[int | None, ...] = (None, 7), **facts) -> Path:
        run = tmp_path / f"{HOSTILE} [0]".replace("/", "-")
        (run / "jobs" / "state").mkdir(parents=True)
        at_site = site(scheduler=scheduler, runtime="none", **facts)
        of = plan(at_site, options(), tasks=simulations("basal_activity", seeds=seeds), walltime_s=7200)
        for path, text in render(of).items():
            (run / path).write_text(text, encoding="utf-8")
        (run / "jobs" / "plan.json").write_text(of.to_json(), encoding="utf-8")
        RunFolder(run).save(RunRecord({}, {}))
        return run

    return make
