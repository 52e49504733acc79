"""Plans: within the limits of a queue, and saying which of them decided."""

import json
from dataclasses import replace

import pytest

from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.costs.estimate import (
    STORAGE_SAFETY,
    estimate,
    load_cost_model,
    most_ranks,
)
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder
from cerebellar_models.jobs.plan import plan
from cerebellar_models.jobs.prepare import located, prepare
from cerebellar_models.runs.job_plan import JobPlan, Options, Task
from cerebellar_models.sites.profiles import Queue, Site, load_site

PACKAGED = sorted(path.stem for path in (bundle_folder("jobscripts") / "sites").glob("*.yaml"))
SITE = Site("made-up", "slurm", "srun", "none")
NODE = Queue("batch", walltime_s=24 * 3600, nodes=8, cores=16, memory_mb=64_000, partition="batch")
MODEL = load_cost_model("mouse")


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
        ("local", {"ranks": 10**6}, "this machine of local gives at most 1 node, "),
    ],
)
def test_what_a_site_cannot_do(name, options, said):
    with pytest.raises(UserError, match=said):
        plan(resolve("mouse", preset="tiny")[1], load_site(name), Options(**options), MODEL)


@pytest.mark.parametrize("key", ["ranks", "nodes", "threads"])
def test_a_slip_of_the_keyboard_is_noticed_where_nothing_is_known_of_the_nodes(key):
    with pytest.raises(UserError, match=rf"{key}: 100000; this circuit keeps 8 cores busy, and not 100000"):
        plan(resolve("mouse", preset="tiny")[1], load_site("generic-slurm"), Options(**{key: 100_000}), MODEL)


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


def test_a_plan_of_an_older_or_newer_version_is_read():
    planned = plan(resolve("mouse", preset="tiny")[1], load_site("jusuf"), Options(), MODEL, seeds=(1, 2))
    content = json.loads(planned.to_json())
    assert "tasks_per_job" not in content["stages"][0]
    assert content["stages"][2].pop("tasks_per_job") == 4
    assert JobPlan.from_json(json.dumps(content)).stages[2] == replace(planned.stages[2], tasks_per_job=1)
    for part in (content["site"], content["options"], content["stages"][1], content["stages"][2]["tasks"][0]):
        part["of_tomorrow"] = 3
    assert JobPlan.from_json(json.dumps(content)).site == planned.site
    del content["stages"][0]["name"]
    with pytest.raises(TypeError):
        JobPlan.from_json(json.dumps(content))


def test_tasks_side_by_side_are_one_job():
    planned = plan(resolve("mouse", preset="tiny")[1], load_site("jusuf"), Options(), MODEL, seeds=(1, 2))
    simulate = planned.stages[2]
    assert (len(simulate.tasks), simulate.tasks_per_job, simulate.jobs) == (4, 4, 1)
    assert simulate.core_hours == 128 * simulate.walltime_s / 3600


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
    tree = with_threads(resolve("mouse")[1], 4)
    planned = plan(tree, SITE, Options(), MODEL)
    assert [stage.threads for stage in planned.stages] == [1, 1, 4, 1]
    assert planned.options.threads is None  # nobody asks to simulate again what is there
    assert plan(tree, SITE, Options(threads=2), MODEL).stages[2].threads == 2
    assert plan(tree, SITE, Options(threads=2), MODEL).options.threads == 2
