"""What is taken for done: a product that its mark proves whole, and nothing else."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import marker_of, statuses_of
from plans import plan
from whole import make_circuit, make_report, make_results

from cerebellar_models.errors import RunError
from cerebellar_models.on_node import task
from cerebellar_models.runs.products import Products, standing
from cerebellar_models.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path) -> Path:
    """A finished run whose files are made up."""
    folder = tmp_path / "run"
    (folder / "jobs" / "state").mkdir(parents=True)
    (folder / "jobs" / "plan.json").write_text(plan().to_json(), encoding="utf-8")
    make_circuit(folder)
    make_results(folder, "basal_activity", "basal_activity")
    make_report(folder)
    (folder / "jobs" / "state" / "models.json").write_text(
        '{"state": "done", "job": "1", "hosts": "n", "started": 1}', encoding="utf-8"
    )
    return folder


def flip(path: Path) -> None:
    """Another byte, at the same size and time, as a disk may give it back."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def products(run: Path) -> dict:
    found = Products(RunFolder(run))
    return {
        "compile": found.circuit,
        "simulate-0": found.results("basal_activity", "basal_activity"),
        "report": found.report,
    }


def test_whole_products_are_done(run):
    assert all(standing(product, thorough=True).whole for product in products(run).values())


DAMAGES: list[tuple[str, str, Callable[[Path], None], str]] = [
    (name, file, damage, said)
    for name, file in (
        ("compile", "cerebellum.hdf5"),
        ("simulate-0", "results/basal_activity/a.nio"),
        ("report", "report.html"),
        ("report", "report.json"),
    )
    for damage, said in (
        (flip, "has other bytes than when it was made"),
        (cut, "bytes, "),
        (empty, "has 0 bytes"),
    )
]


@pytest.mark.parametrize(("name", "file", "damage", "said"), DAMAGES)
def test_a_damaged_product_is_named(name, file, damage, said, run):
    damage(run / file)
    found = standing(products(run)[name], thorough=True)
    assert not found.whole
    assert said in found.fault
    assert Path(file).name in found.fault
    assert str(run) in found.fault
    assert "move it elsewhere" in found.fault
    assert "\n" not in found.fault


@pytest.mark.parametrize("damage", [cut, empty])
def test_a_look_at_sizes_finds_a_cut(damage, run):
    damage(run / "cerebellum.hdf5")
    assert not standing(products(run)["compile"]).whole


def test_a_look_at_sizes_and_times_reads_no_file(run, monkeypatch):
    monkeypatch.setattr("cerebellar_models.runs.completion._checksum", lambda path: pytest.fail(str(path)))
    assert all(standing(product).whole for product in products(run).values())


def test_a_copied_run_is_as_whole_as_it_was(run, tmp_path):
    """Copying gives files another time; that is looked into once."""
    copy = shutil.copytree(run, tmp_path / "copy", copy_function=shutil.copyfile)
    assert all(standing(product).whole for product in products(copy).values())
    status = (copy / "cerebellum.hdf5").stat()
    kept = json.loads((copy / "cerebellum.complete.json").read_text(encoding="utf-8"))
    assert kept["files"]["cerebellum.hdf5"]["modified_ns"] == status.st_mtime_ns


def without_mark(run: Path) -> None:
    (run / "cerebellum.complete.json").unlink()


def broken_mark(run: Path) -> None:
    mark = run / "cerebellum.complete.json"
    mark.write_bytes(mark.read_bytes()[:-9])


def later_mark(run: Path) -> None:
    mark = run / "cerebellum.complete.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"format": 99, "new": 1}))


def other_configuration(run: Path) -> None:
    (run / "circuit.yaml").write_text("name: another\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_mark, "nothing proves that it is whole (there is no cerebellum.complete.json)"),
        (broken_mark, "cannot be read as a completion mark"),
        (later_mark, "was written by a later version"),
        (other_configuration, "it was made from another circuit.yaml than that of this run"),
    ],
)
def test_a_circuit_that_proves_nothing_is_named(change, said, run):
    change(run)
    found = standing(products(run)["compile"])
    assert not found.whole
    assert said in found.fault


def a_second_recording(run: Path) -> str:
    (run / "results" / "basal_activity" / "b.nio").write_bytes(b"spikes")
    return "b.nio in it is not of this run's making"


def unproved_recordings(run: Path) -> str:
    (run / "results" / "other").mkdir()
    (run / "results" / "other" / "a.nio").write_bytes(b"spikes")
    return "results/other: nothing proves that it is whole"


def of_another_circuit(run: Path) -> str:
    other = run.with_name("other")
    other.mkdir()
    make_circuit(other, b"other cells")
    make_results(other, "basal_activity", "basal_activity")
    shutil.rmtree(run / "results")
    shutil.copytree(other / "results", run / "results")
    return "it was made from another cerebellum.hdf5 than that of this run"


@pytest.mark.parametrize("lay", [a_second_recording, unproved_recordings, of_another_circuit])
def test_a_report_is_not_made_of_what_is_not_the_runs_own(lay, run, cli):
    said = lay(run)
    RunFolder(run).open("name: made up\n", {})
    done = cli("report", str(run))
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_results_of_another_simulation_are_not_its(run):
    (run / "results" / "basal_activity").rename(run / "results" / "mf_stimulus")
    found = standing(Products(RunFolder(run)).results("mf_stimulus", "mf_stimulus"))
    assert "another simulation" in found.fault


def test_stray_files_beside_results_harm_nothing(run):
    (run / "results" / "README").write_text("mine")
    (run / "results" / "basal_activity" / "Thumbs.db").write_text("a file manager's")
    (run / "results" / ".rejected-basal_activity-1").mkdir()
    assert standing(products(run)["report"], thorough=True).whole


def test_a_report_of_other_results_is_not_done(run):
    make_results(run, "basal_activity-seed7", "basal_activity")
    assert not standing(products(run)["report"]).whole
    assert {entry.task: entry.state for entry in statuses_of(run)}["report"] != "done"


@pytest.mark.parametrize("damage", [flip, cut, empty])
def test_no_stage_uses_a_damaged_product(damage, run):
    shutil.rmtree(run / "results")
    damage(run / "cerebellum.hdf5")
    with pytest.raises(RunError, match=r"cerebellum\.hdf5"):
        task.begin(run, "simulate-0", "1", "node1")
    marker = marker_of(run, "simulate-0")
    assert marker is not None and "cerebellum.hdf5" in marker.reason


@pytest.mark.parametrize("name", ["compile", "simulate-0"])
def test_a_stage_does_not_replace_what_it_does_not_know(name, run):
    files = {"compile": "cerebellum.hdf5", "simulate-0": "results/basal_activity/a.nio"}
    damaged = run / files[name]
    cut(damaged)
    before = damaged.read_bytes()
    with pytest.raises(RunError, match="move it elsewhere"):
        task.begin(run, name, "1", "node1")
    assert damaged.read_bytes() == before


@pytest.mark.parametrize("verb", ["submit", "resume"])
def test_nothing_is_submitted_on_top_of_a_damaged_product(verb, run, cli):
    cut(run / "cerebellum.hdf5")
    told = {entry.task: (entry.state, entry.detail) for entry in statuses_of(run)}
    assert told["compile"][0] == "damaged" and "cerebellum.hdf5" in told["compile"][1]
    (run / "jobs" / "submit.sh").write_text("touch submitted\n")
    done = cli("jobs", verb, str(run), PATH=f"{run}:/usr/bin:/bin")
    assert done.returncode == 2
    assert "bytes" in done.stderr and "move it elsewhere" in done.stderr
    assert not (run / "submitted").exists()


def test_a_marker_and_a_mark_of_a_later_version_are_read(run):
    path = run / "jobs" / "state" / "models.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1, "unheard_of": [1]}))
    marker = marker_of(run, "models")
    assert marker is not None and marker.state == "done"


def test_stages_of_one_run_use_one_image(run, monkeypatch):
    shutil.rmtree(run / "results")
    compiled = {"state": "done", "job": "1", "hosts": "n", "started": 1, "image": "aaa"}
    (run / "jobs" / "state" / "compile.json").write_text(json.dumps(compiled))
    monkeypatch.setenv("CEREBELLAR_MODELS_IMAGE_DIGEST", "bbb")
    with pytest.raises(RunError, match="image: it is not the one that compile ran in"):
        task.begin(run, "simulate-0", "1", "node1")
    monkeypatch.setenv("CEREBELLAR_MODELS_OTHER_IMAGE", "1")
    assert task.begin(run, "simulate-0", "1", "node1") == 0
