"""What `digest` prints, and of what it prints nothing."""

import json
import shutil

import pytest
import yaml

from cerebellar_models.analysis.digests import simulation_digests
from cerebellar_models.analysis.read_digests import read_digests

TREE = {
    "network": {"x": 1, "y": 1, "z": 1},
    "simulations": {"rest": {"simulator": "nest", "duration": 10, "devices": {}}},
}


def test_a_circuit_and_its_simulations(cli, tiny_folder):
    circuit = tiny_folder / "cerebellum.hdf5"
    found = read_digests(circuit)
    done = cli("digest", str(circuit))
    assert done.returncode == 0, done.stderr
    lines = [f"{found.circuit.circuit}  circuit"]
    lines += [f"{text}  simulation {name}" for name, text in found.simulations.items()]
    assert done.stdout.splitlines() == lines
    told = json.loads(cli("digest", str(circuit), "--json").stdout)
    assert told["circuit"] == found.circuit.circuit and told["simulations"] == found.simulations
    assert told["projections"] == found.circuit.projections
    assert told["populations"] == found.circuit.populations


def test_a_configuration_has_the_simulations_of_its_circuit(cli, tiny_folder):
    told = json.loads(cli("digest", str(tiny_folder / "circuit.yaml"), "--json").stdout)
    assert told == {
        "format": 1,
        "simulations": read_digests(tiny_folder / "cerebellum.hdf5").simulations,
    }


def test_parts_of_other_files_count(cli, tmp_path):
    (tmp_path / "rest.yaml").write_text(yaml.safe_dump(TREE["simulations"]), encoding="utf-8")
    whole = TREE | {"simulations": {"rest": {"$ref": "rest.yaml#/rest"}}}
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    done = cli("digest", "circuit.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["simulations"] == simulation_digests(TREE)


def test_json_and_yaml_are_the_same(cli, tmp_path):
    (tmp_path / "circuit.json").write_text(json.dumps(TREE), encoding="utf-8")
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(TREE), encoding="utf-8")
    assert cli("digest", "circuit.json").stdout == cli("digest", "circuit.yaml").stdout != ""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.hdf5", None, "no such file"),
        ("absent.yaml", None, "No such file or directory"),
        ("empty.hdf5", b"", "the file is empty"),
        ("text.hdf5", b"cells: 3", "it is not an HDF5 file"),
        ("list.yaml", b"- 1", "expected a mapping at the top"),
        ("other.yaml", b"a: 1", "has no 'network'"),
        ("none.yaml", b"network: {}", "simulations: there is none"),
        (
            "odd.json",
            b'{"network": {}, "simulations": {"a": 1}}',
            "simulations.a: expected a mapping, found int",
        ),
        ("lost.yaml", b"network: {}\nsimulations: {$ref: 'gone.yaml#/a'}", "BSB does not load it"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(cli, tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = cli("digest", name)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cerebellar-models: {name}: ") and says in line
    assert done.stdout == ""


def test_a_circuit_that_is_cut_short_is_one_line_and_exit_2(cli, tmp_path, tiny_folder):
    path = shutil.copy(tiny_folder / "cerebellum.hdf5", tmp_path / "cut.hdf5")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    done = cli("digest", "cut.hdf5")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "cerebellar-models: cut.hdf5: not a readable circuit: it is cut short, its writer did not finish"
    ]
