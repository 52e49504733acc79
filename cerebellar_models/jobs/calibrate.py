"""A cost model brought in line with what a finished run used. Pure but for reading the run.

One run gives two numbers for each stage, its peak of memory and its time. Times are scaled together: another machine is
faster or slower at all of it. Memory is scaled where the circuit makes up a good part of it, and otherwise counted to
the process itself, so that an estimate for a larger circuit stays one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cerebellar_models.circuits.catalogue import read_yaml
from cerebellar_models.circuits.threads import threads_of
from cerebellar_models.costs.cost_model import CostModel, as_tree, from_tree
from cerebellar_models.costs.estimate import Stage, estimate
from cerebellar_models.errors import UserError
from cerebellar_models.runs.products import kept_threads
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.run_folder import RunFolder, RunRecord
from cerebellar_models.tree import Tree, merged

# Where the circuit makes up less of a stage's memory, one run says nothing about its share.
_TELLING_SHARE = 0.3
# A stage further off than this was not the work that is estimated: its product came from a cache, or the node swapped.
_LARGEST_FACTOR = 20.0
_DIGITS = 4


@dataclass(frozen=True)
class Use:
    """What a task of a run used, by its shape."""

    task: str
    stage: Stage
    ranks: int
    threads: int
    simulation: str | None
    seconds: float | None
    memory_mb: float | None
    """of the largest rank"""


@dataclass(frozen=True)
class Compared:
    """A task's use beside its estimates, with the model as it was and as it is now."""

    use: Use
    before: tuple[float, float]
    after: tuple[float, float]
    """memory in MB of a rank, and seconds"""


@dataclass(frozen=True)
class Calibrated:
    """The numbers that change, what they lead to, and what was left out."""

    changes: Tree
    compared: tuple[Compared, ...]
    left_out: tuple[str, ...]


def uses_of(run: Path) -> list[Use]:
    """What the tasks of a run used that are done.

    :raises UserError: it is no run folder, or none of its stages is done.
    """
    record = RunFolder(run).load()
    uses = _uses_of_jobs(run, record) if record.jobs else _uses_of_stages(run, record)
    if not uses:
        raise UserError(f"{run}: no stage of this run is done, so it cannot calibrate anything")
    return uses


def _uses_of_jobs(path: Path, record: RunRecord) -> list[Use]:
    run = Run.open(path)
    shapes = {stage.name: (stage.ranks, stage.threads) for stage in run.plan.stages}
    uses = []
    for task in run.tasks:
        job = record.jobs.get(task.name)
        if job and job.get("state") == "done":
            ranks, threads = shapes[task.stage]
            stage: Stage = task.stage  # type: ignore[assignment]
            used = (job.get("seconds"), job.get("max_rss_mb"))
            if stage == "simulate" and (
                results := run.product(task)
            ):  # the plan may have been made anew since
                threads = kept_threads(results) or threads
            uses.append(Use(task.name, stage, ranks, threads, task.simulation, *used))
    return uses


def _uses_of_stages(run: Path, record: RunRecord) -> list[Use]:
    simulations = read_yaml(run / "circuit.yaml").get("simulations") or {}
    uses = []
    for name, stage in record.stages.items():
        kind, _, simulation = name.partition(" ")
        threads = threads_of({name: simulations.get(simulation, {})})
        if stage.state == "done":
            uses.append(
                Use(name, kind, stage.ranks, threads, simulation or None, stage.seconds, stage.rank_mb)  # type: ignore[arg-type]
            )
    return uses


def calibrate(tree: Tree, uses: list[Use], model: CostModel) -> Calibrated:
    """The model's numbers that make its estimates those of a run.

    :param tree: the run's configuration.
    :raises UserError: the configuration holds what cannot be estimated, or no use is plausible.
    """
    changes: Tree = {}
    used: list[Use] = []
    left_out: list[str] = []
    for stage in dict.fromkeys(use.stage for use in uses):
        # Of several simulations, the one with most work says most.
        tasks = [use for use in uses if use.stage == stage]
        use = max(tasks, key=lambda each: (each.seconds or 0.0) * each.ranks * each.threads)
        changed = _changed(tree, use, model, left_out)
        if changed:
            changes[stage] = changed
            used.append(use)
    if not changes:
        raise UserError(f"nothing of this run can calibrate the model: {'; '.join(left_out)}")
    new = from_tree(merged(as_tree(model), changes), model.source)
    compared = tuple(Compared(use, _numbers(tree, use, model), _numbers(tree, use, new)) for use in used)
    return Calibrated(changes, compared, tuple(left_out))


def _numbers(tree: Tree, use: Use, model: CostModel) -> tuple[float, float]:
    cost = estimate(tree, model, use.stage, use.ranks, use.threads, use.simulation)
    if cost.unknown:
        unknown = "; ".join(cost.unknown)
        raise UserError(f"the run's circuit cannot be estimated, so it cannot calibrate: {unknown}")
    return cost.memory_mb_per_rank, cost.seconds


def _changed(tree: Tree, use: Use, model: CostModel, left_out: list[str]) -> Tree:
    """The numbers of a stage that a use changes; adds to ``left_out`` why some does not."""
    block = as_tree(model)[use.stage]
    memory, seconds = _numbers(tree, use, model)
    changed: Tree = {}
    if use.seconds is None or not _plausible(use.seconds, seconds):
        left_out.append(f"{use.task}: its time ({_told(use.seconds, 's')}, expected {seconds:.3g} s)")
    else:
        changed = _scaled(block, _is_time, use.seconds / seconds)
    if use.memory_mb is None or not _plausible(use.memory_mb, memory):
        left_out.append(f"{use.task}: its memory ({_told(use.memory_mb, 'MB')}, expected {memory:.3g} MB)")
        return changed
    fixed = block["process_mb"] + use.threads * block.get("mb_per_thread", 0.0)
    if memory - fixed >= _TELLING_SHARE * memory and use.memory_mb > fixed:
        return merged(changed, _scaled(block, _is_memory, (use.memory_mb - fixed) / (memory - fixed)))
    process = block["process_mb"] + use.memory_mb - memory
    if process <= 0:
        left_out.append(f"{use.task}: its memory ({use.memory_mb:.3g} MB, less than the circuit alone)")
        return changed
    return changed | {"process_mb": _rounded(process)}


def _plausible(used: float, expected: float) -> bool:
    return used > 0 and expected > 0 and 1 / _LARGEST_FACTOR < used / expected < _LARGEST_FACTOR


def _told(number: float | None, unit: str) -> str:
    return "not known" if number is None else f"{number:.3g} {unit}"


def _is_time(key: str) -> bool:
    return key.startswith("seconds") or key == "ns_per_update"


def _is_memory(key: str) -> bool:
    return key.startswith(("kb", "bytes"))


def _scaled(block: Tree, chosen: Callable[[str], bool], factor: float) -> Tree:
    """The chosen numbers of a block and of the tables in it, times a factor."""
    scaled: Tree = {}
    for key, value in block.items():
        if isinstance(value, dict):
            if inner := _scaled(value, chosen, factor):
                scaled[key] = inner
        elif chosen(key):
            scaled[key] = _rounded(value * factor)
    return scaled


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
