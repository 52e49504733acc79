"""What a simulation left is kept only when every recorder of it left something."""

import copy
import json
from pathlib import Path

import pytest
from analysis.analysis_samples import TREE, recording, trace, write_circuit, write_recording
from whole import mark

from cerebellar_models.analysis.read_digests import read_digests
from cerebellar_models.circuits.threads import with_threads
from cerebellar_models.errors import RunError
from cerebellar_models.runs import products as products_module
from cerebellar_models.runs.products import (
    FINISHED,
    Products,
    Standing,
    keep_circuit,
    keep_results,
    kept_digests,
    kept_threads,
    put_back_replaced,
    standing,
)
from cerebellar_models.runs.run_folder import RunFolder

SPIKES, CURRENT = recording({0: [5.0], 1: []}), trace("I_syn_ampa", [[1, 2]])
DEVICES = {
    "granule_cell_record": {"device": "spike_recorder"},
    "multimeter": {"device": "multimeter"},
    "noise": {"device": "poisson_generator"},
}


@pytest.fixture
def kept(tmp_path):
    """``kept(*recordings)`` is the folder they were moved to, those of a simulation with three devices."""

    def keep(*recordings):
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir()
        tree = copy.deepcopy(TREE)
        tree["simulations"]["basal_activity"]["devices"] = DEVICES
        write_circuit(folder.circuit, tree)
        mark(Products(folder).circuit)
        scratch = tmp_path / "scratch"
        (scratch / "results").mkdir(parents=True)
        (scratch / FINISHED).touch()
        if recordings:
            write_recording(scratch / "results" / "r.nio", [list(recordings)])
        keep_results(folder, scratch, "basal_activity", "basal_activity", tmp_path / "simulate.log")
        return folder.results / "basal_activity"

    return keep


def test_a_circuit_is_kept_with_its_digests(tmp_path):
    folder, scratch = RunFolder(tmp_path / "run"), tmp_path / "scratch"
    for path in (folder.path, scratch):
        path.mkdir()
    write_circuit(scratch / folder.circuit.name)
    (scratch / FINISHED).touch()
    keep_circuit(folder, scratch)
    circuit = Products(folder).circuit
    assert standing(circuit, thorough=True).whole
    assert kept_digests(circuit) == read_digests(folder.circuit).record()


def test_a_mark_of_an_earlier_version_knows_no_digests(tmp_path):
    folder = RunFolder(tmp_path)
    write_circuit(folder.circuit)
    circuit = Products(folder).circuit
    mark(circuit)
    content = json.loads(circuit.mark.read_text())
    del content["digests"]
    circuit.mark.write_text(json.dumps(content))
    assert standing(circuit, thorough=True).whole
    assert kept_digests(circuit) == {}


def test_whole_results_are_moved(kept, tmp_path):
    folder = kept(SPIKES, CURRENT)
    assert sorted(path.name for path in folder.iterdir()) == ["complete.json", "r.nio"]
    assert not (tmp_path / "scratch" / "results").exists()
    products = Products(RunFolder(tmp_path / "run"))
    assert standing(products.results("basal_activity", "basal_activity"), thorough=True).whole


def simulated_again(folder, tmp_path, threads):
    scratch = tmp_path / "scratch"
    (scratch / "results").mkdir()
    write_recording(scratch / "results" / "other.nio", [[SPIKES, CURRENT]])
    keep_results(folder, scratch, "basal_activity", "basal_activity", tmp_path / "simulate.log", threads)


@pytest.mark.parametrize("told", [None, 1, 4], ids=["a mark of an earlier version", "one", "four"])
def test_results_of_other_threads_are_kept_until_others_have_come(kept, tmp_path, told):
    whole = kept(SPIKES, CURRENT)
    folder = RunFolder(tmp_path / "run")
    content = json.loads((whole / "complete.json").read_text())
    (whole / "complete.json").write_text(json.dumps(content | {"threads": told}))
    folder.configuration.write_text(json.dumps(with_threads(TREE, 4)))  # what counts where the mark is silent
    mark(Products(folder).circuit)
    made_with = told or 4

    def standing_with(threads):
        return standing(Products(folder).results("basal_activity", "basal_activity", threads), thorough=True)

    assert (standing_with(made_with), standing_with(None)) == (Standing(True), Standing(True))
    assert standing_with(2) == Standing(False, other=f"its results are of {made_with} threads, not 2")
    simulated_again(folder, tmp_path, 2)
    assert standing_with(2).whole
    assert kept_threads(Products(folder).results("basal_activity")) == 2
    assert {path.name for path in folder.results.rglob("*")} == {
        "basal_activity",
        "complete.json",
        "other.nio",
    }


def test_results_that_were_to_give_way_are_back_where_none_have_come(kept, tmp_path, monkeypatch):
    whole = kept(SPIKES, CURRENT)
    folder = RunFolder(tmp_path / "run")
    rename = Path.rename

    def fail(path, target):
        if path.name == "results":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        simulated_again(folder, tmp_path, 2)
    monkeypatch.undo()
    assert standing(Products(folder).results("basal_activity", "basal_activity"), thorough=True).whole
    assert [path.name for path in folder.results.iterdir()] == ["basal_activity"]

    whole.rename(folder.results / ".replaced-basal_activity-1")  # where the job was killed between the two
    put_back_replaced(folder, "basal_activity")
    assert standing(Products(folder).results("basal_activity", "basal_activity"), thorough=True).whole
    put_back_replaced(folder, "basal_activity")  # nothing to do


@pytest.mark.parametrize(
    ("recordings", "told"),
    [
        ((SPIKES,), "no recording of multimeter"),
        ((CURRENT,), "no recording of granule_cell_record"),
        ((), "no recording of granule_cell_record, multimeter"),
    ],
    ids=["no multimeter", "no spikes", "nothing"],
)
def test_a_recorder_without_a_recording_is_told(kept, tmp_path, recordings, told):
    with pytest.raises(RunError) as error:
        kept(*recordings)
    assert told in str(error.value)
    assert "simulate.log" in str(error.value)
    results = tmp_path / "run" / "results"
    assert not (results / "basal_activity").exists()
    # What it did leave is kept, where no report takes it for a result.
    assert [path.name for path in results.glob(".*")] == [".rejected-basal_activity-1"] * bool(recordings)
    assert (str(results / ".rejected-basal_activity-1") in str(error.value)) == bool(recordings)
    assert Products(RunFolder(tmp_path / "run")).activities() == []


def test_a_simulation_that_has_not_said_that_it_ended_did_not(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(products_module, "FINISHED", "proof")
    with pytest.raises(RunError, match="did not reach its end"):
        kept(SPIKES, CURRENT)
