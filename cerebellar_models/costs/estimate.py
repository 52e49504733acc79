"""What a stage of a run will take, from the size of its circuit and a cost model. Pure.

Estimates are best guesses without any margin: who asks a scheduler for resources multiplies them by the safety
factors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.populations import chunks_of
from cerebellar_models.circuits.counting.size import CircuitSize, circuit_size
from cerebellar_models.costs.cost_model import CostModel, load_cost_model
from cerebellar_models.costs.simulation import KB, MB, greatest, network_of, simulation_cost
from cerebellar_models.errors import UserError
from cerebellar_models.tree import Tree

__all__ = ["MEMORY_SAFETY", "STORAGE_SAFETY", "WALLTIME_SAFETY", "Cost", "CostModel", "Stage", "StageCost", "costs",
           "estimate", "load_cost_model", "most_ranks"]  # fmt: skip

Stage = Literal["models", "compile", "simulate", "report"]

# An estimate may be 25 % off (its tests allow as much), and a job above its memory is killed.
MEMORY_SAFETY = 1.5
# Nodes differ in speed, shared file systems are slow at times, and a job at its walltime is stopped.
WALLTIME_SAFETY = 2.5
# Until a file is whole it lies beside its final place, and scratch may be copied back.
STORAGE_SAFETY = 2.0

# Below so many cells, a process does nothing but keep its share of the exchange of spikes. A choice, not a measurement.
_FEWEST_CELLS_PER_PROCESS = 500


@dataclass(frozen=True)
class StageCost:
    """What a stage takes, without margins."""

    memory_mb_per_rank: float
    """of the largest rank"""
    memory_mb_total: float
    """of all ranks together"""
    seconds: float
    storage_mb: float
    """of what the stage leaves in the run folder"""
    limited_by: str
    """which numbers make it so, for people"""
    unknown: tuple[str, ...] = ()
    """what the estimate leaves out, since nothing is known about it"""


Cost = Callable[[int, int], StageCost]
"""what a stage takes on so many ranks of so many threads each"""


def estimate(
    tree: Tree,
    model: CostModel,
    stage: Stage,
    ranks: int = 1,
    threads: int = 1,
    simulation: str | None = None,
) -> StageCost:
    """What a stage takes on so many ranks of so many threads each.

    :param tree: a BSB configuration.
    :param simulation: the one to simulate; None: the one that takes most.
    :raises UserError: there is no such simulation, or ranks or threads are below 1.
    """
    if ranks < 1 or threads < 1:
        raise UserError(f"ranks, threads: {ranks} and {threads} are not both at least 1")
    return costs(tree, model, stage, simulation)(ranks, threads)


def costs(tree: Tree, model: CostModel, stage: Stage, simulation: str | None = None) -> Cost:
    """As `estimate`, for any number of ranks and threads: the circuit is counted once."""
    size = circuit_size(tree)
    if stage == "models":
        cost = model.models
        alone = StageCost(cost.process_mb, cost.process_mb, cost.seconds, cost.storage_mb, "the C++ compiler")
        return lambda ranks, threads: alone
    if stage == "compile":
        return _compile(tree, size, model)
    if stage == "report":
        report = _report(size, model)
        return lambda ranks, threads: report
    each = [_simulate_or_say(name, one, size, model) for name, one in _simulations(tree, simulation).items()]
    if not each:
        raise UserError("simulations: the configuration has none")
    return lambda ranks, threads: max(
        (cost(ranks, threads) for cost in each), key=lambda cost: (cost.seconds, cost.memory_mb_per_rank)
    )


def most_ranks(tree: Tree, stage: Stage) -> int:
    """The number of ranks beyond which more do nothing, or next to nothing; of a simulation, of ranks' threads.

    A compile has a job for each rule and chunk; rank 0 gives them out and does none itself. In a simulation each
    thread needs a few hundred cells.
    """
    if stage == "compile":
        return 1 + max((_jobs(tree, name) for name in tree.get("cell_types", ())), default=0)
    if stage == "simulate":
        return max(1, int(circuit_size(tree).total_cells // _FEWEST_CELLS_PER_PROCESS))
    return 1


def _jobs(tree: Tree, cell_type: str) -> int:
    """Chunks that hold cells of a type; 1 where that is not known."""
    try:
        return chunks_of(Node(tree), cell_type)
    except Uncounted:
        return 1


def _compile(tree: Tree, size: CircuitSize, model: CostModel) -> Cost:
    cost = model.compile
    jobs: dict[str, int] = {}  # of each rule, one at each chunk
    took: dict[str, float] = {}
    candidates = 0.0
    for each in size.projections.values():
        count = _jobs(tree, each.source)
        jobs[each.rule] = max(jobs.get(each.rule, 0), count)
        took[each.rule] = (
            took.get(each.rule, 0.0)
            + each.candidates * cost.seconds_per_candidate
            + each.pairs * cost.seconds_per_pair
            + each.contacts * cost.seconds_per_contact
        )
        candidates = max(candidates, each.candidates / count)
    longest = max((took[rule] / jobs[rule] + cost.seconds_per_job for rule in jobs), default=0.0)
    placing = sum(_jobs(tree, cell_type) for cell_type in size.cells)
    work = (
        sum(took.values())
        + (sum(jobs.values()) + placing) * cost.seconds_per_job
        + size.total_cells * cost.seconds_per_cell
    )
    most = most_ranks(tree, "compile")
    looked_up = _most_looked_up(tree, size)
    passing = {
        f"{candidates:.3g} candidate pairs of a job": candidates * cost.bytes_per_candidate / MB,
        f"{looked_up:.3g} contacts that a rule looks up": looked_up * cost.bytes_per_contact / MB,
    }
    lasting = {
        "the process itself": cost.process_mb,
        f"{size.total_cells:.3g} cells": size.total_cells * cost.kb_per_cell * KB / MB,
    }
    memory = sum(lasting.values()) + max(passing.values())
    file_kb = sum(jobs.values()) * cost.storage_kb_per_job
    storage = cost.storage_mb + file_kb * KB / MB + size.total_contacts * cost.storage_bytes_per_contact / MB

    def on(ranks: int, threads: int) -> StageCost:
        workers = max(1, min(ranks, most) - 1)
        return StageCost(
            memory,
            memory * ranks,
            cost.seconds + max(work / workers, longest),
            storage,
            f"memory: {greatest(lasting | passing)}; time: {size.total_contacts:.3g} contacts on {workers} working"
            f" rank{'s' if workers > 1 else ''}",
            size.unknown,
        )

    return on


def _most_looked_up(tree: Tree, size: CircuitSize) -> float:
    """Contacts of the largest set that a rule looks up whole: of those it names in any list but its order."""
    named = {
        name
        for rule in tree.get("connectivity", {}).values()
        if isinstance(rule, dict)
        for key, value in rule.items()
        if isinstance(value, list) and key != "depends_on"
        for name in value
        if isinstance(name, str)
    }
    return max((each.contacts for each in size.projections.values() if each.rule in named), default=0.0)


def _simulations(tree: Tree, name: str | None) -> dict[str, Tree]:
    simulations: dict[str, Tree] = tree.get("simulations") or {}
    if name is None:
        return simulations
    if name not in simulations:
        raise UserError(f"simulation: there is no '{name}'; known: {', '.join(simulations) or 'none'}")
    return {name: simulations[name]}


def _simulate_or_say(name: str, simulation: Tree, size: CircuitSize, model: CostModel) -> Cost:
    """What little there is to say about a simulation that is not understood, and why."""
    try:
        node = Node.of(simulation, f"simulations.{name}")
        if node.text("simulator") == "nest":
            network = network_of(node, size, model.simulate)
            return lambda ranks, threads: StageCost(
                *simulation_cost(network, model.simulate, ranks, threads), size.unknown
            )
        reason = f"nothing is known about simulator {node.get('simulator')}"
    except Uncounted as told:
        reason = str(told)
    memory, unknown = model.simulate.process_mb, (*size.unknown, f"simulation {name}: {reason}")
    return lambda ranks, threads: StageCost(
        memory, memory * ranks, model.simulate.seconds, 0.0, "the process itself", unknown
    )


def _report(size: CircuitSize, model: CostModel) -> StageCost:
    cost = model.report
    memory = (
        cost.process_mb
        + (size.total_contacts * cost.bytes_per_contact + size.total_cells * cost.kb_per_cell * KB) / MB
    )
    return StageCost(
        memory,
        memory,
        cost.seconds + size.total_contacts * cost.seconds_per_contact,
        cost.storage_mb,
        f"{size.total_contacts:.3g} contacts",
        size.unknown,
    )
