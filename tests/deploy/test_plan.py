"""Plans: within the limits of a queue, and saying which of them decided."""

from dataclasses import replace

import pytest

from cerebellar_models.bundle import bundle_folder
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.deploy.estimate import (
    MEMORY_SAFETY,
    STORAGE_SAFETY,
    WALLTIME_SAFETY,
    StageCost,
    estimate,
    load_cost_model,
    most_ranks,
)
from cerebellar_models.deploy.job_plan import JobPlan, Options, Task
from cerebellar_models.deploy.layout import SHORTEST_WALLTIME_S, SOON_S, Asked, lay_out
from cerebellar_models.deploy.plan import plan
from cerebellar_models.deploy.prepare import located, prepare
from cerebellar_models.deploy.sites import Queue, Site, load_site
from cerebellar_models.errors import UserError

PACKAGED = sorted(path.stem for path in (bundle_folder("jobscripts") / "sites").glob("*.yaml"))
SITE = Site("made-up", "slurm", "srun", "none")
NODE = Queue("batch", walltime_s=24 * 3600, nodes=8, cores=16, memory_mb=64_000, partition="batch")
MODEL = load_cost_model("mouse")


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
        (7 * SOON_S, 1, 16, "time: 0.8 h on 16 ranks, more would cost more core hours"),
        (15 * SOON_S, 4, 64, "time: "),
        # No number of ranks ends it within the hour: all there are.
        (30 * SOON_S, 8, 128, "the queue: 8 nodes of 16 cores"),
    ],
)
def test_as_many_ranks_as_it_takes_to_end_soon(seconds, nodes, ranks, why):
    layout = laid_out(seconds)
    assert (layout.nodes, layout.ranks, layout.ranks_per_node) == (nodes, ranks, min(ranks, 16))
    assert why in layout.limited_by
    assert layout.walltime_s >= WALLTIME_SAFETY * seconds * (0.05 + 0.95 / ranks)
    assert layout.walltime_s % 300 == 0


def test_where_whole_nodes_are_charged_their_cores_are_used():
    layout = laid_out(SOON_S / 2, site=replace(SITE, whole_nodes=True))
    assert (layout.nodes, layout.ranks, layout.cores_per_node) == (1, 16, 16)


def test_the_circuit_limits():
    layout = laid_out(30 * SOON_S, most=19)
    assert (layout.nodes, layout.ranks) == (2, 19)
    assert "more than 19 ranks have nothing to do" in layout.limited_by
    assert layout.ranks_per_node == 10


def test_memory_spreads_ranks_over_nodes():
    layout = laid_out(100 * SOON_S, memory_mb=10_000)
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


def test_of_several_queues_the_cheapest_that_takes_it():
    large = replace(NODE, name="large", nodes=100, least_nodes=4)
    whole = replace(SITE, whole_nodes=True)
    assert laid_out(100, most=1, site=whole, queues=(large, NODE)).queue.name == "batch"
    assert laid_out(18 * SOON_S, site=whole, queues=(large, NODE)).queue.name == "large"
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


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ranks": 2}, r"ranks: made-up has no launcher \(launcher: none\)"),
        ({"nodes": 2}, "nodes: made-up has no launcher"),
        ({"walltime_s": 120}, "walltime: 120 s; made-up stops jobs 120 s before their end"),
    ],
)
def test_what_the_site_cannot_start_or_stop(asked, said):
    with pytest.raises(UserError, match=said):
        plan(resolve("mouse", preset="tiny")[1], replace(SITE, launcher="none"), Options(**asked), MODEL)


def test_a_site_without_a_launcher_gets_one_rank():
    at = replace(SITE, launcher="none", queues=(NODE,))
    assert {stage.ranks for stage in plan(resolve("mouse")[1], at, Options(), MODEL).stages} == {1}


def test_a_job_begins_before_it_is_told_to_stop():
    layout = laid_out(1, site=replace(SITE, signal_before_end_s=900))
    assert layout.walltime_s == 1800


def test_a_stage_that_takes_nothing_has_a_place():
    assert laid_out(0, memory_mb=0).ranks == 1


def test_disk_is_counted_as_the_cost_model_counts():
    tree = resolve("mouse", preset="tiny")[1]
    expected = estimate(tree, MODEL, "report").storage_mb
    assert plan(tree, SITE, Options(), MODEL).stages[-1].storage_bytes == round(
        expected * 2**20 * STORAGE_SAFETY
    )


@pytest.mark.parametrize("runtime", ["apptainer", "singularity"])
@pytest.mark.parametrize(
    ("image", "located_at"),
    [
        ("/p/x.sif", "/p/x.sif"),
        ("$PROJECT/x.sif", "$PROJECT/x.sif"),
        ("~/x.sif", "$HOME/x.sif"),
        ("docker://registry/x:1", "docker://registry/x:1"),
        ("here.sif", "{cwd}/here.sif"),
        ("../{name}/here.sif", "{cwd}/../{name}/here.sif"),
    ],
)
def test_an_image_is_found_from_the_run_folder(image, located_at, runtime, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.sif").touch()
    names = {"cwd": tmp_path, "name": tmp_path.name}
    assert located(image.format(**names), runtime) == located_at.format(**names)
    for other in ("docker", "podman", "sarus", "container-engine", "none"):
        assert located("registry/x:1", other) == "registry/x:1"
    with pytest.raises(UserError, match=r"image: there is no x/y\.sif here"):
        located("x/y.sif", runtime)


def test_nothing_known_of_the_nodes_leaves_it_to_the_user():
    unknown = Queue("")
    layout = laid_out(SOON_S * 100, queues=(unknown,))
    assert (layout.nodes, layout.ranks) == (1, 1)
    assert "does not say" in layout.limited_by
    assert laid_out(1, queues=(unknown,), nodes=2, ranks=8).ranks_per_node == 4


def given(site: Site, **more) -> Options:
    wanted = {"account": "ab12", "qos": "gp_ehpc", "filesystems": "home"}
    return Options(**{"image": "x.sif"} | {key: wanted[key] for key in site.required} | more)


@pytest.mark.parametrize("name", PACKAGED)
@pytest.mark.parametrize("preset", ["tiny", "canonical"])
def test_every_site_takes_our_circuits_within_its_limits(name, preset):
    site, tree = load_site(name), resolve("mouse", preset=preset)[1]
    planned = plan(tree, site, given(site), MODEL, seeds=(1, 2))
    queues = {queue.name: queue for queue in site.queues} or {"": Queue("")}
    assert [stage.name for stage in planned.stages] == ["models", "compile", "simulate", "report"]
    for stage in planned.stages:
        queue = queues[stage.queue]
        assert queue.least_nodes <= stage.nodes <= (queue.nodes or stage.nodes)
        assert stage.ranks <= stage.nodes * stage.ranks_per_node
        assert stage.ranks_per_node * stage.threads <= (queue.cores or 10**6)
        assert stage.memory_mb <= (queue.memory_mb or 10**9)
        assert stage.walltime_s <= (queue.walltime_s or 10**9)
        assert not queue.by_name
        assert stage.limited_by
    for stage in planned.stages[1:3]:
        assert stage.ranks <= most_ranks(tree, stage.name)
    assert JobPlan.from_json(planned.to_json()) == planned


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "jusuf",
            {},
            "account: jusuf wants one: --account, CEREBELLAR_MODELS_ACCOUNT, or `options: {account: …}`",
        ),
        ("mn5-gpp", {"account": "a"}, r"qos: mn5-gpp wants one \(gp_ehpc, .*gp_debug\)"),
        ("polaris", {"account": "a"}, "filesystems: polaris wants one"),
        ("jusuf", {"account": "a"}, "image: jusuf runs its stages in apptainer"),
    ],
)
def test_what_a_site_wants_is_needed_for_scripts_not_for_a_plan(name, options, said, tmp_path):
    planned = plan(resolve("mouse", preset="tiny")[1], load_site(name), Options(**options), MODEL)
    with pytest.raises(UserError, match=said):
        prepare(tmp_path / "run", "", {}, planned)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("local", {"queue": "any", "nodes": 0}, "nodes: 0 is not at least 1"),
        ("generic-pbs", {"image": "x", "qos": "high"}, "qos: generic-pbs runs PBS, which has none"),
        ("generic-slurm", {"image": "x", "filesystems": "home"}, "filesystems: generic-slurm runs SLURM"),
        (
            "jusuf",
            {"account": "a", "image": "x", "queue": "night"},
            "queue: jusuf has no 'night'; known: batch, gpus",
        ),
        (
            "jusuf",
            {"account": "a", "image": "x", "stage_on_scratch": True},
            "scratch: none is known at jusuf",
        ),
        (
            "jureca-dc",
            {"account": "a", "image": "x", "queue": "dc-cpu-devel", "nodes": 5},
            "gives at most 4 nodes",
        ),
        ("local", {"ranks": 10**6}, "this machine of local gives at most 1 nodes"),
    ],
)
def test_what_a_site_cannot_do(name, options, said):
    with pytest.raises(UserError, match=said):
        plan(resolve("mouse", preset="tiny")[1], load_site(name), Options(**options), MODEL)


@pytest.mark.parametrize(
    ("name", "options", "queue", "partition", "qos"),
    [
        ("mn5-gpp", {"qos": "gp_debug"}, "gp_debug", None, "gp_debug"),
        ("mn5-gpp", {"qos": None, "queue": "gp_resa"}, "gp_resa", None, "gp_resa"),
        ("mn5-gpp", {"qos": "gp_mine"}, "gp_ehpc", None, "gp_mine"),
        ("polaris", {"queue": "debug"}, "debug", "debug", None),
        ("polaris", {}, "preemptable", "preemptable", None),
        ("polaris", {"queue": "prod"}, "small", "prod", None),
        ("leonardo-booster", {"queue": "boost_qos_dbg"}, "boost_qos_dbg", "boost_usr_prod", "boost_qos_dbg"),
        ("generic-slurm", {"queue": "long"}, "long", "long", None),
        ("hawk", {"queue": "workq"}, "workq", "workq", None),
    ],
)
def test_the_queue_of_ones_choice(name, options, queue, partition, qos):
    site = load_site(name)
    planned = plan(resolve("mouse")[1], site, given(site, **options), MODEL)
    compiling = planned.stages[1]
    assert (compiling.queue, compiling.partition, compiling.qos) == (queue, partition, qos)


def test_a_single_process_leaves_a_queue_for_large_jobs():
    site = load_site("polaris")
    planned = plan(resolve("mouse")[1], site, given(site, queue="prod"), MODEL)
    assert [stage.queue for stage in planned.stages] == ["preemptable", "small", "small", "preemptable"]


def test_a_task_for_each_simulation_and_seed():
    tree = resolve("mouse")[1]
    planned = plan(tree, SITE, Options(), MODEL, seeds=(1234, 7, 7))
    assert planned.stages[2].tasks == (
        Task(0, "basal_activity", None, "results/basal_activity"),
        Task(1, "basal_activity", 7, "results/basal_activity-seed7"),
        Task(2, "mf_stimulus", None, "results/mf_stimulus"),
        Task(3, "mf_stimulus", 7, "results/mf_stimulus-seed7"),
    )
    one = plan(tree, SITE, Options(), MODEL, simulations=("mf_stimulus",)).stages[2]
    assert [task.simulation for task in one.tasks] == ["mf_stimulus"]
    four = planned.stages[2]
    assert four.core_hours == 4 * replace(four, tasks=four.tasks[:1]).core_hours


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"simulations": ("sleep",)},
            "simulation: the circuit has no 'sleep'; it has: basal_activity, mf_stimulus",
        ),
        ({"seeds": (0,)}, "seed: 0 is not between 1 and"),
    ],
)
def test_tasks_that_make_no_sense(more, said):
    with pytest.raises(UserError, match=said):
        plan(resolve("mouse")[1], SITE, Options(), MODEL, **more)


def test_a_circuit_without_simulations_is_compiled_and_reported():
    tree = resolve("mouse")[1] | {"simulations": {}}
    stages = plan(tree, SITE, Options(), MODEL).stages
    assert [(stage.name, stage.after) for stage in stages] == [("compile", ()), ("report", ("compile",))]


def test_threads_are_the_configurations_unless_asked_for():
    tree = resolve("mouse", threads=4)[1]
    assert [stage.threads for stage in plan(tree, SITE, Options(), MODEL).stages] == [1, 1, 4, 1]
    assert plan(tree, SITE, Options(threads=2), MODEL).stages[2].threads == 2
