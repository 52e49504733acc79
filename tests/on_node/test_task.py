"""What a job script asks before its work and says after it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from asking import marker_of
from plans import write_run
from whole import make_circuit

from cerebellar_models.errors import RunError, UserError
from cerebellar_models.on_node import task
from cerebellar_models.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path)


def test_a_stage_waits_for_all_of_an_array(run):
    make_circuit(run)
    with pytest.raises(RunError, match="simulate-0 has to be done first"):
        task.begin(run, "report", "1", "node1")
    marker = marker_of(run, "report")
    assert (marker.state, marker.exit_code) == ("failed", 1)
    with pytest.raises(RunError, match="models has to be done first"):
        task.begin(run, "simulate-1", "1", "node1")


def test_a_compilation_that_left_half_a_file_is_not_done(run):
    assert task.begin(run, "compile", "1", "node1") == 0
    (run / ".compile.partial" / "cerebellum.hdf5").write_bytes(b"\x89HDF")
    assert task.end(run, "compile", 0, "") == 1
    assert marker_of(run, "compile").state == "failed"
    assert not RunFolder(run).circuit.exists()
    assert not list(run.glob(".*.partial"))


def test_what_is_done_is_not_begun_again(run):
    make_circuit(run)
    assert task.begin(run, "compile", "1", "node1") == task.DONE_BEFORE


def test_too_little_disk(run, monkeypatch):
    monkeypatch.setattr(task.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(RunError, match="MB free"):
        task.begin(run, "compile", "1", "node1")


def test_no_such_task(run):
    with pytest.raises(UserError, match="simulate-9"):
        task.begin(run, "simulate-9", "1", "node1")
