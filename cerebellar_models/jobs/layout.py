"""How many ranks of how many threads on how many nodes a stage gets, within the limits of a queue. Pure."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cerebellar_models.costs.estimate import MEMORY_SAFETY, WALLTIME_SAFETY, Cost
from cerebellar_models.errors import UserError
from cerebellar_models.sites.profiles import Queue, Site

# More cores are taken, at a lower efficiency, until a stage is expected to end within this time.
SOON_S = 3600
# Work that keeps the cores of a node busy for so long has the node to itself; tasks of less share it.
FILLS_NODE_S = 600
# Where a site does not say how many nodes there are, nobody can tell whether more would ever start.
UNKNOWN_NODES = 64
# Schedulers and people take round numbers; a job also has to start, and to stop in time.
WALLTIME_STEP_S = 300
SHORTEST_WALLTIME_S = 600
MEMORY_STEP_MB = 100
LEAST_MEMORY_MB = 1000


@dataclass(frozen=True)
class Asked:
    """What the user has decided; None is left open."""

    nodes: int | None = None
    ranks: int | None = None
    threads: int | None = 1
    """of each rank; None: as many as it takes"""
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
    """charged"""
    memory_mb: int
    """of a node, for all tasks on it"""
    walltime_s: int
    seconds: float
    """as estimated"""
    tasks_per_job: int
    """side by side on its node"""
    core_seconds: int
    """charged for all tasks, if they take the walltime that a plan gives them"""
    limited_by: str = ""

    @property
    def busy(self) -> int:
        """Cores that work for a task."""
        return self.ranks * self.threads


class _DoesNotFit(Exception):
    """Names the limit; the first of several by ``order`` is the one closest to fitting."""

    def __init__(self, reason: str, *order: float) -> None:
        super().__init__(reason)
        self.order = order


def lay_out(
    stage: str, cost: Cost, most: int, site: Site, queues: Iterable[Queue], asked: Asked, tasks: int = 1
) -> Layout:
    """The stage in that of the queues in which it costs least; of equals, in the first.

    Of the shapes with which it is expected to end within an hour, or twice the time of the fastest if that is more,
    the one that is charged the fewest core hours; of equals, the fastest, on the fewest ranks.

    :param most: ranks' threads in all, beyond which more do nothing.
    :param tasks: of the stage; where nodes are charged whole and one does not fill it, several share a node.
    :raises UserError: it fits into none of the queues; names their limits.
    """
    layouts: list[Layout] = []
    refused: dict[str, list[_DoesNotFit]] = {}
    beyond: dict[tuple[Queue, int], _DoesNotFit] = {}
    for queue in queues:
        for ranks, threads in _shapes(most, queue, asked):
            try:
                layouts.append(_on(ranks, threads, cost, site, queue, asked, tasks))
            except _DoesNotFit as error:
                refused.setdefault(_where(site, queue), []).append(error)
                beyond[queue, ranks * threads] = error
    if not layouts:
        closest = {where: min(errors, key=lambda error: error.order) for where, errors in refused.items()}
        raise UserError(f"{stage}: {'; '.join(f'{where} {error}' for where, error in closest.items())}")
    chosen = _best(layouts, asked)
    of_queue = [layout for layout in layouts if layout.queue == chosen.queue]
    more = {busy: error for (queue, busy), error in beyond.items() if queue == chosen.queue}
    return replace(chosen, limited_by=_limited_by(chosen, of_queue, most, asked, more))


def _where(site: Site, queue: Queue) -> str:
    return f"queue {queue.name} of {site.name}" if queue.name else site.name


def _shapes(most: int, queue: Queue, asked: Asked) -> Iterator[tuple[int, int]]:
    """Ranks, and threads of each, that are worth a look."""
    if asked.ranks is not None or queue.cores is None:
        yield asked.ranks or max(asked.nodes or 1, queue.least_nodes), asked.threads or 1
        return
    least = asked.nodes or queue.least_nodes
    limit = asked.nodes or max(queue.nodes or UNKNOWN_NODES, least)
    for threads in _numbers_of_threads(most, queue.cores, asked):
        node = max(1, queue.cores // threads)
        numbers = {least * ranks for ranks in _steps(1, node)} | {
            node * nodes for nodes in _steps(least, limit)
        }
        numbers |= {max(1, most // threads)}
        yield from (
            (ranks, threads)
            for ranks in sorted(numbers)
            if ranks == least or least <= ranks <= min(most // threads, node * limit)
        )


def _numbers_of_threads(most: int, cores: int, asked: Asked) -> list[int]:
    """Those asked for; else powers of two, and what shares a node between few ranks without rest."""
    if asked.threads is not None:
        return [asked.threads]
    numbers = {cores // ranks for ranks in (*range(1, 9), 16, 32, 64) if ranks <= cores}
    numbers |= {2**power for power in range(cores.bit_length())}
    return sorted({min(number, max(1, most)) for number in numbers})


def _steps(first: int, last: int) -> list[int]:
    """Whole numbers, each an eighth more than the one before."""
    numbers = [first]
    while numbers[-1] < last:
        numbers.append(min(last, numbers[-1] + math.ceil(numbers[-1] / 8)))
    return numbers


def _on(ranks: int, threads: int, cost: Cost, site: Site, queue: Queue, asked: Asked, tasks: int) -> Layout:
    """:raises _DoesNotFit: not with so many ranks."""
    expected = cost(ranks, threads)
    memory_mb = expected.memory_mb_per_rank * MEMORY_SAFETY
    most = _most_per_node(ranks, memory_mb, queue, threads)
    nodes = max(asked.nodes or math.ceil(ranks / most), queue.least_nodes)
    per_node = math.ceil(ranks / nodes)
    if per_node > most:
        raise _DoesNotFit(
            f"takes {most} of these ranks on a node, not {per_node}: {_node(queue, memory_mb)}", 2, memory_mb
        )
    if ranks < nodes:
        raise _DoesNotFit(f"gives at least {nodes} nodes, which {counted(ranks)} cannot use", 3, nodes)
    _check_nodes(nodes, ranks, memory_mb, most, queue, asked)
    whole = site.whole_nodes or site.exclusive
    together = 1
    # Of the launchers, srun alone gives each of several programs on a node cores of its own.
    apart = whole and site.launcher == "srun"
    if apart and nodes == 1 and queue.cores and cost(1, 1).seconds < FILLS_NODE_S * queue.cores:
        together = min(
            tasks, queue.cores // (ranks * threads), int(_fitting(queue, ranks * memory_mb, tasks))
        )
    in_use = together * per_node * threads
    node_mb = _memory(together * per_node * memory_mb, queue)
    # Where a job's cores are counted over all its nodes, several of them have to be whole.
    whole |= nodes > 1 and "{job_cores}" in site.resources
    charged = queue.cores if whole and queue.cores else max(in_use, _share(node_mb, queue))
    planned_s = _walltime(expected.seconds, site)
    walltime_s = asked.walltime_s or planned_s
    if queue.walltime_s is not None and walltime_s > queue.walltime_s:
        raise _DoesNotFit(
            f"ends jobs after {queue.walltime_s / 3600:g} h, this takes {walltime_s / 3600:.2g} h",
            0,
            walltime_s,
        )
    core_seconds = math.ceil(tasks / together) * nodes * charged * planned_s
    return Layout(
        queue, nodes, ranks, per_node, threads, charged, node_mb, walltime_s, expected.seconds, together, core_seconds
    )  # fmt: skip


def _most_per_node(ranks: int, memory_mb: float, queue: Queue, threads: int) -> int:
    if queue.cores is not None and threads > queue.cores:
        raise _DoesNotFit(f"has {queue.cores} cores on a node, fewer than {threads} threads", 3, threads)
    by_memory = int(_fitting(queue, memory_mb, ranks))
    if by_memory < 1:
        raise _DoesNotFit(
            f"has {queue.memory_mb} MB on a node, each of {counted(ranks)} needs {memory_mb:.0f} MB",
            2,
            memory_mb,
        )
    return by_memory if queue.cores is None else min(by_memory, queue.cores // threads)


def _fitting(queue: Queue, memory_mb: float, otherwise: int) -> float:
    """How often so much memory is on a node; a user's own cost model may say 0."""
    return otherwise if queue.memory_mb is None or memory_mb <= 0 else queue.memory_mb // memory_mb


def _check_nodes(nodes: int, ranks: int, memory_mb: float, per_node: int, queue: Queue, asked: Asked) -> None:
    limit = queue.nodes
    if limit is None and not (asked.nodes or asked.ranks) and queue.cores is not None:
        limit = UNKNOWN_NODES
    if limit is not None and nodes > limit:
        known = "gives" if queue.nodes else "does not say how many nodes it has; a plan takes"
        why = counted(ranks)
        if queue.cores is not None and memory_mb * (per_node + 1) > (queue.memory_mb or math.inf):
            why += f" of {memory_mb:.0f} MB, on nodes of {queue.memory_mb} MB"
        raise _DoesNotFit(
            f"{known} at most {limit} node{'s' if limit > 1 else ''}, {nodes} are needed for {why}", 1, nodes
        )


def _share(node_mb: int, queue: Queue) -> int:
    """Cores that come with so much memory: where nodes are shared, who takes the memory pays for them."""
    if queue.cores is None or queue.memory_mb is None:
        return 1
    return math.ceil(queue.cores * min(1.0, node_mb / queue.memory_mb))


def _node(queue: Queue, memory_mb: float) -> str:
    memory = "" if queue.memory_mb is None else f" and {queue.memory_mb} MB, each rank {memory_mb:.0f} MB"
    return f"it has {queue.cores} cores{memory}"


def _memory(memory_mb: float, queue: Queue) -> int:
    rounded = max(LEAST_MEMORY_MB, MEMORY_STEP_MB * math.ceil(memory_mb / MEMORY_STEP_MB))
    return rounded if queue.memory_mb is None else min(rounded, queue.memory_mb)


def _walltime(seconds: float, site: Site) -> int:
    # A job also has to begin before it is told to stop.
    wanted = max(seconds * WALLTIME_SAFETY, 2 * site.signal_before_end_s)
    return max(SHORTEST_WALLTIME_S, WALLTIME_STEP_S * math.ceil(wanted / WALLTIME_STEP_S))


def _best(layouts: list[Layout], asked: Asked) -> Layout:
    fastest = min(layout.seconds for layout in layouts)
    soon_s = fastest if asked.nodes else max(SOON_S, 2 * fastest)
    if asked.walltime_s is not None:
        soon_s = max(fastest, min(soon_s, asked.walltime_s / WALLTIME_SAFETY))
    soon = [layout for layout in layouts if layout.seconds <= soon_s]
    return min(soon, key=lambda layout: (layout.core_seconds, layout.nodes, layout.seconds, layout.ranks))


def _limited_by(
    chosen: Layout, layouts: list[Layout], most: int, asked: Asked, refused: dict[int, _DoesNotFit]
) -> str:
    """Why it is not more cores."""
    on = counted(chosen.ranks, chosen.threads)
    if asked.ranks is not None:
        return f"{on} asked for"
    if chosen.queue.cores is None:
        return "the site's file does not say what its nodes have"
    if most == 1:
        return "one process"
    if chosen.tasks_per_job > 1:
        return f"a node for {chosen.tasks_per_job} tasks: {_duration(chosen.seconds)} on {on} for each"
    if chosen.busy >= most:
        return f"the circuit: more than {most} {'ranks' if chosen.threads == 1 else 'threads'} have nothing to do"
    if chosen.busy < max(layout.busy for layout in layouts):
        loss = "not be faster" if asked.nodes else "cost more core hours"
        return f"time: {_duration(chosen.seconds)} on {on}, more would {loss}"
    if more := [busy for busy in refused if busy > chosen.busy]:
        return f"the queue: it {refused[min(more)]}"
    if asked.nodes is not None:
        return f"the nodes asked for, of {chosen.queue.cores} cores"
    return f"the queue: {chosen.nodes} nodes of {chosen.queue.cores} cores"


def counted(ranks: int, threads: int = 1) -> str:
    """For people."""
    of = "" if threads == 1 else f" of {threads} threads"
    return f"1 rank{of}" if ranks == 1 else f"{ranks} ranks{of}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:.1f} h"
