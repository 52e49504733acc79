"""What a circuit will hold and take on this machine, in lines for people."""

import os
from dataclasses import dataclass

from cerebellar_models.circuits.counting.size import CircuitSize, circuit_size
from cerebellar_models.circuits.threads import threads_of
from cerebellar_models.costs.estimate import StageCost, estimate, load_cost_model
from cerebellar_models.tree import Tree

_SECOND_MS = 1000.0
_GB = 1024.0


@dataclass(frozen=True)
class Expected:
    """Size of a circuit, and what compiling it and simulating one biological second of it takes here."""

    size: CircuitSize
    compile: StageCost
    simulate: StageCost | None
    """None where there is nothing to simulate"""
    threads: int


def expect(tree: Tree, species: str, ranks: int = 1, simulating_ranks: int = 1) -> Expected:
    """:raises UserError: the species' or the user's cost model is no cost model."""
    model = load_cost_model(species)
    second = {name: {**each, "duration": _SECOND_MS} for name, each in tree.get("simulations", {}).items()}
    threads = threads_of(second)
    return Expected(
        circuit_size(tree),
        estimate(tree, model, "compile", ranks),
        estimate({**tree, "simulations": second}, model, "simulate", simulating_ranks, threads)
        if second
        else None,
        threads,
    )


def expectation(tree: Tree, species: str, ranks: int = 1, simulating_ranks: int = 1) -> str:
    """Cells, synapses, memory and time; and a line for each device a simulation is too short for."""
    expected = expect(tree, species, ranks, simulating_ranks)
    cells = ", ".join(f"{name} {number:.0f}" for name, number in expected.size.cells.items())
    lines = [
        f"expects {expected.size.total_cells:.0f} cells: {cells}",
        f"  {_in_words(expected.size.total_contacts)} synapses between"
        f" {_in_words(expected.size.total_pairs)} pairs of cells",
        f"  here: {_costs(expected, ranks, simulating_ranks)}",
    ]
    lines += _warnings(expected)
    lines += _late_devices(tree)
    return "\n".join(lines)


def short_expectation(tree: Tree, species: str) -> str:
    """The same in one line, without the populations."""
    expected = expect(tree, species)
    return (
        f"{expected.size.total_cells:.0f} cells, {_in_words(expected.size.total_contacts)} synapses;"
        f" {_costs(expected, 1, 1)}"
    )


def _costs(expected: Expected, ranks: int, simulating_ranks: int) -> str:
    compile_shape = f" on {ranks} ranks" if ranks > 1 else ""
    text = f"compile about {_cost(expected.compile)}{compile_shape}"
    if expected.simulate is None:
        return text
    shapes = [
        f"{simulating_ranks} ranks" if simulating_ranks > 1 else "",
        f"{expected.threads} threads" if expected.threads > 1 else "",
    ]
    shape = " x ".join(filter(None, shapes))
    return f"{text}; a second of simulation about {_cost(expected.simulate)}{f' on {shape}' if shape else ''}"


def _cost(cost: StageCost) -> str:
    return f"{_duration(cost.seconds)}, {_memory(cost.memory_mb_total)}"


def _warnings(expected: Expected) -> list[str]:
    lines = [f"  not counted: {reason}" for reason in expected.size.unknown]
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    needed = max(cost.memory_mb_total for cost in (expected.compile, expected.simulate) if cost is not None)
    if needed > here:
        lines.append(f"note: this machine has {_memory(here)} of memory; see `cerebellar-models jobs`")
    return lines


def _late_devices(tree: Tree) -> list[str]:
    return [
        f"note: {name} ends at {simulation['duration']:g} ms, before its {key} starts ({device['start']:g} ms)"
        for name, simulation in tree["simulations"].items()
        for key, device in simulation["devices"].items()
        if device.get("start", 0) >= simulation["duration"]
    ]


def _in_words(number: float) -> str:
    if number >= 1e9:
        return f"{number / 1e9:.3g} billion"
    return f"{number / 1e6:.3g} million" if number >= 1e5 else f"{number:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _memory(megabytes: float) -> str:
    return f"{megabytes:.0f} MB" if megabytes < _GB else f"{megabytes / _GB:.1f} GB"
