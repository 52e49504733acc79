"""A run on this machine: the plan of site ``local``, carried out by its own scripts."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cerebellar_models import mpi_installation
from cerebellar_models.builders import nest_module
from cerebellar_models.costs.estimate import load_cost_model
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.installation import install_hint
from cerebellar_models.jobs import follow
from cerebellar_models.jobs.plan import plan
from cerebellar_models.jobs.submit import stage_arguments
from cerebellar_models.runs.bsb_log import last_lines, progress
from cerebellar_models.runs.job_plan import JobPlan, Options, read_plan
from cerebellar_models.runs.markers import read_marker
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.tasks import PlannedTask
from cerebellar_models.sites.profiles import Site, load_site

Tell = Callable[[str], None]

# Ranks wait for one another at full speed; more of them for each core only stand in each other's way.
_MOST_RANKS_PER_CORE = 4
_LOOK_EVERY_S = 0.2
_TAIL_LINES = 3
_TAIL_BYTES = 4000
_HELD = 75
"""status of a script whose task another one holds"""


def simulating_ranks(ranks: int) -> int:
    """On how many ranks NEST can simulate here, of so many."""
    nest = nest_module.nest_installation()
    return ranks if nest is not None and nest.has_mpi else 1


def check_ranks(ranks: int) -> None:
    """:raises UserError: they cannot be started here."""
    most = _MOST_RANKS_PER_CORE * (os.cpu_count() or 1)
    if not 1 <= ranks <= most:
        bound = (
            "at least 1"
            if ranks < 1
            else f"at most {most}, {_MOST_RANKS_PER_CORE} for each core of this machine"
        )
        raise UserError(f"ranks: {ranks} is not {bound}")
    mpi_installation.check(ranks)


def local_plan(tree: dict[str, Any], species: str, ranks: int, threads: int | None = None) -> JobPlan:
    """Every simulation of the tree, with this Python and no limit of time.

    :param threads: of a rank that simulates; None: one, and results of others will do.
    :raises UserError: NEST is not installed.
    """
    if tree["simulations"] and nest_module.nest_installation() is None:
        raise UserError(f"NEST is not installed: {install_hint('nest')}")
    options = Options(python=sys.executable, ranks=ranks, threads=threads)
    planned = plan(tree, _with_cores_for(ranks, threads or 1), options, load_cost_model(species))
    fewer = simulating_ranks(ranks)
    stages = (
        replace(stage, ranks=fewer, ranks_per_node=fewer, threads=threads or 1)
        if stage.name == "simulate"
        else stage
        for stage in planned.stages
    )
    return replace(planned, stages=tuple(stages))


def threads_asked_before(path: Path) -> int | None:
    """What the run in a folder was asked for last; None where it was not, or there is none."""
    try:
        return read_plan(path).options.threads
    except UserError:
        return None


def _with_cores_for(ranks: int, threads: int) -> Site:
    """This machine; ranks and threads beyond its cores are slower, and as many as `check_ranks` has let pass."""
    site = load_site("local")
    (machine,) = site.queues
    return replace(site, queues=(replace(machine, cores=max(machine.cores or 1, ranks * threads)),))


def is_whole(run: Run, task: PlannedTask) -> bool:
    """Whether a task has nothing to do here; the product of the models is this machine's cache.

    :raises RunError: what lies there is not whole.
    """
    if task.stage == "models" and not nest_module.is_built():
        return False
    found = run.standing(task, thorough=True)
    if found.fault and task.stage != "report":  # a report of what was there before is replaced
        raise RunError(found.fault)
    return found.whole


@dataclass(frozen=True)
class Teller:
    """``tell`` prints a line that stays, ``progress`` one that does not."""

    tell: Tell
    progress: Tell


def run_all(run: Run, teller: Teller) -> None:
    """Carries out every task of a rendered run that is not done yet.

    What is started here ends with this process: signals that ask it to end are handed on, and waited for.

    :raises RunError: a task failed or was stopped; what earlier ones made is kept, nothing of its own is.
    :raises UserError: another process works on a task.
    """
    try:
        for task in run.tasks:
            if is_whole(replace(run), task):  # as it is now: those before have changed what is on disk
                teller.tell(f"{task.title}: done before")
            else:
                _run(run, task, teller)
    finally:
        follow.record(follow.follow(replace(run)))


def _run(run: Run, task: PlannedTask, teller: Teller) -> None:
    teller.tell(f"{task.title} …")
    command = ["bash", str(run.path / "jobs" / "submit.sh"), *stage_arguments([task])]
    if shutil.which("setpriv"):  # it ends with this process, even if that is killed
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    start = time.monotonic()
    # In a session of its own: it hears of Ctrl-C from this process alone, and once.
    script = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    with script, _handing_on(script) as heard:
        while True:
            try:
                _, said = script.communicate(timeout=_LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                if text := progress(run.log(task)):
                    teller.progress(f"{task.title}: {text}")
    if heard:
        raise RunError(f"{task.title}: stopped by {heard[0].name}; the same command goes on from here")
    if script.returncode == _HELD:
        raise UserError(f"{run.path}: another run is working in it: {' '.join(said.split())}")
    if script.returncode != 0:
        raise RunError(_failure(run, task, said))
    teller.tell(f"{task.title}: {time.monotonic() - start:.0f} s")


@contextmanager
def _handing_on(script: subprocess.Popen[str]) -> Iterator[list[signal.Signals]]:
    """Signals that ask this process to end, as they come; each asks the script to stop."""
    heard: list[signal.Signals] = []

    def hand_on(number: int, frame: object) -> None:
        heard.append(signal.Signals(number))
        script.send_signal(signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup
            signal.signal(number, hand_on)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failure(run: Run, task: PlannedTask, said: str) -> str:
    """In one line: why, as the task says, and the last lines of its log."""
    log, marker = run.log(task), read_marker(run.path, task)
    if marker and marker.state == "running":
        reason = "a script of it was killed; the same command goes on from here"
    else:
        reason = (marker.reason if marker else "") or " ".join(said.split())
    lines = last_lines(log, _TAIL_BYTES)
    last = [line.strip() for line in lines if line.strip() and not line.startswith("=== ")][-_TAIL_LINES:]
    tail = [line for line in last if reason not in line]
    return " | ".join([f"{task.title} failed: {reason}", *tail]) + f" (all of it: {log})"
