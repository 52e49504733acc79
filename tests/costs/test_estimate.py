"""Cost models are checked when they are read; estimates follow the shape and the circuit."""

import copy
from pathlib import Path

import pytest
import yaml

from cerebellar_models.circuits.catalogue import OWN_FOLDERS, load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.costs.cost_model import as_tree, load_cost_model, user_file
from cerebellar_models.costs.estimate import estimate, most_ranks
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder

MOUSE = load_species("mouse")
RESOURCES = bundle_folder("configurations") / "mouse" / "resources.yaml"


def tree(**choices) -> dict:
    return compose(MOUSE, choose(MOUSE, **choices), morphology_manifest())


@pytest.fixture(autouse=True)
def no_own_model(tmp_path, monkeypatch):
    """A user without a cost model of their own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def model():
    return load_cost_model("mouse")


def written(tmp_path: Path, content: dict) -> Path:
    path = tmp_path / "costs.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _without(key: str, inner: str) -> dict:
    whole = yaml.safe_load(RESOURCES.read_text())
    del whole[key][inner]
    return whole


def _with(key: str, inner: str, value: object) -> dict:
    whole = yaml.safe_load(RESOURCES.read_text())
    whole[key][inner] = value
    return whole


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_without("compile", "process_mb"), "compile.process_mb: is missing"),
        (_with("compile", "proces_mb", 1), "compile.proces_mb: is not known; known are"),
        (_with("report", "seconds", "long"), "report.seconds: 'long' is not a number from 0 on"),
        (_with("report", "seconds", -1), "report.seconds: -1 is not a number from 0 on"),
        (_with("report", "seconds", True), "report.seconds: True is not a number"),
        (_with("report", "seconds", float("nan")), "report.seconds: nan is not a number"),
        (_with("simulate", "neuron_models", {}), "simulate.neuron_models: has no row 'other'"),
        (
            _with("simulate", "synapse_models", {"other": {"byte": 1}}),
            "simulate.synapse_models.other.byte: is not known; known are bytes",
        ),
        (_with("simulate", "synapse_models", [1]), "simulate.synapse_models: expected a mapping, found list"),
        ({"compile": {}}, "models: is missing"),
        ({"compiling": {}}, "compiling: is not known; known are compile, measured, models, report, simulate"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_cost_model_names_file_key_and_what_is_right(tmp_path, content, says):
    path = written(tmp_path, content)
    with pytest.raises(UserError) as refusal:
        load_cost_model(path)
    assert str(refusal.value).startswith(f"{path}: ") and says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_users_numbers_replace_those_of_the_species(model):
    own = user_file("mouse")
    own.parent.mkdir(parents=True)
    own.write_text("compile: {process_mb: 999}\nsimulate: {neuron_models: {parrot_neuron: {kb: 1}}}\n")
    mine = load_cost_model("mouse")
    assert mine.compile.process_mb == 999
    assert mine.simulate.neuron_models["parrot_neuron"].kb == 1
    expected = as_tree(model)
    expected["compile"]["process_mb"] = 999
    expected["simulate"]["neuron_models"]["parrot_neuron"]["kb"] = 1
    assert as_tree(mine) == expected
    assert str(own) in mine.source


def test_a_users_row_for_a_model_has_to_be_whole():
    own = user_file("mouse")
    own.parent.mkdir(parents=True)
    own.write_text("simulate: {neuron_models: {mine: {kb: 1}}}\n")
    with pytest.raises(
        UserError, match=f"{own}: simulate.neuron_models.mine.bytes_per_delay_step: is missing"
    ):
        load_cost_model("mouse")


def test_a_species_without_costs_has_those_of_the_mouse(tmp_path, monkeypatch, model):
    (tmp_path / "own" / "rat").mkdir(parents=True)
    (tmp_path / "own" / "rat" / "species.yaml").write_text("description: none")
    monkeypatch.setenv(OWN_FOLDERS, str(tmp_path / "own"))
    assert as_tree(load_cost_model("rat")) == as_tree(model)
    with pytest.raises(UserError, match="species: there is no 'cat'; known: mouse, rat"):
        load_cost_model("cat")


def test_a_compile_has_one_rank_that_only_gives_out_jobs(model):
    canonical = tree(preset="canonical")
    seconds = {ranks: estimate(canonical, model, "compile", ranks).seconds for ranks in (1, 2, 3, 5, 1000)}
    assert seconds[1] == seconds[2] > 1.7 * seconds[3] > 1.7 * seconds[5]
    assert most_ranks(canonical, "compile") == 1 + 3 * 2 * 2  # chunks of the granular layer
    assert seconds[1000] == estimate(canonical, model, "compile", most_ranks(canonical, "compile")).seconds


def test_cells_are_dealt_out_to_ranks_and_what_a_process_needs_is_not(model):
    large = tree(size=(600, 400), simulations=["basal_activity"])
    one, two = (estimate(large, model, "simulate", ranks) for ranks in (1, 2))
    assert one.memory_mb_per_rank / 2 < two.memory_mb_per_rank < 0.7 * one.memory_mb_per_rank
    assert two.memory_mb_total == 2 * two.memory_mb_per_rank > one.memory_mb_total
    threads = estimate(large, model, "simulate", 1, 2)
    assert one.memory_mb_per_rank <= threads.memory_mb_per_rank < 1.05 * one.memory_mb_per_rank
    assert threads.seconds < one.seconds


@pytest.mark.parametrize(
    ("choices", "more", "less"),
    [
        ({"duration": 9000.0}, ("seconds", "storage_mb"), ()),
        ({"size": (600, 400)}, ("memory_mb_per_rank", "seconds", "storage_mb"), ()),
        ({"preset": "tiny"}, (), ("memory_mb_per_rank", "seconds", "storage_mb")),
        ({"synapse_model": "tsodyks2_synapse"}, ("memory_mb_per_rank",), ()),
    ],
    ids=str,
)
def test_what_makes_a_simulation_larger(model, choices, more, less):
    basal = {"simulations": ["basal_activity"]}
    before = estimate(tree(**basal), model, "simulate")
    after = estimate(tree(**basal, **choices), model, "simulate")
    for name in more:
        assert getattr(after, name) > 1.01 * getattr(before, name), name
    for name in less:
        assert getattr(after, name) < 0.7 * getattr(before, name), name


def test_the_longest_simulation_stands_for_all(model):
    both = tree(simulations=["basal_activity", "mf_stimulus"])
    both["simulations"]["mf_stimulus"]["duration"] = 50_000.0
    each = {name: estimate(both, model, "simulate", simulation=name) for name in both["simulations"]}
    assert estimate(both, model, "simulate") == each["mf_stimulus"] != each["basal_activity"]


def with_model(configuration, neuron):
    """The same with other neurons, relays left aside."""
    for cell in configuration["simulations"]["basal_activity"]["cell_models"].values():
        if cell["model"] != "parrot_neuron":
            cell["model"] = neuron
    return configuration


@pytest.mark.parametrize(
    ("neuron", "longer", "unrecorded"),
    [("eglif_cond_alpha_multisyn", (1.0, 1.03), (0.7, 0.9)), ("iaf_cond_alpha", (1.5, 4.0), (0.1, 0.6))],
)
def test_what_neurons_of_nest_take_for_delays_and_recorders_ours_do_not(model, neuron, longer, unrecorded):
    """NEST keeps a table of devices for each cell that is recorded, and buffers of 40 ms where one delay is as long."""
    recorded, slow = (
        with_model(tree(simulations=["basal_activity"], parts=parts), neuron) for parts in ([], ["io"])
    )
    silent = copy.deepcopy(recorded)
    silent["simulations"]["basal_activity"]["devices"] = {}
    memory = [estimate(each, model, "simulate").memory_mb_per_rank for each in (recorded, slow, silent)]
    assert longer[0] <= memory[1] / memory[0] <= longer[1]
    assert unrecorded[0] <= memory[2] / memory[0] <= unrecorded[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"stage": "simulate", "simulation": "nap"}, "simulation: there is no 'nap'; known: basal_activity"),
        ({"stage": "compile", "ranks": 0}, "ranks, threads: 0 and 1 are not both at least 1"),
    ],
    ids=str,
)
def test_what_cannot_be_estimated_is_refused(model, arguments, says):
    with pytest.raises(UserError, match=says):
        estimate(tree(preset="tiny"), model, **arguments)


def test_an_estimate_names_what_it_leaves_out(model):
    strange = tree(preset="tiny")
    strange["connectivity"]["gap_goc"] = {**strange["connectivity"]["gap_goc"], "strategy": "my.own.Rule"}
    for stage in ("compile", "simulate", "report"):
        assert estimate(strange, model, stage).unknown == ("gap_goc: rule my.own.Rule is not known",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"simulator": "neuron"}, "simulation mine: nothing is known about simulator neuron"),
        (
            {"duration": "long"},
            "simulation mine: not understood (simulations.mine.duration: 'long' is no number)",
        ),
        (
            {"cell_models": 1},
            "simulation mine: not understood (simulations.mine.cell_models: expected a mapping",
        ),
        ({"devices": {"noise": None}}, "simulation mine: not understood"),
    ],
    ids=str,
)
def test_simulations_that_are_not_understood_are_named(model, change, says):
    strange = tree(preset="tiny", simulations=["basal_activity"])
    strange["simulations"] = {"mine": strange["simulations"]["basal_activity"] | change}
    (unknown,) = estimate(strange, model, "simulate").unknown
    assert unknown.startswith(says)


@pytest.mark.parametrize("name", ["cortex.yaml", "granular_layer.json", "older.yaml"])
def test_configurations_of_the_published_package_have_estimates(model, name):
    published = yaml.safe_load((Path(__file__).parents[1] / "compatibility" / name).read_text())
    for stage in ("compile", "simulate", "report"):
        if stage == "simulate" and not published.get("simulations"):
            continue
        cost = estimate(published, model, stage)
        assert cost.memory_mb_per_rank > 100
        assert all("morphology" in reason for reason in cost.unknown), cost.unknown
