"""What a stage of a run will take, from the size of its circuit and a cost model. Pure but for reading the model.

Estimates are best guesses without any margin: whoever asks for resources multiplies them by the SAFETY factors.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cerebellar_models.circuits.catalogue import Tree
from cerebellar_models.circuits.size import CircuitSize, circuit_size

Stage = Literal["models", "compile", "simulate", "report"]

# An estimate may be 25 % off (its tests allow as much), and a job above its memory is killed.
MEMORY_SAFETY = 1.5
# Nodes differ in speed, shared file systems are slow at times, and a job at its walltime is stopped.
WALLTIME_SAFETY = 2.0
# Temporary copies lie beside the final file until it is renamed.
STORAGE_SAFETY = 2.0


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


@dataclass(frozen=True)
class CostModel:
    """Measured costs (see ``configurations/<species>/resources.yaml``)."""

    values: dict[str, Any]
    source: str
    """the file, or files, the values come from"""


def load_cost_model(species: str | Path, override: Path | None = None) -> CostModel:
    """The cost model of a species or in a file, with the user's own over it.

    :raises UserError: no such file, or one that is not a cost model; names file and key.
    """
    return CostModel({}, str(species))


def estimate(
    tree: Tree,
    model: CostModel,
    stage: Stage,
    ranks: int = 1,
    threads: int = 1,
    simulation: str | None = None,
) -> StageCost:
    """What a stage takes on so many ranks of so many threads.

    :param tree: a BSB configuration.
    :param simulation: name of the one to simulate; None: the one that takes longest.
    """
    size = circuit_size(tree)
    if stage == "models":
        return StageCost(500, 500, 60, 1, "the compiler")
    if stage == "compile":
        return _compile(size, ranks)
    if stage == "simulate":
        return _simulate(size, tree, ranks, threads, simulation)
    return StageCost(
        600 + 30 * size.total_contacts / 1e6, 600 + 30 * size.total_contacts / 1e6, 15, 10, "the circuit"
    )


def _compile(size: CircuitSize, ranks: int) -> StageCost:
    memory = 320 + 6 * size.total_contacts / 1e6
    seconds = 5 + 8 * size.total_contacts / 1e6 / max(1, ranks - 1)
    return StageCost(memory, memory * ranks, seconds, 25 * size.total_contacts / 1e6, "contacts")


def _simulate(size: CircuitSize, tree: Tree, ranks: int, threads: int, simulation: str | None) -> StageCost:
    memory = 400 + (300 * size.total_contacts / 1e6)
    durations = [
        float(each["duration"]) for name, each in tree["simulations"].items() if simulation in (None, name)
    ]
    processes = ranks * threads
    seconds = (
        10
        + 5 * size.total_contacts / 1e6
        + max(durations, default=0.0) / 1000 * size.total_cells / 700 / processes
    )
    return StageCost(memory, memory * ranks, seconds, 20, "contacts read at once")


def most_ranks(tree: Tree, stage: Stage) -> int:
    """The number of ranks beyond which more do nothing."""
    from math import ceil, prod

    if stage == "compile":
        chunk, network = tree["network"]["chunk_size"], tree["network"]
        # BSB's pool gives out the chunks from rank 0, which does nothing else.
        return 1 + prod(ceil(network[axis] / side) for axis, side in zip("xyz", chunk, strict=True))
    if stage == "simulate":
        return max(1, int(circuit_size(tree).total_cells // 1000))
    return 1
