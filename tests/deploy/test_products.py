"""What a simulation left is kept only when every recorder of it left something."""

import copy

import pytest
from analysis.analysis_samples import TREE, recording, trace, write_circuit, write_recording

from cerebellar_models.deploy.products import keep_results
from cerebellar_models.deploy.run_folder import RunFolder
from cerebellar_models.errors import RunError

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
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        if recordings:
            write_recording(scratch / "r.nio", [list(recordings)])
        keep_results(folder, scratch, "basal_activity", "basal_activity", tmp_path / "simulate.log")
        return folder.results / "basal_activity"

    return keep


def test_whole_results_are_moved(kept, tmp_path):
    assert [path.name for path in kept(SPIKES, CURRENT).iterdir()] == ["r.nio"]
    assert not (tmp_path / "scratch").exists()


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
    assert not (tmp_path / "run" / "results" / "basal_activity").exists()
