"""`jobs calibrate`: a user's cost model in line with what a run used, or a clear refusal."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from plans import plan

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.cli import main
from cerebellar_models.costs.cost_model import as_tree, load_cost_model, user_file
from cerebellar_models.costs.estimate import estimate

MOUSE = load_species("mouse")


@pytest.fixture(autouse=True)
def no_own_model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def tree(**choices) -> dict:
    return compose(
        MOUSE, choose(MOUSE, **{"simulations": ["basal_activity"], **choices}), morphology_manifest()
    )


def write_run(folder: Path, circuit: dict, stages: dict | None = None, jobs: dict | None = None) -> Path:
    """A run folder as `run`, or a cluster's jobs with 2 ranks, leave it."""
    (folder / "jobs").mkdir(parents=True)
    (folder / "circuit.yaml").write_text(yaml.safe_dump(circuit))
    record = {"about": {"species": "mouse"}, "versions": {}, "stages": stages or {}, "jobs": jobs or {}}
    (folder / "run.json").write_text(json.dumps(record))
    if jobs:
        (folder / "jobs" / "plan.json").write_text(plan(nodes=1, ranks=2).to_json())
    return folder


def calibrate(*arguments: object):
    return CliRunner().invoke(main, ["jobs", "calibrate", *map(str, arguments)])


def used_stages(circuit: dict, memory: float, time: float) -> dict:
    """What a local run records that took this much of what is expected."""
    model = load_cost_model("mouse")
    costs = {
        "compile": estimate(circuit, model, "compile"),
        "simulate basal_activity": estimate(circuit, model, "simulate"),
        "report": estimate(circuit, model, "report"),
    }
    return {
        name: {
            "state": "done",
            "seconds": cost.seconds * time,
            "ranks": 1,
            "rank_mb": cost.memory_mb_per_rank * memory,
        }
        for name, cost in costs.items()
    }


@pytest.mark.parametrize("preset", ["tiny", "canonical"])
@pytest.mark.parametrize(("memory", "time"), [(1.3, 0.4), (0.9, 3.0), (1.0, 1.0)])
def test_estimates_become_those_of_the_run(tmp_path, preset, memory, time):
    circuit = tree(preset=preset)
    used = used_stages(circuit, memory, time)
    run = write_run(tmp_path / "run", circuit, used)
    done = calibrate(run)
    assert done.exit_code == 0, done.output
    model = load_cost_model("mouse")
    for name, stage in used.items():
        cost = estimate(circuit, model, name.partition(" ")[0])
        assert cost.memory_mb_per_rank == pytest.approx(stage["rank_mb"], rel=0.01), name
        assert cost.seconds == pytest.approx(stage["seconds"], rel=0.01), name


def test_a_second_time_changes_nothing_more(tmp_path):
    circuit = tree(preset="tiny")
    run = write_run(tmp_path / "run", circuit, used_stages(circuit, 1.2, 2.0))
    calibrate(run)
    once = as_tree(load_cost_model("mouse"))
    assert calibrate(run).exit_code == 0
    for stage, numbers in as_tree(load_cost_model("mouse")).items():
        for key, number in numbers.items():
            if not isinstance(number, dict):
                assert number == pytest.approx(once[stage][key], rel=0.005), f"{stage}.{key}"


def test_where_cells_make_up_the_memory_theirs_is_scaled(tmp_path):
    """A canonical simulation is two fifths cells: one of four times the extent has to be scaled too."""
    circuit, large = tree(preset="canonical"), tree(size=(600, 400))
    before = estimate(large, load_cost_model("mouse"), "simulate").memory_mb_per_rank
    calibrate(write_run(tmp_path / "run", circuit, used_stages(circuit, 1.3, 1.0)))
    after = load_cost_model("mouse")
    assert estimate(large, after, "simulate").memory_mb_per_rank == pytest.approx(1.53 * before, rel=0.03)
    # Of a compile the process is most: there, one run says nothing about the circuit's share.
    assert after.compile.process_mb > 390
    own = yaml.safe_load(user_file("mouse").read_text())
    assert "kb_per_cell" not in own["compile"] and "kb_recorded" in own["simulate"]["neuron_models"]["other"]


def test_the_jobs_of_a_cluster(tmp_path):
    circuit = tree(preset="canonical")
    model = load_cost_model("mouse")
    expected = {stage: estimate(circuit, model, stage, 2) for stage in ("compile", "simulate")}
    jobs = {
        "models": {"state": "done", "seconds": 0.5, "max_rss_mb": 60.0},  # the module was built before
        "compile": {
            "state": "done",
            "seconds": 2 * expected["compile"].seconds,
            "max_rss_mb": 1.1 * expected["compile"].memory_mb_per_rank,
        },
        "simulate-0": {"state": "failed", "seconds": 3.0, "max_rss_mb": 10.0},
        "report": {"state": "done", "seconds": None, "max_rss_mb": None},
    }
    done = calibrate(write_run(tmp_path / "run", circuit, jobs=jobs))
    assert done.exit_code == 0, done.output
    assert "left out: models: its time (0.5 s, expected 40 s)" in done.output
    assert "left out: report: its memory (not known" in done.output
    after = load_cost_model("mouse")
    assert after.simulate == model.simulate
    cost = estimate(circuit, after, "compile", 2)
    assert cost.seconds == pytest.approx(2 * expected["compile"].seconds, rel=0.01)
    assert cost.memory_mb_per_rank == pytest.approx(1.1 * expected["compile"].memory_mb_per_rank, rel=0.01)


def test_before_and_after_are_shown_and_a_dry_run_writes_nothing(tmp_path):
    circuit = tree(preset="tiny")
    run = write_run(tmp_path / "run", circuit, used_stages(circuit, 1.0, 2.0))
    done = calibrate(run, "--dry-run")
    assert done.exit_code == 0
    assert (
        "simulate basal_activity on 1 x 1 (ranks x threads): used, expected before, expected now"
        in done.output
    )
    assert done.output.splitlines()[-1] == "nothing written"
    assert not user_file("mouse").exists()
    told = json.loads(calibrate(run, "--json").output)
    assert told["file"] == str(user_file("mouse")) and user_file("mouse").exists()
    assert told["compared"][0]["after"][1] == pytest.approx(2 * told["compared"][0]["before"][1], rel=0.01)


def test_what_the_user_has_set_otherwise_stays(tmp_path):
    user_file("mouse").parent.mkdir(parents=True)
    user_file("mouse").write_text("models: {seconds: 77}\ncompile: {storage_mb: 9}\n")
    circuit = tree(preset="tiny")
    calibrate(write_run(tmp_path / "run", circuit, used_stages(circuit, 1.0, 2.0)))
    after = load_cost_model("mouse")
    assert (after.models.seconds, after.compile.storage_mb) == (77, 9)


def test_a_model_that_says_a_stage_takes_nothing(tmp_path):
    user_file("mouse").parent.mkdir(parents=True)
    user_file("mouse").write_text(
        "compile: {process_mb: 0, seconds: 0}\nmodels: {process_mb: 0, seconds: 0}\n"
    )
    stages = {"models": {"state": "done", "seconds": 5, "ranks": 1, "rank_mb": 50}}
    done = calibrate(write_run(tmp_path / "run", tree(preset="tiny"), stages))
    assert done.exit_code == 2
    assert "nothing of this run can calibrate the model: models" in done.output
    planned = CliRunner().invoke(
        main, ["jobs", "plan", str(tmp_path / "run" / "circuit.yaml"), "--site", "jusuf"]
    )
    assert planned.exit_code == 0, planned.output


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda run: None, "is not a run folder"),
        (lambda run: write_run(run, tree(preset="tiny")), "no stage of this run is done"),
        (
            lambda run: write_run(run, tree(preset="tiny"), {"compile": {"state": "failed", "seconds": 1}}),
            "no stage of this run is done",
        ),
        (
            lambda run: write_run(run, tree(preset="tiny"), {"compile": {"state": "done", "seconds": 0.001}}),
            "nothing of this run can calibrate the model: compile: its time (0.001 s",
        ),
        (
            lambda run: write_run(
                run,
                {**tree(preset="tiny"), "connectivity": {"mine": {"strategy": "my.own.Rule"}}},
                {"compile": {"state": "done", "seconds": 5}},
            ),
            "cannot be estimated, so it cannot calibrate: mine: rule my.own.Rule is not known",
        ),
        (
            lambda run: (
                write_run(run, tree(preset="tiny"), {"compile": {"state": "done", "seconds": 5}}) / "run.json"
            ).write_text(
                '{"about": {}, "versions": {}, "stages": {"compile": {"state": "done", "seconds": 5}}}'
            ),
            "does not name the species; give --species",
        ),
    ],
    ids=["no folder", "nothing done", "failed", "implausible", "unknown rule", "no species"],
)
def test_what_cannot_calibrate_is_refused_in_one_line(tmp_path, prepare, says):
    prepare(tmp_path / "run")
    done = calibrate(tmp_path / "run")
    assert done.exit_code == 2
    assert says in done.output and done.output.count("\n") == 1
    assert not user_file("mouse").exists()
