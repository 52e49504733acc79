"""What a stage of a run will take, from the size of its circuit and a cost model. Pure.

Estimates are best guesses without any margin: who asks a scheduler for resources multiplies them by the safety
factors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cerebellar_models.circuits.populations import NOT_UNDERSTOOD, chunks_of
from cerebellar_models.circuits.size import CircuitSize, circuit_size, reason_of
from cerebellar_models.deploy.cost_model import OTHER, CostModel, NeuronCost, load_cost_model
from cerebellar_models.errors import UserError

__all__ = ["MEMORY_SAFETY", "STORAGE_SAFETY", "WALLTIME_SAFETY", "CostModel", "Stage", "StageCost", "estimate",
           "load_cost_model", "most_ranks"]  # fmt: skip

Tree = dict[str, Any]
Stage = Literal["models", "compile", "simulate", "report"]

# An estimate may be 25 % off (its tests allow as much), and a job above its memory is killed.
MEMORY_SAFETY = 1.5
# Nodes differ in speed, shared file systems are slow at times, and a job at its walltime is stopped.
WALLTIME_SAFETY = 2.5
# Until a file is whole it lies beside its final place, and scratch may be copied back.
STORAGE_SAFETY = 2.0

# Below so many cells, a process does nothing but keep its share of the exchange of spikes.
_FEWEST_CELLS_PER_PROCESS = 500
_KB, _MB = 2.0**10, 2.0**20


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
    size = circuit_size(tree)
    if stage == "models":
        cost = model.models
        return StageCost(cost.process_mb, cost.process_mb, cost.seconds, cost.storage_mb, "the C++ compiler")
    if stage == "compile":
        return _compile(tree, size, model, ranks)
    if stage == "report":
        return _report(size, model)
    costs = [
        _simulate_or_say(name, each, size, model, ranks, threads)
        for name, each in _simulations(tree, simulation).items()
    ]
    if not costs:
        raise UserError("simulations: the configuration has none")
    return max(costs, key=lambda cost: (cost.seconds, cost.memory_mb_per_rank))


def most_ranks(tree: Tree, stage: Stage) -> int:
    """The number of ranks beyond which more do nothing, or next to nothing.

    A compile has a job for each rule and chunk; rank 0 gives them out and does none itself. In a simulation each
    rank needs a few hundred cells.
    """
    if stage == "compile":
        return 1 + max((_jobs(tree, name) for name in tree.get("cell_types", ())), default=0)
    if stage == "simulate":
        return max(1, int(circuit_size(tree).total_cells // _FEWEST_CELLS_PER_PROCESS))
    return 1


def _jobs(tree: Tree, cell_type: str) -> int:
    """Chunks that hold cells of a type; 1 where that is not known."""
    try:
        return chunks_of(tree, cell_type)
    except NOT_UNDERSTOOD:
        return 1


def _compile(tree: Tree, size: CircuitSize, model: CostModel, ranks: int) -> StageCost:
    cost = model.compile
    jobs, seconds, longest, candidates = 0, 0.0, 0.0, 0.0
    rules: dict[str, list[float]] = {}
    for projection in size.projections.values():
        count = _jobs(tree, projection.source)
        took = (
            projection.candidates * cost.seconds_per_candidate
            + projection.pairs * cost.seconds_per_pair
            + projection.contacts * cost.seconds_per_contact
        )
        number, before = rules.get(projection.rule, [0, 0.0])
        rules[projection.rule] = [max(number, count), before + took]
        candidates = max(candidates, projection.candidates / count)
    for number, took in rules.values():
        jobs += int(number)
        seconds += took
        longest = max(longest, took / number + cost.seconds_per_job)
    placing = sum(_jobs(tree, cell_type) for cell_type in size.cells)
    work = seconds + (jobs + placing) * cost.seconds_per_job + size.total_cells * cost.seconds_per_cell
    workers = max(1, min(ranks, most_ranks(tree, "compile")) - 1)
    looked_up = _largest(size, {name for rule in _rules(tree) for name in _named(rule, size)})
    parts = {
        "the process itself": cost.process_mb,
        f"{size.total_cells:.3g} cells": size.total_cells * cost.kb_per_cell * _KB / _MB,
        f"{candidates:.3g} candidate pairs of a job": candidates * cost.bytes_per_candidate / _MB,
        f"{looked_up:.3g} contacts looked up": looked_up * cost.bytes_per_contact / _MB,
    }
    memory = sum(parts.values())
    return StageCost(
        memory,
        memory * ranks,
        cost.seconds + max(work / workers, longest),
        cost.storage_mb
        + (jobs * cost.storage_kb_per_job * _KB + size.total_contacts * cost.storage_bytes_per_contact) / _MB,
        f"memory: {_greatest(parts)}; time: {size.total_contacts:.3g} contacts on {workers} working"
        f" rank{'s' if workers > 1 else ''}",
        size.unknown,
    )


def _rules(tree: Tree) -> Iterator[Tree]:
    return (rule for rule in tree.get("connectivity", {}).values() if isinstance(rule, dict))


def _named(rule: Tree, size: CircuitSize) -> Iterator[str]:
    """The rules whose connections a rule looks up."""
    known = {projection.rule for projection in size.projections.values()}
    for key, value in rule.items():
        if key != "depends_on" and isinstance(value, list):
            yield from (name for name in value if name in known)


def _largest(size: CircuitSize, rules: set[str]) -> float:
    return max((each.contacts for each in size.projections.values() if each.rule in rules), default=0.0)


def _simulations(tree: Tree, name: str | None) -> dict[str, Tree]:
    simulations: dict[str, Tree] = tree.get("simulations") or {}
    if name is None:
        return simulations
    if name not in simulations:
        raise UserError(f"simulation: there is no '{name}'; known: {', '.join(simulations) or 'none'}")
    return {name: simulations[name]}


def _simulate_or_say(
    name: str, simulation: Tree, size: CircuitSize, model: CostModel, ranks: int, threads: int
) -> StageCost:
    """What little there is to say about a simulation that is not understood, and why."""
    try:
        if simulation["simulator"] == "nest":
            return _simulate(simulation, size, model, ranks, threads)
        reason = f"nothing is known about simulator {simulation['simulator']}"
    except NOT_UNDERSTOOD as error:
        reason = reason_of(error)
    memory, unknown = model.simulate.process_mb, (*size.unknown, f"simulation {name}: {reason}")
    return StageCost(memory, memory * ranks, model.simulate.seconds, 0.0, "the process itself", unknown)


def _simulate(simulation: Tree, size: CircuitSize, model: CostModel, ranks: int, threads: int) -> StageCost:
    cost = model.simulate
    processes = ranks * threads
    steps = float(simulation["duration"]) / float(simulation.get("resolution", 0.1))
    slots = _delay_steps(simulation)
    cells = {
        name: size.cells[name] for name in simulation.get("cell_models") or size.cells if name in size.cells
    }
    neurons = {name: _neuron(simulation, name, model) for name in cells}
    recorded = _recorded(simulation, cells)
    modelled = simulation.get("connection_models") or {}
    projections = {name: each for name, each in size.projections.items() if name in modelled}
    connections_mb = (
        sum(
            each.pairs * sum(_synapse_bytes(model, synapse) for synapse in _synapses(modelled[name]))
            for name, each in projections.items()
        )
        / _MB
    )
    cells_mb = (
        sum(
            number * (neurons[name].kb * _KB + slots * neurons[name].bytes_per_delay_step)
            for name, number in cells.items()
        )
        / _MB
    )
    recorders_mb = recorded * cost.kb_per_recorded_cell * _KB / _MB
    contacts = sum(each.contacts for each in projections.values())
    read_mb = (
        max((each.contacts for each in projections.values()), default=0.0) * cost.bytes_per_contact / _MB
    )
    parts = {
        f"the process itself, {threads} thread{'s' if threads > 1 else ''}": cost.process_mb
        + threads * cost.mb_per_thread
        + sum(cells.values()) * cost.kb_per_cell * _KB / _MB,
        f"{sum(cells.values()):.3g} cells with {slots:.0f} steps of delay": cells_mb / ranks,
        f"{sum(each.pairs for each in projections.values()):.3g} connections": connections_mb / ranks,
        f"{recorded:.3g} recorded cells": recorders_mb / ranks,
    }
    # The tables of recorded cells are made when all connections have been read.
    kept = sum(parts.values())
    reading = kept - recorders_mb / ranks + read_mb
    memory = max(kept, reading)
    updates = sum(number * neurons[name].ns_per_update for name, number in cells.items()) * steps * 1e-9
    pairs = sum(each.pairs for each in projections.values())
    # Every rank reads all connections; their creation is dealt out.
    seconds = (
        cost.seconds
        + sum(cells.values()) * cost.seconds_per_cell
        + contacts * cost.seconds_per_contact
        + pairs * cost.seconds_per_pair
        + updates / processes
    )
    spikes = recorded * cost.rate_hz * float(simulation["duration"]) / 1000
    greatest = _greatest(parts) if kept >= reading else f"reading {read_mb / _MB:.3g} MB of contacts"
    return StageCost(
        memory,
        memory * ranks,
        seconds,
        (recorded * cost.storage_bytes_per_recorded_cell + spikes * cost.storage_bytes_per_spike) / _MB,
        f"memory: {greatest}; time: {updates / processes:.3g} s of updates, {seconds - updates / processes:.3g} s"
        " to build and write",
        size.unknown,
    )


def _delay_steps(simulation: Tree) -> float:
    """Places of a cell's buffers: the shortest and the longest delay of the simulation, in steps."""
    delays = [
        float(synapse["delay"])
        for connection in (simulation.get("connection_models") or {}).values()
        for synapse in _synapses(connection)
        if isinstance(synapse.get("delay"), int | float)
    ] + [
        float(device["delay"])
        for device in (simulation.get("devices") or {}).values()
        if isinstance(device.get("delay"), int | float)
    ]
    if not delays:
        return 20.0  # NEST's own delay of 1 ms, twice
    return (min(delays) + max(delays)) / float(simulation.get("resolution", 0.1))


def _synapses(connection: Tree) -> list[Tree]:
    synapses = connection.get("synapses") or ()
    return [each for each in synapses if isinstance(each, dict)] or [{}]


def _synapse_bytes(model: CostModel, synapse: Tree) -> float:
    table = model.simulate.synapse_models
    name = str(synapse.get("model", "static_synapse"))
    return table.get(name, table[OTHER]).bytes


def _neuron(simulation: Tree, cell_type: str, model: CostModel) -> NeuronCost:
    table = model.simulate.neuron_models
    name = str(((simulation.get("cell_models") or {}).get(cell_type) or {}).get("model", OTHER))
    return table.get(name, table[OTHER])


def _recorded(simulation: Tree, cells: dict[str, float]) -> float:
    """Cells that send their spikes to a device; all of a type where it takes some of them."""
    recorded: set[str] = set()
    for device in (simulation.get("devices") or {}).values():
        if device.get("device") == "spike_recorder":
            recorded |= set((device.get("targetting") or {}).get("cell_models") or cells)
    return sum(cells.get(name, 0.0) for name in recorded)


def _report(size: CircuitSize, model: CostModel) -> StageCost:
    cost = model.report
    memory = (
        cost.process_mb
        + (size.total_contacts * cost.bytes_per_contact + size.total_cells * cost.kb_per_cell * _KB) / _MB
    )
    return StageCost(
        memory,
        memory,
        cost.seconds + size.total_contacts * cost.seconds_per_contact,
        cost.storage_mb,
        f"{size.total_contacts:.3g} contacts",
        size.unknown,
    )


def _greatest(parts: dict[str, float]) -> str:
    name = max(parts, key=lambda part: parts[part])
    return f"{parts[name]:.0f} MB a rank for {name}"
