"""How many ranks on how many nodes a stage gets, within the limits of a queue. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from cerebellar_models.deploy.estimate import MEMORY_SAFETY, WALLTIME_SAFETY, StageCost
from cerebellar_models.deploy.sites import Queue, Site
from cerebellar_models.errors import UserError

# More ranks are taken, at a lower efficiency, until a stage is expected to end within this time.
SOON_S = 3600
# Schedulers and people take round numbers; a job also has to start, and to stop in time.
WALLTIME_STEP_S = 300
SHORTEST_WALLTIME_S = 600
MEMORY_STEP_MB = 100
LEAST_MEMORY_MB = 1000

Cost = Callable[[int, int], StageCost]
"""what a stage takes on so many ranks of so many threads"""


@dataclass(frozen=True)
class Asked:
    """What the user has decided; None is left open."""

    nodes: int | None = None
    ranks: int | None = None
    threads: int = 1
    walltime_s: int | None = None


@dataclass(frozen=True)
class Layout:
    """A stage in a queue."""

    queue: Queue
    nodes: int
    ranks: int
    ranks_per_node: int
    threads: int
    cores_per_node: int
    memory_mb: int
    walltime_s: int
    seconds: float
    """as estimated"""
    limited_by: str


class _DoesNotFit(Exception):
    """Names the limit."""


def lay_out(
    stage: str, cost: Cost, most_ranks: int, site: Site, queues: Iterable[Queue], asked: Asked
) -> Layout:
    """The stage in that of the queues in which it costs least; of equals, in the first.

    Of the numbers of ranks with which it is expected to end within an hour, the one that is charged the fewest core
    hours; if there is none, the one with which it ends first.

    :param most_ranks: beyond which more do nothing.
    :raises UserError: it fits into none of the queues; names their limits.
    """
    layouts, reasons = [], []
    for queue in queues:
        try:
            layouts.append(_in_queue(cost, most_ranks, site, queue, asked))
        except _DoesNotFit as error:
            reasons.append(f"{_where(site, queue)} {error}")
    if not layouts:
        raise UserError(f"{stage}: {'; '.join(reasons)}")
    return _best(layouts, asked)


def _where(site: Site, queue: Queue) -> str:
    return f"queue {queue.name} of {site.name}" if queue.name else site.name


def _in_queue(cost: Cost, most_ranks: int, site: Site, queue: Queue, asked: Asked) -> Layout:
    layouts: list[Layout] = []
    refused: dict[int, _DoesNotFit] = {}
    for ranks in _numbers_of_ranks(most_ranks, queue, asked):
        try:
            layouts.append(_on(ranks, cost, site, queue, asked))
        except _DoesNotFit as error:
            refused[ranks] = error
    if not layouts:
        raise refused[max(refused)]
    chosen = _best(layouts, asked)
    return replace(chosen, limited_by=_limited_by(chosen, layouts, most_ranks, asked, refused))


def _numbers_of_ranks(most_ranks: int, queue: Queue, asked: Asked) -> Iterator[int]:
    """Powers of two up to a full node, then full nodes, doubled up to the limit of the queue."""
    least = max(asked.nodes or 1, queue.least_nodes)
    if asked.ranks is not None:
        yield asked.ranks
        return
    if queue.cores is None:
        yield least
        return
    node = max(1, queue.cores // asked.threads)
    nodes = asked.nodes or queue.nodes or math.ceil(most_ranks / node)
    numbers = {2**power for power in range(node.bit_length()) if 2**power < node}
    numbers |= {node * 2**power for power in range(nodes.bit_length())} | {node * nodes, most_ranks, least}
    most = max(least, min(most_ranks, node * nodes))
    yield from sorted(number for number in numbers if least <= number <= most)


def _on(ranks: int, cost: Cost, site: Site, queue: Queue, asked: Asked) -> Layout:
    """:raises _DoesNotFit: not with so many ranks."""
    expected = cost(ranks, asked.threads)
    memory_mb = expected.memory_mb_per_rank * MEMORY_SAFETY
    most = _most_per_node(ranks, memory_mb, queue, asked.threads)
    nodes = max(asked.nodes or math.ceil(ranks / most), queue.least_nodes)
    per_node = math.ceil(ranks / nodes)
    if per_node > most:
        raise _DoesNotFit(f"takes {most} of these ranks on a node, not {per_node}: {_node(queue, memory_mb)}")
    if ranks < nodes:
        raise _DoesNotFit(f"gives at least {nodes} nodes, which {_counted(ranks)} cannot use")
    if queue.nodes is not None and nodes > queue.nodes:
        raise _DoesNotFit(f"gives at most {queue.nodes} nodes, {nodes} are needed for {_counted(ranks)}")
    return Layout(
        queue,
        nodes,
        ranks,
        per_node,
        asked.threads,
        _charged_cores(site, queue, nodes, per_node * asked.threads),
        _memory(per_node * memory_mb, queue),
        _walltime(expected.seconds, site, queue, asked),
        expected.seconds,
        "",
    )


def _most_per_node(ranks: int, memory_mb: float, queue: Queue, threads: int) -> int:
    if queue.cores is not None and threads > queue.cores:
        raise _DoesNotFit(f"has {queue.cores} cores on a node, fewer than {threads} threads")
    by_cores = ranks if queue.cores is None else queue.cores // threads
    by_memory = ranks
    if queue.memory_mb is not None and memory_mb > 0:  # a user's own cost model may say 0
        by_memory = int(queue.memory_mb // memory_mb)
    if by_memory < 1:
        raise _DoesNotFit(
            f"has {queue.memory_mb} MB on a node, each of {_counted(ranks)} needs {memory_mb:.0f} MB"
        )
    return min(by_cores, by_memory)


def _charged_cores(site: Site, queue: Queue, nodes: int, in_use: int) -> int:
    """Of a node. Where a job's cores are counted over all its nodes, several of them have to be whole."""
    whole = site.whole_nodes or site.exclusive or (nodes > 1 and "{job_cores}" in site.resources)
    return queue.cores if whole and queue.cores else in_use


def _node(queue: Queue, memory_mb: float) -> str:
    memory = "" if queue.memory_mb is None else f" and {queue.memory_mb} MB, each rank {memory_mb:.0f} MB"
    return f"it has {queue.cores} cores{memory}"


def _memory(memory_mb: float, queue: Queue) -> int:
    rounded = max(LEAST_MEMORY_MB, MEMORY_STEP_MB * math.ceil(memory_mb / MEMORY_STEP_MB))
    return rounded if queue.memory_mb is None else min(rounded, queue.memory_mb)


def _walltime(seconds: float, site: Site, queue: Queue, asked: Asked) -> int:
    # A job also has to begin before it is told to stop.
    wanted = max(seconds * WALLTIME_SAFETY, 2 * site.signal_before_end_s)
    rounded = WALLTIME_STEP_S * math.ceil(wanted / WALLTIME_STEP_S)
    walltime_s = asked.walltime_s or max(SHORTEST_WALLTIME_S, rounded)
    if queue.walltime_s is not None and walltime_s > queue.walltime_s:
        raise _DoesNotFit(
            f"ends jobs after {queue.walltime_s / 3600:g} h, this takes {walltime_s / 3600:.2g} h"
        )
    return walltime_s


def _best(layouts: list[Layout], asked: Asked) -> Layout:
    soon = [layout for layout in layouts if layout.seconds <= SOON_S]
    if not soon or asked.nodes:
        return min(layouts, key=lambda layout: (layout.seconds, layout.ranks))
    return min(soon, key=lambda layout: (_charged(layout), layout.nodes, layout.seconds))


def _charged(layout: Layout) -> float:
    """Core seconds, to two digits: less of a difference is none."""
    seconds = layout.nodes * layout.cores_per_node * layout.seconds
    return float(f"{seconds:.1e}")


def _limited_by(
    chosen: Layout, layouts: list[Layout], most_ranks: int, asked: Asked, refused: dict[int, _DoesNotFit]
) -> str:
    """Why it is not more ranks."""
    if asked.ranks is not None:
        return f"{_counted(chosen.ranks)} asked for"
    if chosen.queue.cores is None:
        return "the site's file does not say what its nodes have"
    if chosen.ranks >= most_ranks:
        return (
            "one process"
            if most_ranks == 1
            else f"the circuit: more than {most_ranks} ranks have nothing to do"
        )
    if chosen.ranks < max(layout.ranks for layout in layouts):
        loss = "cost more core hours" if chosen.seconds <= SOON_S else "not be faster"
        return f"time: {_duration(chosen.seconds)} on {_counted(chosen.ranks)}, more would {loss}"
    if more := [ranks for ranks in refused if ranks > chosen.ranks]:
        return f"the queue: it {refused[min(more)]}"
    if asked.nodes is not None:
        return f"the nodes asked for, of {chosen.queue.cores} cores"
    return f"the queue: {chosen.queue.nodes} nodes of {chosen.queue.cores} cores"


def _counted(ranks: int) -> str:
    return "1 rank" if ranks == 1 else f"{ranks} ranks"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:.1f} h"
