"""`configure --adopt FOLDER`: configurations that take parts from one another."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from published_circuit import CELLS, CIRCUIT, write_tree
from published_folder import CIRCUIT_KEYS, FILES, write_folder

from cerebellar_models.circuits.counting.rules import OVERLAP
from cerebellar_models.cli import main
from cerebellar_models.cli.shared.adopting import adopt_tree
from cerebellar_models.cli.shared.adopting_folder import _write_in_place
from cerebellar_models.cli.shared.bsb_reader import Text, read_with_bsb
from cerebellar_models.errors import UserError

CORTEX = "configurations/cortex.yaml"
BASAL = "configurations/nest/basal activity µ.yaml"
WHOLE = [name for name in FILES if name != "morphologies/morphologies.yaml"]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """``here(*arguments)`` adopts in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["configure", "--adopt", *arguments])


def test_a_folder_is_adopted_beside_the_old_one(here, tmp_path):
    write_folder(tmp_path / "old")
    before = files_below(tmp_path / "old")
    result = here("old", "-o", "new")
    assert result.exit_code == 0, result.stderr
    assert files_below(tmp_path / "old") == before
    new = {name: read(tmp_path / "new" / name) for name in FILES}
    assert set(files_below(tmp_path / "new")) == set(FILES)

    # What files shared, they share; one could not be changed for all that take it.
    for name in WHOLE:
        assert ("$import" in new[name]) is (name != "configurations/one_rule.yaml"), name
    assert result.stdout.count("now in the file itself") == 1
    entries = new["morphologies/morphologies.yaml"]["morphologies"]
    assert [(entry["file"], "pipeline" in entry) for entry in entries] == [
        (f"cerebellum://{cell}.swc", False) for cell in CELLS
    ]
    assert new[BASAL]["components"] == ["cerebellar_models.nest_models.build_models"]

    texts = [
        Text((tmp_path / "new" / name).read_text(encoding="utf-8"), tmp_path / "new" / name) for name in WHOLE
    ]
    wholes = dict(zip(WHOLE, read_with_bsb(texts, whole=True), strict=True))
    assert [reading.error for reading in wholes.values()] == [""] * len(WHOLE)
    # Taken from several files, it is what it is as one.
    one = adopt_tree(tmp_path / "one.yaml", CIRCUIT).tree
    for key in ("morphologies", *CIRCUIT_KEYS):
        assert wholes[CORTEX].tree[key] == one[key], key
    seeds = {
        BASAL: {"basal_activity": 7},
        "configurations/nest/stimulus.yaml": {"basal_activity": 7, "stimulus": 9},
        "configurations/nest/stronger.yaml": {"basal_activity": 7, "again": 7},
    }
    for name, reading in wholes.items():
        tree = reading.tree
        assert tree["rng"]["seed"] == 1234
        expected = {sim: {"strategy": "nest", "seed": seed} for sim, seed in seeds.get(name, {}).items()}
        assert tree["rng"].get("settings", {}) == expected
        simulations = tree.get("simulations", {})
        assert {sim: node["rng"] for sim, node in simulations.items()} == {sim: sim for sim in expected}
        assert all("seed" not in node for node in simulations.values())
        assert {rule["strategy"] for rule in tree["connectivity"].values()} == {OVERLAP.path}
        assert all(rule["self_connections"] for rule in tree["connectivity"].values())
    weights = {
        (name, sim): node["connection_models"]["stellate_to_purkinje"]["synapses"][0]["weight"]
        for name, reading in wholes.items()
        for sim, node in reading.tree.get("simulations", {}).items()
    }
    assert weights == {
        (BASAL, "basal_activity"): 0.17,
        ("configurations/nest/stimulus.yaml", "basal_activity"): 0.17,
        ("configurations/nest/stimulus.yaml", "stimulus"): 0.17,
        ("configurations/nest/stronger.yaml", "basal_activity"): 0.3,
        ("configurations/nest/stronger.yaml", "again"): 0.17,
    }


def test_in_place_the_old_files_stay_beside_the_new(here, tmp_path):
    names = ["morphologies/morphologies.yaml", CORTEX]
    write_folder(tmp_path, names)
    (tmp_path / "morphologies" / "notes.json").write_text('{"author": "me"}', encoding="utf-8")
    before = files_below(tmp_path)
    result = here(".", "-o", str(tmp_path))
    assert result.exit_code == 0, result.stderr
    after = files_below(tmp_path)
    copies = {f"{name}.before-adopt": before[name] for name in names}
    assert set(after) == set(before) | set(copies)
    assert {name for name in before if after[name] != before[name]} == set(names)
    assert {name: after[name] for name in copies} == copies
    assert "written: 2 files" in result.stdout

    # A copy of an earlier time is never written over.
    write_tree(tmp_path / CORTEX, FILES[CORTEX])
    kept = files_below(tmp_path)
    refused = here(".", "-o", str(tmp_path))
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert f"{CORTEX}.before-adopt: is there from an earlier time; move it elsewhere" in refused.stderr
    assert files_below(tmp_path) == kept


def test_if_one_file_cannot_be_written_none_is(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    before = files_below(tmp_path)
    with pytest.raises(UnicodeEncodeError):
        _write_in_place(tmp_path, {"a.yaml": "new", "b.yaml": "no letter: \ud800"})
    with pytest.raises(UserError, match="cannot be written"):
        _write_in_place(tmp_path, {"a.yaml": "new", "gone.yaml": "new"})
    assert files_below(tmp_path) == before


SHORT = {key: FILES[CORTEX][key] for key in ("name", "storage", "network", "cell_types")}
NO_RULE = FILES[CORTEX] | {
    "connectivity": {"a_to_b": {"strategy": "bsb.NoSuchRule", "presynaptic": {}, "postsynaptic": {}}}
}


@pytest.mark.parametrize(
    ("files", "output", "says"),
    [
        ({}, None, "output: old is a folder: name the folder to write with --output, or old itself"),
        ({}, "taken", "output: taken is there already; name a new folder, or old itself"),
        ({}, "taken/file", "output: taken/file is there already"),
        (
            {"cut.yaml": SHORT},
            "new",
            "cut.yaml: is no whole configuration (has no partitions, placement, connectivity)",
        ),
        ({"bad.yaml": "a: ["}, "new", "bad.yaml: not valid YAML"),
        ({"bad.json": "{"}, "new", "bad.json: not valid JSON"),
        (
            {"out.yaml": {"network": {"$ref": "../else.yaml#/network"}}},
            "new",
            "out.yaml: refers to ../else.yaml, which is none of the configurations in this folder",
        ),
        (
            {"rule.yaml": NO_RULE | {"$import": {"ref": "gone.yaml#/", "values": []}}},
            "new",
            "refers to gone.yaml",
        ),
        (
            {"key.yaml": {"$import": {"ref": "configurations/cortex.yaml#/", "values": ["nothing"]}}},
            "new",
            "key.yaml: BSB cannot read it: 'nothing' does not exist",
        ),
        (
            {"configurations/rule.yaml": NO_RULE},
            "new",
            "rule.yaml: BSB does not load it: ",
        ),
    ],
)
def test_a_folder_with_one_bad_file_is_refused_in_one_line(here, tmp_path, files, output, says):
    write_folder(tmp_path / "old", ["morphologies/morphologies.yaml", CORTEX])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine", encoding="utf-8")
    for name, content in files.items():
        if isinstance(content, dict):
            write_tree(tmp_path / "old" / name, content)
        else:
            (tmp_path / "old" / name).write_text(content, encoding="utf-8")
    before = files_below(tmp_path)
    result = here("old", *(("-o", output) if output else ()))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert says in result.stderr
    assert files_below(tmp_path) == before


def test_a_folder_without_configurations_is_refused(here, tmp_path):
    (tmp_path / "old").mkdir()
    result = here("old", "-o", "new")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "old: holds no BSB configuration" in result.stderr
