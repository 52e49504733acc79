"""How a stage lies in a queue: ranks, threads, nodes, memory and walltime, and which number decided."""

from dataclasses import replace

import pytest

from cerebellar_models.costs.estimate import (
    MEMORY_SAFETY,
    WALLTIME_SAFETY,
    StageCost,
)
from cerebellar_models.errors import UserError
from cerebellar_models.jobs.layout import FILLS_NODE_S, SHORTEST_WALLTIME_S, SOON_S, Asked, lay_out
from cerebellar_models.sites.profiles import Queue, Site

SITE = Site("made-up", "slurm", "srun", "none")
NODE = Queue("batch", walltime_s=24 * 3600, nodes=8, cores=16, memory_mb=64_000, partition="batch")


def cost(seconds: float, memory_mb: float = 100):
    """Work of which ranks share 95 %, each of them in as much memory."""

    def on(ranks: int, threads: int) -> StageCost:
        return StageCost(memory_mb, memory_mb * ranks, seconds * (0.05 + 0.95 / ranks / threads), 1, "")

    return on


def laid_out(seconds: float, memory_mb: float = 100, most: int = 10**6, site=SITE, queues=(NODE,), **asked):
    return lay_out("simulate", cost(seconds, memory_mb), most, site, queues, Asked(**asked))


@pytest.mark.parametrize(
    ("seconds", "nodes", "ranks", "why"),
    [
        (SOON_S, 1, 1, "time: 1.0 h on 1 rank, more would cost more core hours"),
        (7 * SOON_S, 1, 11, "time: 1.0 h on 11 ranks, more would cost more core hours"),
        # No number of ranks ends it within the hour, and all there are only 1.6 h sooner: not at eight times the price.
        (30 * SOON_S, 1, 15, "time: 3.4 h on 15 ranks, more would cost more core hours"),
    ],
)
def test_as_many_ranks_as_it_takes_to_end_soon(seconds, nodes, ranks, why):
    layout = laid_out(seconds)
    assert (layout.nodes, layout.ranks, layout.ranks_per_node) == (nodes, ranks, min(ranks, 16))
    assert why in layout.limited_by
    assert layout.walltime_s >= WALLTIME_SAFETY * seconds * (0.05 + 0.95 / ranks)
    assert layout.walltime_s % 300 == 0


def test_work_that_is_all_shared_gets_as_many_nodes_as_it_takes():
    def shared(ranks: int, threads: int) -> StageCost:
        return StageCost(100, 100 * ranks, 20 * SOON_S / ranks / threads, 1, "")

    layout = lay_out("simulate", shared, 10**6, SITE, (NODE,), Asked())
    assert (layout.nodes, layout.seconds <= SOON_S) == (2, True)
    assert "more would cost more core hours" in layout.limited_by


def test_where_whole_nodes_are_charged_their_cores_are_used():
    layout = laid_out(SOON_S / 2, site=replace(SITE, whole_nodes=True))
    assert (layout.nodes, layout.ranks, layout.cores_per_node) == (1, 16, 16)


def test_threads_use_the_cores_for_whose_ranks_there_is_no_memory():
    whole = replace(SITE, whole_nodes=True)
    layout = laid_out(SOON_S, memory_mb=10_000, site=whole, threads=None)
    assert layout.ranks * layout.threads == layout.cores_per_node == 16
    assert layout.memory_mb <= NODE.memory_mb
    # Each rank a sixth of a node: more nodes would be charged for the cores one has.
    alone = laid_out(SOON_S, memory_mb=10_000, site=whole)
    assert (alone.nodes, alone.ranks) == (1, 4)


def test_who_takes_the_memory_of_a_shared_node_is_charged_for_it():
    layout = laid_out(100, memory_mb=0.5 * NODE.memory_mb / MEMORY_SAFETY)
    assert (layout.ranks, layout.cores_per_node) == (1, 8)


@pytest.mark.parametrize(
    ("seconds", "tasks", "whole", "together", "jobs"),
    [
        (60, 3, True, 3, 1),
        (60, 3, False, 1, 3),
        (60, 1, True, 1, 1),
        (60, 40, True, 16, 3),
        # Each fills the node for ten minutes.
        (16 * FILLS_NODE_S, 3, True, 1, 3),
    ],
)
def test_tasks_that_do_not_fill_a_node_share_it(seconds, tasks, whole, together, jobs):
    site = replace(SITE, whole_nodes=whole)
    layout = lay_out("simulate", cost(seconds), 10**6, site, (NODE,), Asked(threads=None), tasks)
    assert layout.tasks_per_job == together
    assert layout.tasks_per_job * layout.ranks_per_node * layout.threads <= 16
    assert layout.memory_mb >= together * layout.ranks * 100
    assert layout.core_seconds == jobs * layout.nodes * layout.cores_per_node * layout.walltime_s
    assert ("a node for" in layout.limited_by) == (together > 1)


def test_memory_bounds_the_tasks_on_a_node():
    whole = replace(SITE, whole_nodes=True)
    layout = lay_out("simulate", cost(60, 20_000), 10**6, whole, (NODE,), Asked(threads=None), 6)
    assert (layout.tasks_per_job, layout.memory_mb) == (2, 60_000)


def test_the_circuit_limits():
    layout = laid_out(30 * SOON_S, most=19, nodes=2)
    assert (layout.nodes, layout.ranks) == (2, 19)
    assert "more than 19 ranks have nothing to do" in layout.limited_by
    assert layout.ranks_per_node == 10
    threaded = laid_out(60, most=5, site=replace(SITE, whole_nodes=True), threads=None)
    assert (threaded.ranks, threaded.threads) == (1, 5)
    assert threaded.limited_by == "the circuit: more than 5 threads have nothing to do"


def test_memory_spreads_ranks_over_nodes():
    layout = laid_out(100 * SOON_S, memory_mb=10_000, nodes=8)
    per_node = int(NODE.memory_mb // (10_000 * MEMORY_SAFETY))
    assert layout.ranks_per_node <= per_node == 4
    assert layout.ranks <= 8 * per_node
    assert NODE.memory_mb >= layout.memory_mb >= layout.ranks_per_node * 10_000 * MEMORY_SAFETY
    assert "the queue: it" in layout.limited_by


def test_short_work_gets_the_shortest_walltime():
    assert laid_out(1).walltime_s == SHORTEST_WALLTIME_S


@pytest.mark.parametrize(
    ("asked", "nodes", "ranks", "per_node"),
    [
        ({"ranks": 40}, 3, 40, 14),
        ({"ranks": 4, "nodes": 2}, 2, 4, 2),
        ({"ranks": 5, "nodes": 2}, 2, 5, 3),
        ({"nodes": 2}, 2, 32, 16),
        ({"ranks": 4, "threads": 8}, 2, 4, 2),
    ],
)
def test_what_the_user_asks_for(asked, nodes, ranks, per_node):
    layout = laid_out(SOON_S, **asked)
    assert (layout.nodes, layout.ranks, layout.ranks_per_node) == (nodes, ranks, per_node)
    assert "asked for" in layout.limited_by


@pytest.mark.parametrize(
    ("seconds", "memory_mb", "asked", "said"),
    [
        (1, 50_000, {}, "has 64000 MB on a node, each of .* needs 75000 MB"),
        (1, 100, {"ranks": 1000}, "gives at most 8 nodes, 63 are needed for 1000 ranks"),
        (1, 100, {"threads": 17}, "has 16 cores on a node, fewer than 17 threads"),
        (1, 100, {"nodes": 9}, "gives at most 8 nodes"),
        (1, 100, {"nodes": 1, "ranks": 17}, "takes 16 of these ranks on a node, not 17: it has 16 cores"),
        (1, 100, {"walltime_s": 90_000}, "ends jobs after 24 h, this takes 25 h"),
        (1e9, 100, {}, "ends jobs after 24 h"),
    ],
)
def test_what_does_not_fit_names_the_limit(seconds, memory_mb, asked, said):
    with pytest.raises(UserError, match=f"simulate: queue batch of made-up {said}"):
        laid_out(seconds, memory_mb, **asked)


@pytest.mark.parametrize(
    ("shared_mb", "own_mb", "seconds", "said"),
    [
        # What ranks share does not fit, however many there are.
        (50_000, 1000, 1, r"has 64000 MB on a node, each of \d+ ranks needs 750\d\d MB"),
        # What they divide would, on more nodes than there are.
        (
            0,
            1_000_000,
            1,
            r"gives at most 8 nodes, 24 are needed for \d+ ranks of \d+ MB, on nodes of 64000 MB",
        ),
        # It fits, and does not end in time.
        (10_000, 10_000, 1e8, r"ends jobs after 24 h, this takes \S+ h"),
    ],
)
def test_of_several_limits_the_last_in_the_way_is_named(shared_mb, own_mb, seconds, said):
    def of(ranks: int, threads: int) -> StageCost:
        memory_mb = shared_mb + own_mb / ranks
        return StageCost(memory_mb, memory_mb * ranks, seconds / ranks / threads, 1, "")

    with pytest.raises(UserError, match=f"simulate: queue batch of made-up {said}"):
        lay_out("simulate", of, 10**6, SITE, (NODE,), Asked(threads=None))


def test_of_several_queues_the_cheapest_that_takes_it():
    large = replace(NODE, name="large", nodes=100, least_nodes=4)
    whole = replace(SITE, whole_nodes=True)
    assert laid_out(100, most=1, site=whole, queues=(large, NODE)).queue.name == "batch"
    assert laid_out(18 * SOON_S, site=whole, queues=(large, NODE)).queue.name == "batch"
    # Which ends jobs before its 128 cores are done.
    assert laid_out(170 * SOON_S, site=whole, queues=(large, NODE)).queue.name == "large"
    # At the same price, the one the site's file has first.
    again = replace(NODE, name="again")
    assert laid_out(100, queues=(again, NODE)).queue.name == "again"
    with pytest.raises(
        UserError, match=r"batch of made-up has 64000 MB.*; queue again of made-up has 64000 MB"
    ):
        laid_out(1, 50_000, queues=(NODE, again))


def test_a_queue_for_large_jobs_refuses_small_ones():
    with pytest.raises(UserError, match="gives at least 4 nodes, which 2 ranks cannot use"):
        laid_out(1, queues=(replace(NODE, least_nodes=4),), ranks=2)


def test_a_job_begins_before_it_is_told_to_stop():
    layout = laid_out(1, site=replace(SITE, signal_before_end_s=900))
    assert layout.walltime_s == 1800


def test_a_stage_that_takes_nothing_has_a_place():
    assert laid_out(0, memory_mb=0).ranks == 1


def test_nothing_known_of_the_nodes_leaves_it_to_the_user():
    unknown = Queue("")
    layout = laid_out(SOON_S * 100, queues=(unknown,))
    assert (layout.nodes, layout.ranks) == (1, 1)
    assert "does not say" in layout.limited_by
    assert laid_out(1, queues=(unknown,), nodes=2, ranks=8).ranks_per_node == 4
