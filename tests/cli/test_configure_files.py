"""`configure --adopt`, `--from`, `--save-choices` and `--list` as a user meets them."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cerebellar_models.circuits.catalogue import load_species
from cerebellar_models.cli import main

OLDER = Path(__file__).parents[1] / "compatibility" / "older.yaml"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """``here(*arguments)`` runs the command in this process, in an empty folder: for what ends soon."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.fixture
def older(tmp_path) -> Path:
    return Path(shutil.copy(OLDER, tmp_path / "older.yaml"))


def test_adopting_lists_the_changes_and_keeps_the_old_file(cli, older, tmp_path):
    before = older.read_bytes()
    result = cli("configure", "--adopt", "older.yaml", "-o", "new.yaml")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "older.yaml: 11 changes"
    assert lines[-1] == "written: new.yaml"
    assert len([line for line in lines if line.startswith("hint, not changed: ")]) == 3
    assert older.read_bytes() == before
    assert yaml.safe_load((tmp_path / "new.yaml").read_text())["rng"]["seed"] == 1234


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, (), "old.yaml: No such file or directory"),
        ("a: [", (), "old.yaml: not valid YAML"),
        ("- a", (), "old.yaml: expected a mapping at the top, found list"),
        ("colour: blue", (), "old.yaml: is no BSB configuration"),
        ("network: {}\nconnectivity: 3", (), "old.yaml: connectivity: expected a mapping, found int"),
        ("network: {}", ("-o", "old.yaml"), "output: old.yaml is the file to adopt"),
        ("network: {}", ("-o", "./old.yaml"), "output: old.yaml is the file to adopt"),
        ("network: {}", ("-o", "new.txt"), "ends in none of .yaml, .yml, .json"),
        ("network: {}", ("--state", "awake"), "adopt: takes only --output beside it; leave out state"),
        ("network: {}", ("-o", "folder"), "output: folder is a folder; name a file in it"),
        ("network: {$ref: 'parts.yaml#/network'}", ("-o", "else/new.yaml"), "old.yaml refers to parts.yaml"),
    ],
)
def test_a_bad_old_file_is_one_line_and_nothing_written(here, tmp_path, content, arguments, says):
    if content is not None:
        (tmp_path / "old.yaml").write_text(content)
    (tmp_path / "folder").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    result = here("configure", "--adopt", "old.yaml", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert says in result.stderr
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def cut_after(line: str) -> str:
    """The older configuration, cut short at a place where it still is YAML."""
    text = OLDER.read_text(encoding="utf-8")
    return text[: text.index(line)]


def with_simulator(name: str) -> str:
    return OLDER.read_text(encoding="utf-8").replace("simulator: nest", f"simulator: {name}")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (cut_after("placement:"), "BSB does not load it: Missing required attribute"),
        (cut_after("    devices:"), "BSB does not load it: "),
    ],
    ids=["no rules", "no devices"],
)
def test_a_file_cut_short_is_not_adopted(here, tmp_path, nest_installed, content, says):
    (tmp_path / "old file µ.yaml").write_text(content, encoding="utf-8")
    result = here("configure", "--adopt", "old file µ.yaml", "-o", "new.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert f"old file µ.yaml: {says}" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["old file µ.yaml"]


def test_simulations_of_a_package_that_is_not_installed_are_named(here, tmp_path):
    (tmp_path / "old.yaml").write_text(with_simulator("elsewhere"), encoding="utf-8")
    result = here("configure", "--adopt", "old.yaml", "-o", "new.yaml")
    assert result.exit_code == 0, result.stderr
    assert (
        "hint, not checked: old.yaml: simulations.basal_activity: no BSB package for 'elsewhere' is installed"
        in result.stdout
    )
    assert (tmp_path / "new.yaml").exists()


CHOICES = ("--size", "150", "100", "--state", "awake", "--part", "io", "--simulation", "mf_cf_stimulus")


def test_saved_choices_replay_to_the_same_bytes(cli, tmp_path):
    zones = (
        "--microzone",
        "left",
        "--microzone",
        "right",
        "--self-connections",
        "--duration",
        "300",
        "--seed",
        "7",
        "--threads",
        "3",
    )
    saved = cli("configure", *CHOICES, *zones, "-o", "a.yaml", "--save-choices", "choices.yaml")
    assert saved.returncode == 0, saved.stderr
    replayed = cli("configure", "--from", "choices.yaml", "-o", "b.yaml", "--save-choices", "again.yaml")
    assert replayed.returncode == 0, replayed.stderr
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert (tmp_path / "choices.yaml").read_bytes() == (tmp_path / "again.yaml").read_bytes()
    simulations = yaml.safe_load((tmp_path / "b.yaml").read_text())["simulations"]
    assert [each["threads"] for each in simulations.values()] == [3]


def test_a_file_may_hold_only_some_choices_and_flags_go_before_it(cli, tmp_path):
    (tmp_path / "choices.yaml").write_text("preset: canonical\nstate: awake\nseed: 5\n")
    result = cli("configure", "--from", "choices.yaml", "--size", "150", "100", "--seed", "6")
    assert result.returncode == 0, result.stderr
    assert "mouse awake, 150 x 100 µm" in result.stdout
    assert "seed 6" in result.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("flavour: vanilla", "choices.yaml: flavour: there is no such choice; known: species, state"),
        ("state: asleep", "choices.yaml: state: there is no 'asleep'"),
        ("species: yeti", "choices.yaml: species: there is no 'yeti'"),
        ("seed: 1.5", "choices.yaml: seed: '1.5' is not a valid integer"),
        ("threads: 0", "choices.yaml: threads: 0 is not in the range 1<=x<=1024"),
        ("seed: true", "choices.yaml: seed: 'True' is not a valid integer"),
        ("size: [100]", "choices.yaml: size: 2 values are required"),
        ("size: 100", "choices.yaml: size: expected a list, found 100"),
        ("state: [awake]", "choices.yaml: state: expected one value, found ['awake']"),
        ("size: [a, b]", "choices.yaml: size: 'a' is not a valid float"),
        ("size: [30, 30]", "choices.yaml: size: 30 x 30 µm is too small"),
        ("simulations: basal_activity", "choices.yaml: simulations: expected a list, found basal_activity"),
        ("self_connections: perhaps", "choices.yaml: self_connections: 'perhaps' is not a valid boolean"),
        ("preset: tiny\nsize: [150, 100]", "choices.yaml: size, preset: give one of the two"),
        ("- state", "choices.yaml: expected a mapping at the top, found list"),
        (None, "choices.yaml: No such file or directory"),
    ],
)
def test_a_bad_choices_file_is_one_line_that_names_file_and_key(here, tmp_path, content, says):
    if content is not None:
        (tmp_path / "choices.yaml").write_text(content)
    result = here("configure", "--from", "choices.yaml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert says in result.stderr
    assert not (tmp_path / "circuit.yaml").exists()


def test_the_catalogue_is_a_table_with_a_line_for_each_offer(here):
    result = here("configure", "--list")
    assert result.exit_code == 0, result.stderr
    mouse = load_species("mouse")
    offers = [
        *(("state", name) for name in mouse.states),
        *(("preset", name) for name in mouse.presets),
        *(("part", name) for name in mouse.parts),
        *(("neuron model", name) for name in mouse.neuron_models),
        *(("synapse model", name) for name in mouse.synapse_models),
        *(("simulation", name) for name in mouse.paradigms),
    ]
    for kind, name in offers:
        (line,) = [
            line for line in result.stdout.splitlines() if line.startswith(kind) and f" {name} " in line
        ]
        assert len(line.split(name, 1)[1].strip(" *")) > 10


def test_json_is_adopted_too(here, tmp_path):
    shutil.copy(OLDER.with_name("granular_layer.json"), tmp_path / "old.json")
    result = here("configure", "--adopt", "old.json", "-o", "new.json")
    assert result.exit_code == 0, result.stderr
    assert "old.json: 3 changes" in result.stdout
    tree = json.loads((tmp_path / "new.json").read_text())
    assert [entry["file"] for entry in tree["morphologies"]] == [
        "cerebellum://GranuleCell.swc",
        "cerebellum://GolgiCell.swc",
    ]


@pytest.mark.parametrize(
    ("content", "says"), [("{", "not valid JSON"), ("[]", "expected a mapping at the top")]
)
def test_bad_json_is_one_line(here, tmp_path, content, says):
    (tmp_path / "old.json").write_text(content)
    result = here("configure", "--adopt", "old.json")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"old.json: {says}" in result.stderr
