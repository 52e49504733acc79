"""What a simulation with NEST takes: its cells and connections are dealt out, what each rank reads is not. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cerebellar_models.circuits.projections import Projection
from cerebellar_models.circuits.size import CircuitSize
from cerebellar_models.deploy.cost_model import OTHER, NeuronCost, SimulateCost

Tree = dict[str, Any]
KB, MB = 2.0**10, 2.0**20
# NEST's own resolution and delay, ms, where a configuration names none.
_RESOLUTION_MS = 0.1
_DELAY_MS = 1.0


@dataclass(frozen=True)
class _Network:
    """What of a circuit a simulation holds."""

    cells: dict[str, float]
    neurons: dict[str, NeuronCost]
    recorded: float
    """cells that send their spikes to a device"""
    steps: float
    delay_steps: float
    """places of a cell's buffers"""
    projections: dict[str, Projection]
    connections_mb: float

    @property
    def total_cells(self) -> float:
        return sum(self.cells.values())

    @property
    def pairs(self) -> float:
        return sum(each.pairs for each in self.projections.values())

    @property
    def contacts(self) -> list[float]:
        return [each.contacts for each in self.projections.values()]


def simulation_cost(
    simulation: Tree, size: CircuitSize, cost: SimulateCost, ranks: int, threads: int
) -> tuple[float, float, float, float, str]:
    """Memory in MB of a rank and of all, seconds, MB of recordings, and which numbers make it so."""
    network = _network(simulation, size, cost)
    memory, why = _memory(network, cost, ranks, threads)
    updates = sum(n * network.neurons[name].ns_per_update for name, n in network.cells.items()) * 1e-9
    updates *= network.steps / (ranks * threads)
    # Every rank reads all connections, whichever it keeps.
    building = (
        cost.seconds
        + network.total_cells * cost.seconds_per_cell
        + sum(network.contacts) * cost.seconds_per_contact
        + network.pairs * cost.seconds_per_pair
    )
    spikes = network.recorded * cost.rate_hz * float(simulation["duration"]) / 1000
    recordings = (
        network.recorded * cost.storage_bytes_per_recorded_cell + spikes * cost.storage_bytes_per_spike
    )
    told = f"memory: {why}; time: {updates:.3g} s of updates, {building:.3g} s to build and write"
    return memory, memory * ranks, building + updates, recordings / MB, told


def _memory(network: _Network, cost: SimulateCost, ranks: int, threads: int) -> tuple[float, str]:
    """MB of a rank, and what makes up most of it."""
    lists = network.total_cells * cost.kb_per_cell * KB / MB
    cells = sum(
        number
        * (network.neurons[name].kb * KB + network.delay_steps * network.neurons[name].bytes_per_delay_step)
        for name, number in network.cells.items()
    )
    parts = {
        f"the process itself, {threads} thread{'s' if threads > 1 else ''}": cost.process_mb
        + threads * cost.mb_per_thread
        + lists,
        f"{network.total_cells:.3g} cells with {network.delay_steps:.0f} steps of delay": cells / MB / ranks,
        f"{network.pairs:.3g} connections": network.connections_mb / ranks,
    }
    # The tables of recorded cells are made when all connections have been read.
    recorders = network.recorded * cost.kb_per_recorded_cell * KB / MB / ranks
    reading = max(network.contacts, default=0.0) * cost.bytes_per_contact / MB
    if recorders >= reading:
        parts[f"{network.recorded:.3g} recorded cells"] = recorders
    else:
        parts[f"{max(network.contacts):.3g} contacts read at once"] = reading
    return sum(parts.values()), greatest(parts)


def greatest(parts: dict[str, float]) -> str:
    """The largest part of a rank's memory, MB by name, for people."""
    name = max(parts, key=lambda part: parts[part])
    return f"{parts[name]:.0f} MB a rank for {name}"


def _network(simulation: Tree, size: CircuitSize, cost: SimulateCost) -> _Network:
    models, modelled = simulation.get("cell_models") or {}, simulation.get("connection_models") or {}
    cells = {name: size.cells[name] for name in models if name in size.cells}
    projections = {name: each for name, each in size.projections.items() if name in modelled}
    resolution = float(simulation.get("resolution", _RESOLUTION_MS))
    delays = list(_delays(simulation)) or [_DELAY_MS]
    return _Network(
        cells=cells,
        neurons={name: _row(cost.neuron_models, models[name].get("model")) for name in cells},
        recorded=_recorded(simulation, cells),
        steps=float(simulation["duration"]) / resolution,
        delay_steps=(min(delays) + max(delays)) / resolution,
        projections=projections,
        connections_mb=sum(
            each.pairs * _row(cost.synapse_models, synapse.get("model", "static_synapse")).bytes / MB
            for name, each in projections.items()
            for synapse in _synapses(modelled[name])
        ),
    )


def _synapses(connection: Tree) -> list[Tree]:
    """One of NEST's own where a configuration, such as of an older package, has none in BSB's present form."""
    return connection.get("synapses") or [{}]


def _row(table: dict[str, Any], model: Any) -> Any:
    return table.get(str(model), table[OTHER])


def _delays(simulation: Tree) -> Iterator[float]:
    """Delays that are given as numbers, ms: of synapses and of devices."""
    for connection in (simulation.get("connection_models") or {}).values():
        for synapse in _synapses(connection):
            if isinstance(synapse.get("delay"), int | float):
                yield float(synapse["delay"])
    for device in (simulation.get("devices") or {}).values():
        if isinstance(device.get("delay"), int | float):
            yield float(device["delay"])


def _recorded(simulation: Tree, cells: dict[str, float]) -> float:
    """Cells that send their spikes to a device; all of a type where it takes some of them."""
    recorded: set[str] = set()
    for device in (simulation.get("devices") or {}).values():
        if device.get("device") == "spike_recorder":
            recorded |= set((device.get("targetting") or {}).get("cell_models") or cells)
    return sum(cells.get(name, 0.0) for name in recorded)
