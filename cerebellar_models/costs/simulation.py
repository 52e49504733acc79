"""What a simulation with NEST takes: its cells and connections are dealt out, what each rank reads is not. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cerebellar_models.circuits.counting.nodes import Node
from cerebellar_models.circuits.counting.projections import Projection
from cerebellar_models.circuits.counting.size import CircuitSize
from cerebellar_models.circuits.devices import takes_spikes
from cerebellar_models.costs.cost_model import OTHER, NeuronCost, SimulateCost

KB, MB = 2.0**10, 2.0**20
# NEST's own resolution and delay, ms, where a configuration names none.
_RESOLUTION_MS = 0.1
_DELAY_MS = 1.0


@dataclass(frozen=True)
class Network:
    """What of a circuit a simulation holds."""

    cells: dict[str, float]
    neurons: dict[str, NeuronCost]
    recorded: dict[str, float]
    """cells that send their spikes to a device, by type"""
    steps: float
    delay_steps: float
    """places of a cell's buffers"""
    duration_ms: float
    projections: dict[str, Projection]
    connections_mb: float

    @property
    def total_cells(self) -> float:
        return sum(self.cells.values())

    @property
    def pairs(self) -> float:
        return sum(each.pairs for each in self.projections.values())

    @property
    def contacts(self) -> float:
        return sum(each.contacts for each in self.projections.values())


def simulation_cost(
    network: Network, cost: SimulateCost, ranks: int, threads: int
) -> tuple[float, float, float, float, str]:
    """Memory in MB of a rank and of all, seconds, MB of recordings, and which numbers make it so."""
    memory, why = _memory(network, cost, ranks, threads)
    updates = sum(n * network.neurons[name].ns_per_update for name, n in network.cells.items()) * 1e-9
    updates *= network.steps / (ranks * threads)
    # Every rank reads all contacts, whichever it keeps, a block at a time.
    building = (
        cost.seconds
        + network.total_cells * cost.seconds_per_cell
        + network.contacts * cost.seconds_per_contact
        + network.pairs * cost.seconds_per_pair
    )
    recorded = sum(network.recorded.values())
    spikes = recorded * cost.rate_hz * network.duration_ms / 1000
    recordings = recorded * cost.storage_bytes_per_recorded_cell + spikes * cost.storage_bytes_per_spike
    told = f"memory: {why}; time: {updates:.3g} s of updates, {building:.3g} s to build and write"
    return memory, memory * ranks, building + updates, recordings / MB, told


def _memory(network: Network, cost: SimulateCost, ranks: int, threads: int) -> tuple[float, str]:
    """MB of a rank, and what makes up most of it."""
    lists = network.total_cells * cost.kb_per_cell * KB / MB
    cells = sum(
        number
        * (network.neurons[name].kb * KB + network.delay_steps * network.neurons[name].bytes_per_delay_step)
        for name, number in network.cells.items()
    )
    recorders = sum(
        number * network.neurons[name].kb_recorded * KB for name, number in network.recorded.items()
    )
    parts = {
        f"the process itself, {threads} thread{'s' if threads > 1 else ''}": cost.process_mb
        + threads * cost.mb_per_thread
        + lists,
        f"{network.total_cells:.3g} cells with {network.delay_steps:.0f} steps of delay": cells / MB / ranks,
        f"{network.pairs:.3g} connections": network.connections_mb / ranks,
        f"{sum(network.recorded.values()):.3g} recorded cells": recorders / MB / ranks,
    }
    return sum(parts.values()), greatest(parts)


def greatest(parts: dict[str, float]) -> str:
    """The largest part of a rank's memory, MB by name, for people."""
    name = max(parts, key=lambda part: parts[part])
    return f"{parts[name]:.0f} MB a rank for {name}"


def network_of(simulation: Node, size: CircuitSize, cost: SimulateCost) -> Network:
    """What of a circuit a simulation holds.

    :raises Uncounted: the configuration is not understood.
    """
    models = simulation.nodes("cell_models", optional=True)
    modelled = simulation.nodes("connection_models", optional=True)
    cells = {name: size.cells[name] for name in models if name in size.cells}
    projections = {name: each for name, each in size.projections.items() if name in modelled}
    resolution = simulation.positive("resolution", _RESOLUTION_MS)
    delays = list(_delays(simulation)) or [_DELAY_MS]
    return Network(
        cells=cells,
        neurons={name: _row(cost.neuron_models, models[name].get("model")) for name in cells},
        recorded=_recorded(simulation, cells),
        steps=simulation.number("duration") / resolution,
        delay_steps=(min(delays) + max(delays)) / resolution,
        duration_ms=simulation.number("duration"),
        projections=projections,
        connections_mb=sum(
            each.pairs * _row(cost.synapse_models, synapse.get("model", "static_synapse")).bytes / MB
            for name, each in projections.items()
            for synapse in _synapses(modelled[name])
        ),
    )


def _synapses(connection: Node) -> list[Node]:
    """One of NEST's own where a configuration, such as of an older package, has none in BSB's present form."""
    return connection.listed("synapses") or [Node({})]


def _row(table: dict[str, Any], model: Any) -> Any:
    return table.get(str(model), table[OTHER])


def _delays(simulation: Node) -> Iterator[float]:
    """Delays that are given as numbers, ms: of synapses and of devices."""
    connections = simulation.nodes("connection_models", optional=True).values()
    synapses = [synapse for connection in connections for synapse in _synapses(connection)]
    for each in (*synapses, *simulation.nodes("devices", optional=True).values()):
        if isinstance(each.get("delay"), int | float):
            yield each.number("delay")


def _recorded(simulation: Node, cells: dict[str, float]) -> dict[str, float]:
    """Cells that send their spikes to a device; all of a type where it takes some of them."""
    recorded: set[str] = set()
    for device in simulation.nodes("devices", optional=True).values():
        if takes_spikes(device.content):
            targets = device.node("targetting", optional=True)
            recorded |= set(targets.names("cell_models", optional=True) or cells)
    return {name: number for name, number in cells.items() if name in recorded}
