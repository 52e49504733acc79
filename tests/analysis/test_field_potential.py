"""Proxies of the field potential from currents whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from analysis_samples import trace, write_circuit, write_recording

from cerebellar_models.analysis import field_potential as fp
from cerebellar_models.analysis.data import Activity
from cerebellar_models.analysis.read import read_activity
from cerebellar_models.analysis.report import write_report

STEP = 0.1  # ms
TIMES = STEP * np.arange(1, 4001)  # to 400 ms
ONSET = 120.0
TREE = {"devices": {"volley": {"constants": {"spike_times": [ONSET - 1.0]}, "delay": 1.0}}}


def triangle(start: float, peak: float, end: float, height: float) -> np.ndarray:
    return height * np.interp(TIMES, [start, peak, end], [0, 1, 0], left=0, right=0)


def currents(**courses: np.ndarray) -> dict:
    """Each course in two cells that differ by a tenth."""
    return {
        getattr(fp, name): trace(getattr(fp, name), np.outer(course, [0.9, 1.1]), duration=TIMES[-1])
        for name, course in courses.items()
    }


def responses(found: fp.FieldPotential) -> tuple[fp.Response, fp.Response]:
    by_name = {response.proxy: response for response in found.responses}
    return by_name[fp.SUMMED_CURRENTS], by_name[fp.REFERENCE_WEIGHTED_SUM]


def test_the_sum_is_negative_where_current_flows_in():
    found = fp.field_potential(
        currents(AMPA=triangle(122, 124, 130, 10.0) + 1.0, NMDA=0 * TIMES, GABA=0 * TIMES - 3.0), ONSET
    )
    summed, _ = responses(found)
    assert summed.amplitude == pytest.approx(-10.0)
    assert summed.baseline == pytest.approx(2.0)  # 1 pA in, 3 pA out
    assert summed.peak_ms == pytest.approx(124.0)
    assert summed.latency_ms == pytest.approx(4.0)
    assert summed.half_width_ms == pytest.approx(4.0)  # from 123 to 127 ms
    assert found.cells == 2


def test_nmda_adds_to_the_sum_and_not_to_the_weighted_one():
    ampa, gaba = triangle(122, 124, 130, 10.0), 0 * TIMES
    without, plain = responses(fp.field_potential(currents(AMPA=ampa, GABA=gaba), ONSET))
    summed, weighted = responses(
        fp.field_potential(currents(AMPA=ampa, NMDA=triangle(122, 124, 200, 5.0), GABA=gaba), ONSET)
    )
    assert (without.amplitude, summed.amplitude) == (pytest.approx(-10.0), pytest.approx(-15.0))
    assert weighted == plain


def test_the_weighted_sum_is_that_of_the_paper():
    ampa, gaba = triangle(122, 124, 126, 10.0), triangle(140, 144, 148, -4.0)
    found = fp.field_potential(currents(AMPA=ampa, GABA=gaba), ONSET)
    _, weighted = responses(found)
    assert weighted.peak_ms == pytest.approx(124.0 + 6.0)
    assert weighted.amplitude == pytest.approx(10.0)
    course = np.array(found.courses[fp.REFERENCE_WEIGHTED_SUM])
    at = round((144.0 - found.start_ms) / found.step_ms)
    assert course[at] == pytest.approx(1.65 * 4.0, rel=0.05)


def test_a_deflection_before_the_stimulus_is_no_response():
    ampa = triangle(90, 95, 100, 20.0) + triangle(122, 124, 130, 10.0)
    summed, _ = responses(fp.field_potential(currents(AMPA=ampa, GABA=0 * TIMES), ONSET))
    assert summed.peak_ms == pytest.approx(124.0)


def test_nothing_but_silence_has_no_width():
    summed, weighted = responses(fp.field_potential(currents(AMPA=0 * TIMES, GABA=0 * TIMES), ONSET))
    assert (summed.amplitude, summed.half_width_ms, weighted.half_width_ms) == (0, None, None)


def test_without_a_stimulus_the_largest_deflection_is_found():
    summed, _ = responses(
        fp.field_potential(currents(AMPA=triangle(30, 40, 50, 7.0), GABA=0 * TIMES), onset=None)
    )
    assert (summed.peak_ms, summed.latency_ms) == (pytest.approx(40.0), None)
    assert summed.amplitude == pytest.approx(-7.0)


@pytest.mark.parametrize(
    ("devices", "onset"),
    [
        (TREE["devices"], ONSET),
        ({"noise": {"rate": 4, "delay": 1.0}}, None),
        ({"late": {"start": 200.0, "delay": 1.0}, "early": {"start": 100.0, "delay": 0.5}}, 100.5),
        ({"background": {"start": 0, "delay": 1.0}, "meter": {"constants": None}}, None),
        ({"meter": {"device": "multimeter", "start": 50.0, "delay": 1.0}}, None),
        (
            TREE["devices"] | {"own": {"device": "external", "nest_model": "spike_recorder", "start": 50.0}},
            ONSET,
        ),
    ],
)
def test_the_stimulus_is_the_first_that_sets_in_later(devices, onset):
    assert fp.stimulus_onset({"devices": devices}) == onset


def test_a_recorder_that_starts_late_shifts_no_time(tmp_path):
    late = 100.0  # ms
    course = np.outer(triangle(122, 124, 130, 10.0)[round(late / STEP) :], [0.9, 1.1])
    traces = [
        trace(quantity, values, duration=TIMES[-1] - late, start=late)
        for quantity, values in ((fp.AMPA, course), (fp.GABA, 0 * course))
    ]
    activity = read_activity(write_recording(tmp_path / "r.nio", [traces], duration=400.0))
    summed, _ = responses(fp.field_potential({each.quantity: each for each in activity.traces}, ONSET))
    assert summed.peak_ms == pytest.approx(124.0)
    assert summed.latency_ms == pytest.approx(4.0)


def test_other_quantities_make_no_field_potential():
    activity = Activity("a", 400.0, TREE, (), (trace("V_m", np.zeros((4000, 2))),))
    assert fp.field_potentials(activity) == ()


def test_the_report_shows_it(tmp_path):
    traces = currents(AMPA=triangle(122, 124, 130, 10.0), NMDA=0 * TIMES, GABA=0 * TIMES)
    recorded = write_recording(tmp_path / "r.nio", [list(traces.values())], duration=400.0)
    files = write_report(
        Path(tmp_path / "out"), write_circuit(tmp_path / "c.hdf5"), {"basal_activity": recorded}, {}
    )
    (told,) = json.loads(files.json.read_text())["simulations"][0]["field_potentials"]
    assert told["responses"][0]["amplitude"] == pytest.approx(-10.0, rel=0.01)
    assert len(told["courses"][fp.AMPA]) <= 1500 + 1
    text = files.html.read_text()
    assert "Field potential" in text
    assert "doi:10.1371/journal.pcbi.1004584" in text
    assert "|AMPA| 6 ms late plus 1.65 " in text
    assert 'id="field-0-0"' in text
