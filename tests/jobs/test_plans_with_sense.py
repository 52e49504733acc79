"""Plans of circuits of every size at every site: within its limits, and at a price that makes sense."""

import functools
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerebellar_models.circuits.catalogue import load_species
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.costs.estimate import StageCost, estimate, load_cost_model, most_ranks
from cerebellar_models.errors import UserError
from cerebellar_models.jobs.layout import FILLS_NODE_S, UNKNOWN_NODES, Asked, lay_out
from cerebellar_models.jobs.plan import plan
from cerebellar_models.runs.job_plan import JobPlan, JobStage, Options
from cerebellar_models.sites.profiles import Queue, Site, load_site, site_names

# µm, each within the next.
SIZES = (
    (120, 60),
    (300, 200),
    (600, 400),
    (1200, 800),
    (3000, 3000),
    (5000, 4000),
    (10_000, 10_000),
)
SECOND, MINUTES = 1000.0, 600_000.0  # ms, simulated
PARTS = tuple(load_species("mouse").parts)
SITES = {name: load_site(name) for name in site_names()}
# Of the others nothing is known but what the user says: they refuse nothing.
KNOWN = [name for name, site in SITES.items() if site.queues and site.queues[0].cores and name != "local"]
MODEL = load_cost_model("mouse")


@functools.cache
def circuit(size: tuple[int, int], duration: float = SECOND) -> dict:
    return resolve("mouse", size=size, parts=PARTS, duration=duration, simulations=("basal_activity",))[1]


@functools.cache
def planned(site: str, size: tuple[int, int], seeds: int = 1, duration: float = SECOND) -> JobPlan | str:
    """The plan, or why there is none."""
    try:
        return plan(circuit(size, duration), SITES[site], Options(), MODEL, seeds=tuple(range(1, seeds + 1)))
    except UserError as error:
        return str(error)


def queue_of(site: Site, stage: JobStage) -> Queue:
    return next((queue for queue in site.queues if queue.name == stage.queue), Queue(""))


def charged_whole(site: Site) -> bool:
    return site.whole_nodes or site.exclusive


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("name", SITES)
def test_within_the_nodes_and_the_site(name, seeds):
    site = SITES[name]
    for size in SIZES:
        jobs = planned(name, size, seeds)
        for stage in jobs.stages if isinstance(jobs, JobPlan) else ():
            queue, together = queue_of(site, stage), stage.tasks_per_job
            assert stage.ranks <= stage.nodes * stage.ranks_per_node
            assert queue.least_nodes <= stage.nodes <= (queue.nodes or UNKNOWN_NODES)
            assert together * stage.ranks_per_node * stage.threads <= (queue.cores or 1)
            assert stage.memory_mb <= (queue.memory_mb or stage.memory_mb)
            assert stage.walltime_s <= (queue.walltime_s or stage.walltime_s)
            assert together == 1 or (stage.nodes == 1 and charged_whole(site) and together <= seeds)


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("name", [name for name in KNOWN if charged_whole(SITES[name])])
def test_charged_nodes_are_filled(name, seeds):
    """A simulation uses more than half of their cores, or all that its cells keep busy."""
    for size in SIZES:
        jobs = planned(name, size, seeds)
        if isinstance(jobs, JobPlan):
            stage = jobs.stages[2]
            busy = stage.ranks * stage.threads
            cores = stage.nodes * queue_of(SITES[name], stage).cores
            most = most_ranks(circuit(size), "simulate")
            assert 2 * stage.tasks_per_job * busy > cores or busy >= most, (size, stage)


@pytest.mark.parametrize("duration", [SECOND, MINUTES])
@pytest.mark.parametrize("name", SITES)
def test_core_hours_never_fall_as_the_circuit_grows(name, duration):
    for seeds in (1, 5) if duration == SECOND else (1,):
        jobs = [planned(name, size, seeds, duration) for size in SIZES]
        hours = [sum(stage.core_hours for stage in each.stages) for each in jobs if isinstance(each, JobPlan)]
        assert all(small <= large for small, large in pairwise(hours)), hours
        # What is too large stays so.
        assert not any(isinstance(each, JobPlan) for each in jobs[len(hours) :])


def fills(queue: Queue, stage: str, tree: dict) -> bool:
    """Whether a stage would keep a node busy for ten minutes.

    What no ranks and threads share leaves it idle; so do cores for whose ranks there is no memory.
    """
    shape = (queue.cores, 1) if stage == "compile" else (1, queue.cores)
    work_s, node = estimate(tree, MODEL, stage).seconds, estimate(tree, MODEL, stage, *shape)
    has_room = node.memory_mb_total <= (queue.memory_mb or node.memory_mb_total)
    return has_room and work_s >= queue.cores * max(FILLS_NODE_S, node.seconds / 2)


@pytest.mark.parametrize("duration", [SECOND, MINUTES])
@pytest.mark.parametrize("size", SIZES)
def test_work_that_fills_a_node_costs_what_it_costs_elsewhere(size, duration):
    """Within a factor of three of the cheapest site that accepts it."""
    jobs = {name: planned(name, size, 1, duration) for name in KNOWN}
    accepted = {name: each.stages for name, each in jobs.items() if isinstance(each, JobPlan)}
    for index, stage in enumerate(("models", "compile", "simulate", "report")):
        cheapest = min((stages[index].core_hours for stages in accepted.values()), default=0)
        for name, stages in accepted.items():
            if fills(queue_of(SITES[name], stages[index]), stage, circuit(size, duration)):
                assert stages[index].core_hours <= 3 * cheapest, (name, stage, stages[index])


@settings(max_examples=60, deadline=None)
@given(
    sides=st.lists(st.floats(0.1, 12), min_size=2, max_size=2).map(sorted),
    name=st.sampled_from(KNOWN),
    tasks=st.integers(1, 9),
)
def test_nor_between_circuits_of_nearly_the_same_size(sides, name, tasks):
    """A simulation's costs, of a square of so many mm, about as the cost model has them."""

    def cost(mm: float):
        area = mm**2

        def on(ranks: int, threads: int) -> StageCost:
            seconds = 5 + 300 * area * mm**0.5 + 1200 * area / ranks / threads
            memory_mb = 350 + 5000 * area * mm**0.5 + 18_000 * area / ranks + 4 * threads
            return StageCost(memory_mb, ranks * memory_mb, seconds, 1, "")

        return on

    site = SITES[name]
    queues = [queue for queue in site.queues if not queue.by_name]
    charged = []
    for mm in sides:
        most = max(1, int(1000 * mm**2))
        try:
            charged.append(
                lay_out("simulate", cost(mm), most, site, queues, Asked(threads=None), tasks).core_seconds
            )
        except UserError:
            charged.append(float("inf"))
    assert charged == sorted(charged)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        (
            "juwels",
            (7000, 7000),
            r"report: queue batch of juwels has 92160 MB on a node, each of .* needs \d+ MB",
        ),
        ("juwels", (10_000, 10_000), "simulate: queue batch of juwels ends jobs after 24 h, this takes "),
        ("karolina", (8000, 8000), "report: queue qcpu of karolina has 240000 MB on a node, each of "),
    ],
)
def test_a_refusal_names_the_right_limit(name, size, said):
    refusal = planned(name, size)
    assert isinstance(refusal, str) and re.match(said, refusal), refusal


def test_plans_stop_where_nobody_knows_how_many_nodes_there_are():
    jobs = planned("hawk", SIZES[0])
    assert any(
        note.startswith("how many nodes hawk has is not known: plans stop at 64") for note in jobs.notes
    )
    assert not any("not known: plans stop" in note for note in planned("karolina", SIZES[0]).notes)
