"""The populations answer the two stimuli as published (De Schepper 2022, Geminiani 2024; a minute or two)."""

import json

import numpy as np
import pytest
from support import command_line

from cerebellar_models.analysis.read import read_activity

pytestmark = pytest.mark.scientific
SIMULATIONS = ("mf_stimulus", "mf_cf_stimulus")
BASELINE = (400.0, 1000.0)  # ms, after the initial transient, before either stimulus


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, nest_installed):
    """By simulation and cell type, of half the canonical extent with nuclei and olive."""
    folder = tmp_path_factory.mktemp("responses")
    flags = ["--size", "200", "150", "--state", "awake", "--part", "io", "--duration", "1400"]
    flags += [flag for name in SIMULATIONS for flag in ("--simulation", name)]
    done = command_line("run", *flags, "-o", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((folder / "run" / "report.json").read_text())["simulations"]) == 2
    return {
        name: {
            entry.cell_type: entry
            for entry in read_activity(list((folder / "run" / "results" / name).glob("*.nio"))).recordings
        }
        for name in SIMULATIONS
    }


def rate(recording, begin: float, end: float) -> float:
    """Hz, over all cells."""
    spikes = np.count_nonzero((recording.spike_times >= begin) & (recording.spike_times < end))
    return spikes / len(recording.cells) / (end - begin) * 1e3


@pytest.mark.parametrize(
    ("cell_type", "least"),
    [
        ("granule_cell", 3.0),
        ("golgi_cell", 1.5),
        ("purkinje_cell", 1.1),
        ("basket_cell", 1.5),
        ("stellate_cell", 1.5),
    ],
)
def test_the_cortex_follows_a_burst_of_the_mossy_fibres(recordings, cell_type, least):
    recording = recordings["mf_stimulus"][cell_type]
    # The burst is at 1200-1260 ms; parallel fibres take 5 ms.
    assert rate(recording, 1205, 1265) > least * rate(recording, *BASELINE)


def test_the_olive_fires_for_its_stimulus_alone(recordings):
    olive = recordings["mf_cf_stimulus"]["io"]
    assert len(olive.spike_times)
    assert olive.spike_times.min() >= 1250
    assert olive.spike_times.max() < 1280
    assert set(olive.spike_cells) == set(olive.cells)
    assert not len(recordings["mf_stimulus"]["io"].spike_times)


def test_purkinje_cells_burst_on_climbing_fibre_input(recordings):
    purkinje = recordings["mf_cf_stimulus"]["purkinje_cell"]
    assert rate(purkinje, 1254, 1270) > 2 * rate(purkinje, *BASELINE)


def test_the_nuclei_answer_after_the_burst(recordings):
    """Collaterals of the climbing fibres excite them; then the Purkinje cells make the projecting ones pause."""
    projecting, olivary = (recordings["mf_cf_stimulus"][name] for name in ("dcn_p", "dcn_i"))
    assert rate(projecting, 1254, 1264) > 1.2 * rate(projecting, *BASELINE)
    assert rate(projecting, 1264, 1280) < 0.8 * rate(projecting, *BASELINE)
    assert rate(olivary, 1258, 1280) > 2 * rate(olivary, *BASELINE)
