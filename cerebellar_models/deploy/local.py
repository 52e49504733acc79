"""The stages of a run on this machine: models, compile, simulate, report. What is done is not done again."""

import re
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cerebellar_models.builders import nest_module
from cerebellar_models.deploy import launch
from cerebellar_models.deploy.products import emptied, keep_circuit, keep_results, stored_simulation
from cerebellar_models.deploy.run_folder import RunFolder, RunRecord, StageRecord, memory_used
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.extras import install_hint

Tell = Callable[[str], None]
Usage = dict[str, float]
"""MB of memory: ``rank_mb`` of the largest process, ``node_mb`` of all of them"""

# BSB announces each job it starts, and the time a simulation has reached.
_JOB = re.compile(r"JobStatus\.RUNNING \{root\}\.(\w+)\.(\w+)")
_SIMULATED = re.compile(r"(\d+(?:\.\d+)?) ?/ ?(\d+(?:\.\d+)?) ?ms")


def run_all(folder: RunFolder, record: RunRecord, tree: dict[str, Any], ranks: int, stage: "Stages") -> None:
    """Runs every stage that is not done yet.

    :raises RunError: a stage failed; what earlier stages made is kept, nothing of its own is.
    :raises UserError: the stages cannot run here at all (no NEST, no MPI launcher).
    """
    nest = nest_module.nest_installation()
    if nest is None and tree["simulations"]:
        raise UserError(f"NEST is not installed: {install_hint('nest')}")
    if tree["simulations"]:
        stage("models", _build_models, done=nest_module.is_built)
    stage("compile", partial(_compile, folder, ranks), done=folder.circuit.exists, ranks=ranks)
    for name in tree["simulations"]:
        stage(
            f"simulate {name}",
            partial(_simulate, folder, name, simulating_ranks(ranks)),
            done=(folder.results / name).exists,
            ranks=simulating_ranks(ranks),
        )
    stage("report", partial(_report, folder, record), done=folder.report.exists)


def simulating_ranks(ranks: int) -> int:
    """On how many ranks NEST can simulate here, of so many."""
    nest = nest_module.nest_installation()
    return ranks if nest is not None and nest.has_mpi else 1


class Stages:
    """Runs stages one by one, tells how they go, and keeps the record."""

    def __init__(self, folder: RunFolder, record: RunRecord, tell: Tell, progress: Tell):
        self._folder, self._record, self._tell, self._progress = folder, record, tell, progress

    def __call__(
        self, name: str, work: Callable[[Tell], Usage], done: Callable[[], bool], ranks: int = 1
    ) -> None:
        if done():
            self._tell(f"{name}: done before")
            return
        self._tell(f"{name} …")
        self._folder.report.unlink(missing_ok=True)  # of what was there before
        start = time.monotonic()
        state = "failed"
        usage: Usage = {}
        try:
            usage = work(lambda text: self._progress(f"{name}: {text}"))
            state = "done"
        finally:
            seconds = time.monotonic() - start
            self._record.stages[name] = StageRecord(state, round(seconds, 1), ranks, **usage)
            self._folder.save(self._record)
        self._tell(f"{name}: {seconds:.0f} s")


def _build_models(tell: Tell) -> Usage:
    try:
        nest_module.build(tell)
    except nest_module.ModelBuildError as error:
        raise RunError(str(error)) from error
    return _peak_of(resource.RUSAGE_CHILDREN)  # the compiler


def _peak_of(who: int) -> Usage:
    megabytes = round(resource.getrusage(who).ru_maxrss / 1024, 1)
    return {"rank_mb": megabytes, "node_mb": megabytes}


def _run(
    command: list[str], log: Path, cwd: Path, see: Tell, environment: dict[str, str] | None = None
) -> Usage:
    with tempfile.TemporaryDirectory(prefix="cerebellar-models-") as usage:
        asked = {"CEREBELLAR_MODELS_USAGE": usage, **(environment or {})}
        launch.run(command, log, cwd, see, asked)
        return memory_used(Path(usage))


def _compile(folder: RunFolder, ranks: int, tell: Tell) -> Usage:
    # BSB writes into the working directory and leaves what a failed compile has written: let that be elsewhere.
    scratch = emptied(folder.path / ".compile.partial")
    command = launch.on_ranks(
        launch.bsb("compile", str(folder.configuration.resolve()), "-v4", "--clear"), ranks
    )

    def see(line: str) -> None:
        if match := _JOB.search(line):
            tell(f"{match[1]} {match[2]}")

    try:
        usage = _run(command, folder.logs / "compile.log", scratch, see)
        keep_circuit(folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return usage


def _simulate(folder: RunFolder, name: str, ranks: int, tell: Tell) -> Usage:
    stored_simulation(folder, name)
    log = folder.logs / f"simulate-{name}.log"
    scratch = emptied(folder.path / f".simulate-{name}.partial", create=False)
    arguments = ("simulate", str(folder.circuit.resolve()), name, "-o", str(scratch.resolve()), "-v3")

    def see(line: str) -> None:
        if match := _SIMULATED.search(line):
            tell(f"{float(match[1]):.0f} of {float(match[2]):.0f} ms")

    try:
        usage = _run(
            launch.on_ranks(launch.bsb(*arguments), ranks),
            log,
            folder.path,
            see,
            {"CEREBELLAR_MODELS_PROGRESS": "1"},
        )
        keep_results(folder, scratch, name, name, log)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return usage


def _report(folder: RunFolder, record: RunRecord, tell: Tell) -> Usage:
    write_report(folder, record)
    return _peak_of(resource.RUSAGE_SELF)


def write_report(folder: RunFolder, record: RunRecord) -> None:
    """:raises UserError: the extra ``report`` is not installed; RunError: a result cannot be read."""
    try:
        from cerebellar_models.analysis.report import write_report as write
    except ModuleNotFoundError as error:
        raise UserError(f"report needs {error.name}: {install_hint('report')}") from error
    activities: dict[str, Path | list[Path]] = dict(folder.activities())
    write(folder.path, folder.circuit, activities, record.about | record.versions)
