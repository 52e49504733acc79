"""`cerebellar-models configure` as a user meets it."""

import json

import pytest
import yaml


def test_writes_a_configuration_and_says_what_to_expect(cli, tmp_path):
    result = cli("configure", "--preset", "canonical", "--state", "awake", "--simulation", "basal_activity")
    assert result.returncode == 0, result.stderr
    assert "granule_cell 30420" in result.stdout
    tree = yaml.safe_load((tmp_path / "circuit.yaml").read_text())
    assert list(tree["simulations"]) == ["basal_activity"]
    assert tree["rng"] == {"seed": 1234}


def test_a_neuron_model_brings_its_synapses(cli, tmp_path):
    result = cli("configure", "--preset", "tiny", "--neuron-model", "eglif_multirec")
    assert result.returncode == 0, result.stderr
    assert "multirec_static_synapse" in (tmp_path / "circuit.yaml").read_text().partition("\n")[0]


def test_yaml_and_json_hold_the_same(cli, tmp_path):
    for name in ("a.yaml", "a.json"):
        assert cli("configure", "--preset", "tiny", "-o", name).returncode == 0
    assert yaml.safe_load((tmp_path / "a.yaml").read_text()) == json.loads((tmp_path / "a.json").read_text())


def test_the_same_choices_give_the_same_bytes(cli, tmp_path):
    for name in ("a.yaml", "b.yaml"):
        cli("configure", "--preset", "tiny", "-o", name)
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--species", "yeti"], "species: there is no 'yeti'; known: mouse"),
        (["--state", "asleep"], "state: there is no 'asleep'"),
        (["--simulation", "nap"], "simulation: there is no 'nap'"),
        (["--neuron-model", "lif"], "neuron model: there is no 'lif'"),
        (["--synapse-model", "stp"], "synapse model: there is no 'stp'"),
        (["--size", "-5", "100"], "size x: -5 µm"),
        (["--size", "1e12", "100"], "size x: 1e+12 µm"),
        (["--size", "40", "40"], "size: 40 x 40 µm is too small"),
        (["--size", "50", "50"], "size: 50 x 50 µm is too small"),
        (["--size", "abc", "100"], "'abc' is not a valid float"),
        (["-o", "no/such/folder/c.yaml"], "cannot be written (No such file or directory)"),
        (["-o", "circuit.toml"], "ends in none of .yaml, .yml, .json"),
        (["--flavour", "vanilla"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(cli, tmp_path, arguments, says):
    result = cli("configure", *arguments)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failed_configure_keeps_the_file_that_was_there(cli, tmp_path):
    cli("configure", "--preset", "tiny")
    before = (tmp_path / "circuit.yaml").read_bytes()
    assert cli("configure", "--size", "40", "40").returncode == 2
    assert (tmp_path / "circuit.yaml").read_bytes() == before


def test_a_stimulus_the_duration_leaves_out_is_noted(cli):
    done = cli("configure", "--preset", "tiny", "--simulation", "mf_stimulus", "--duration", "500")
    assert done.returncode == 0
    assert "note: mf_stimulus ends at 500 ms, before its mf_stimulus starts (1199.1 ms)" in done.stdout
