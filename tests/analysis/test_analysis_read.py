import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from analysis_samples import (
    COUNTS,
    GRANULE,
    PURKINJE,
    TREE,
    circuit,
    recorded_block,
    recording,
    trace,
    write_circuit,
    write_recording,
)

from cerebellar_models.analysis.read import find_recordings, read_activity, read_circuit
from cerebellar_models.errors import RunError, UserError

SPIKES = recording({0: [5.0, 15.0], 1: [], 4: [10.0]})


def one_line(error: pytest.ExceptionInfo, path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


def test_circuit_comes_back(tmp_path):
    read = read_circuit(write_circuit(tmp_path / "c.hdf5"))
    assert read.configuration == TREE
    assert read.counts == COUNTS
    for name, positions in circuit().positions.items():
        np.testing.assert_array_equal(read.positions[name], positions)
    projection = next(item for item in read.projections if item.name == "granule_to_purkinje")
    assert sorted(zip(projection.pre_cells, projection.post_cells, strict=True)) == sorted(
        zip(GRANULE, PURKINJE, strict=True)
    )


def test_contacts_agree_with_bsb(tmp_path, monkeypatch):
    """A network of several chunks, compiled, read and, through our hook, reported by BSB itself."""
    from bsb import Configuration, Scaffold, options

    monkeypatch.setattr(options, "verbosity", 0)
    rule = {"strategy": "bsb.connectivity.FixedIndegree", "indegree": 3}
    tree = {
        "storage": {"engine": "hdf5", "root": str(tmp_path / "n.hdf5")},
        "rng": {"seed": 5},
        "network": {"x": 60, "y": 40, "z": 20, "chunk_size": [20, 20, 20]},
        "partitions": {"low": {"type": "layer", "thickness": 20}},
        "regions": {"all": {"type": "stack", "children": ["low"]}},
        "cell_types": {name: {"spatial": {"radius": 1, "count": 40}} for name in ("a", "b")},
        "placement": {
            "p": {
                "strategy": "bsb.placement.RandomPlacement",
                "partitions": ["low"],
                "cell_types": ["a", "b"],
            }
        },
        "connectivity": {
            "a_to_b": {"presynaptic": {"cell_types": ["a"]}, "postsynaptic": {"cell_types": ["b"]}, **rule}
        },
    }
    hook = "cerebellar_models.analysis.structure_analysis.RunStructureReport"
    tree["after_connectivity"] = {"told": {"strategy": hook, "output_filename": str(tmp_path / "told.pdf")}}
    scaffold = Scaffold(Configuration(tree))
    scaffold.compile()
    before, after = scaffold.get_connectivity_set("a_to_b").load_connections().as_globals().all()
    told = json.loads((tmp_path / "told.json").read_text())["structure"]["projections"]
    assert [(row["name"], row["contacts"]) for row in told] == [("a_to_b", len(before))]
    read = read_circuit(tmp_path / "n.hdf5")
    (projection,) = read.projections
    expected = sorted(zip(before[:, 0].tolist(), after[:, 0].tolist(), strict=True))
    assert sorted(zip(projection.pre_cells.tolist(), projection.post_cells.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(read.positions["a"], scaffold.get_placement_set("a").load_positions())


def test_activity_comes_back_with_its_silent_cells(tmp_path):
    other = recording({0: [], 1: [2.0]}, "purkinje_cell")
    activity = read_activity(write_recording(tmp_path / "r.nio", [[SPIKES, other]]))
    assert (activity.simulation, activity.duration) == ("basal_activity", 1000.0)
    assert activity.configuration == TREE["simulations"]["basal_activity"]
    granule, purkinje = activity.recordings
    assert (granule.recorder, granule.cell_type) == ("granule_cell_record", "granule_cell")
    assert granule.cells.tolist() == [0, 1, 4]
    assert sorted(zip(granule.spike_times, granule.spike_cells, strict=True)) == [(5, 0), (10, 4), (15, 0)]
    assert (purkinje.cells.tolist(), purkinje.spike_cells.tolist()) == ([0, 1], [1])


def test_what_is_in_memory_is_read_as_from_its_file(tmp_path):
    shares = [[SPIKES], [trace("V_m", [[1, 2], [3, 4]])]]
    held, written = (
        read_activity(recorded_block(shares)),
        read_activity(write_recording(tmp_path / "r.nio", shares)),
    )
    assert (held.simulation, held.duration, held.configuration) == (
        written.simulation,
        written.duration,
        written.configuration,
    )
    for one, other in zip(
        (*held.recordings, *held.traces), (*written.recordings, *written.traces), strict=True
    ):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name))
    with pytest.raises(
        RunError, match=r"^simulation basal_activity: the simulation stopped at 500 of 1000 ms"
    ):
        read_activity(recorded_block(shares, reached=500.0))


@pytest.mark.parametrize("files", [1, 2])
def test_shares_of_ranks_are_one_recording(tmp_path, files):
    shares = [recording({0: [5.0], 2: []}), recording({1: [7.0], 3: [1.0]})]
    if files == 1:
        paths = [write_recording(tmp_path / "r.nio", [[share] for share in shares])]
    else:
        paths = [write_recording(tmp_path / f"{i}.nio", [[share]]) for i, share in enumerate(shares)]
    (joined,) = read_activity(paths).recordings
    assert joined.cells.tolist() == [0, 1, 2, 3]
    assert sorted(zip(joined.spike_times, joined.spike_cells, strict=True)) == [(1, 3), (5, 0), (7, 1)]


def test_a_recording_of_silent_cells_only(tmp_path):
    (silent,) = read_activity(write_recording(tmp_path / "r.nio", [[recording({3: [], 4: []})]])).recordings
    assert (silent.cells.tolist(), len(silent.spike_times)) == ([3, 4], 0)


def test_what_a_multimeter_read_comes_back_rank_by_rank(tmp_path):
    share = [trace("I_syn_ampa", [[1, 2], [3, 4], [5, 6]], cells=(4, 1)), SPIKES]
    other = [trace("I_syn_ampa", [[7], [8], [9]], cells=(2,)), trace("V_m", [[0]] * 3, cells=(2,))]
    activity = read_activity(write_recording(tmp_path / "r.nio", [share, other]))
    ampa, potential = activity.traces
    assert (ampa.recorder, ampa.cell_type, ampa.quantity, ampa.unit, ampa.step) == (
        "multimeter",
        "granule_cell",
        "I_syn_ampa",
        "pA",
        pytest.approx(1000 / 3),
    )
    assert ampa.cells.tolist() == [1, 2, 4]
    assert ampa.values.tolist() == [[2, 7, 1], [4, 8, 3], [6, 9, 5]]
    assert potential.cells.tolist() == [2]
    assert len(activity.recordings) == 1


def test_a_multimeter_alone_is_a_recording(tmp_path):
    activity = read_activity(write_recording(tmp_path / "r.nio", [[trace("V_m", [[1, 2]])]]))
    assert (activity.recordings, len(activity.traces)) == ((), 1)


def test_ranks_that_stopped_at_different_times_are_told(tmp_path):
    shares = [[trace("V_m", [[1], [2]], cells=(0,))], [trace("V_m", [[1]], cells=(1,))]]
    path = write_recording(tmp_path / "r.nio", shares)
    with pytest.raises(RunError) as error:
        read_activity(path)
    assert "damaged" in one_line(error, path)


def test_a_multimeter_that_stopped_early_is_told(tmp_path):
    path = write_recording(tmp_path / "r.nio", [[trace("V_m", [[1, 2]] * 50, duration=500.0), SPIKES]])
    with pytest.raises(RunError) as error:
        read_activity(path)
    assert "multimeter holds V_m of 500 of 1000 ms only" in one_line(error, path)


def test_different_runs_are_not_mixed(tmp_path):
    first = write_recording(tmp_path / "a.nio", [[SPIKES]])
    second = write_recording(tmp_path / "b.nio", [[SPIKES]], run="run-2")
    with pytest.raises(UserError) as error:
        read_activity([first, second])
    assert one_line(error, second).endswith(f"not of the same run as {first}; move one of the two elsewhere")


@pytest.mark.parametrize("run", ["run-1", None], ids=["a copy", "of a BSB that names no run"])
@pytest.mark.parametrize("what", ["spikes", "a multimeter"])
def test_the_same_cells_twice_are_no_shares(tmp_path, run, what):
    recorded = SPIKES if what == "spikes" else trace("V_m", [[1.0, 2.0]])
    first = write_recording(tmp_path / "a.nio", [[recorded]], run)
    second = write_recording(tmp_path / "b.nio", [[recorded]], run)
    with pytest.raises(UserError) as error:
        read_activity([first, second])
    told = one_line(error, second)
    assert told.endswith(f"holds the same cells of granule_cell as {first}; move one of the two elsewhere")


def test_a_share_that_stopped_early_is_named(tmp_path):
    whole = write_recording(tmp_path / "a.nio", [[recording({0: [1.0]})]])
    short = write_recording(tmp_path / "b.nio", [[recording({1: [1.0]})]], reached=400.0)
    with pytest.raises(RunError) as error:
        read_activity([whole, short])
    assert "stopped at 400 of 1000 ms" in one_line(error, short)


def test_recordings_are_found_among_what_else_lies_there(tmp_path):
    results = tmp_path / "results"
    for folder in ("basal", "empty", "notes", ".simulate.partial"):
        (results / folder).mkdir(parents=True)
    names = (
        "basal/a.nio",
        "basal/._a.nio",
        "basal/log.txt",
        "notes/x.txt",
        "README",
        "Thumbs.db",
        ".DS_Store",
    )
    for name in names:
        (results / name).write_text("", encoding="utf-8")
    found, unread = find_recordings(results)
    assert found == {"basal": [results / "basal/a.nio"]}
    assert unread == (
        f"{results}/README: is no folder of recordings; move it elsewhere",
        f"{results}/Thumbs.db: is no folder of recordings; move it elsewhere",
        f"{results}/empty: holds no recording (.nio); move it elsewhere and run again",
        f"{results}/notes: holds no recording (.nio); move it elsewhere and run again",
    )
    assert find_recordings(tmp_path / "absent") == ({}, ())


@pytest.mark.parametrize("read", [read_circuit, read_activity])
def test_missing_file(tmp_path, read):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UserError) as error:
            read(path)
        assert "no such file" in one_line(error, path)


def test_no_file_at_all():
    with pytest.raises(UserError):
        read_activity([])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("kind", ["circuit", "recording"])
def test_cut_short(tmp_path, kind, share):
    path = tmp_path / kind
    read = read_circuit if kind == "circuit" else read_activity
    whole = write_circuit(path) if kind == "circuit" else write_recording(path, [[SPIKES]])
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError) as error:
        read(path)
    assert ("empty" if share == 0 else "cut short") in one_line(error, path)


@pytest.mark.parametrize("read", [read_circuit, read_activity])
def test_a_file_of_another_kind(tmp_path, read):
    path = tmp_path / "notes.txt"
    path.write_text("not a network")
    with pytest.raises(RunError) as error:
        read(path)
    assert "not an HDF5 file" in one_line(error, path)


def test_each_other_s_file(tmp_path):
    compiled, recorded = write_circuit(tmp_path / "c.hdf5"), write_recording(tmp_path / "r.nio", [[SPIKES]])
    with pytest.raises(RunError) as error:
        read_circuit(recorded)
    assert "not a compiled circuit" in one_line(error, recorded)
    with pytest.raises(RunError) as error:
        read_activity(compiled)
    one_line(error, compiled)


def _without(key):
    def damage(file):
        del file[key]

    return damage


def _no_configuration(file):
    file["files/a"].attrs["meta"] = "{}"


def _wrong_cell(file):
    file["connectivity/granule_to_purkinje/inc/0/global_locs"][0] = 99


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_without("placement"), "no 'placement'"),
        (_without("placement/granule_cell"), "granule_cell"),
        (_without("connectivity/granule_to_purkinje/inc/0"), "lacks some of its 5 contacts"),
        (_without("connectivity/gap_purkinje/inc/0/local_locs"), "damaged"),
        (_no_configuration, "no configuration"),
        (_wrong_cell, "granule_cell that does not exist"),
    ],
)
def test_unfinished_or_damaged_circuit(tmp_path, damage, told):
    path = write_circuit(tmp_path / "c.hdf5")
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(RunError) as error:
        read_circuit(path)
    assert told in one_line(error, path)


def test_a_simulation_that_stopped_early(tmp_path):
    path = write_recording(tmp_path / "r.nio", [[SPIKES]], reached=400.0)
    with pytest.raises(RunError) as error:
        read_activity(path)
    assert "stopped at 400 of 1000 ms" in one_line(error, path)


def test_a_simulation_that_recorded_nothing(tmp_path):
    path = write_recording(tmp_path / "r.nio", [[]])
    with pytest.raises(RunError) as error:
        read_activity(path)
    assert "did not finish" in one_line(error, path)


def test_a_file_another_process_writes(tmp_path):
    path = write_circuit(tmp_path / "c.hdf5")
    reader = f"""
from pathlib import Path
from cerebellar_models.analysis.read import read_circuit
from cerebellar_models.errors import RunError
try:
    read_circuit(Path({str(path)!r}))
except RunError as error:
    print(error)
"""
    with h5py.File(path, "a", locking=True):
        told = subprocess.run(
            [sys.executable, "-c", reader], capture_output=True, text=True, check=True
        ).stdout
    assert told.count("\n") == 1
    assert "another process is writing it" in told


def test_reading_starts_neither_a_simulator_nor_mpi(tmp_path):
    write_circuit(tmp_path / "c.hdf5")
    write_recording(tmp_path / "r.nio", [[SPIKES]])
    script = """
import json, sys
from pathlib import Path
from cerebellar_models.analysis.read import read_activity, read_circuit
import cerebellar_models.analysis.report
read_circuit(Path("c.hdf5")), read_activity(Path("r.nio"))
print(json.dumps([name for name in ("nest", "mpi4py", "numba", "bsb") if name in sys.modules]))
"""
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(loaded.stdout) == []
