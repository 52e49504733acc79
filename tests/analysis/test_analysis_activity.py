from pathlib import Path

import numpy as np
import pytest
from analysis_samples import TREE, recording

from cerebellar_models.analysis.activity import activity_numbers, population_numbers
from cerebellar_models.analysis.data import Activity
from cerebellar_models.analysis.reference import (
    PublishedRate,
    differences,
    load_reference,
    parse_reference,
)
from cerebellar_models.circuits.counting.rules import OVERLAP
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.errors import UserError


@pytest.mark.parametrize(
    ("trains", "all_cells", "firing", "silent"),
    [
        ({0: [1, 2], 1: [], 2: [5], 3: []}, (1.5, 1.6583), (3.0, 1.0), 2),
        ({0: [1, 2], 7: [3, 4]}, (4.0, 0.0), (4.0, 0.0), 0),
        ({0: [], 1: []}, (0.0, 0.0), (None, None), 2),
    ],
)
def test_rates_over_all_cells_and_over_those_that_fired(trains, all_cells, firing, silent):
    numbers = population_numbers(recording(trains), duration=500.0)
    assert (numbers.rate_all_hz.mean, numbers.rate_all_hz.sd) == pytest.approx(all_cells, abs=1e-4)
    assert (numbers.rate_firing_hz.mean, numbers.rate_firing_hz.sd) == pytest.approx(firing)
    assert (numbers.recorded_cells, numbers.silent_cells) == (len(trains), silent)


@pytest.mark.parametrize(
    ("trains", "mean_isi", "cv"),
    [
        ({0: [0, 10, 20, 30]}, 10, 0),
        ({0: [0, 10, 40]}, 20, 0.5),  # intervals 10 and 30: mean 20, sd 10
        ({0: [40, 0, 10]}, 20, 0.5),  # in any order
        ({0: [0, 10], 1: [0, 30]}, 20, None),  # a single interval does not vary
        ({0: [0, 10, 20], 1: [5, 105]}, 55, 0),  # averaged over cells, not over intervals
        ({0: [100], 1: [200], 2: []}, None, None),  # no interval spans two cells
    ],
)
def test_intervals_of_known_trains(trains, mean_isi, cv):
    numbers = population_numbers(recording(trains), duration=1000.0)
    assert (numbers.mean_isi_ms, numbers.cv_isi) == (
        mean_isi if mean_isi is None else pytest.approx(mean_isi),
        cv if cv is None else pytest.approx(cv),
    )


def test_intervals_of_a_poisson_train_vary_as_much_as_their_mean():
    times = np.cumsum(np.random.default_rng(3).exponential(10, 20_000))
    numbers = population_numbers(recording({4: list(times)}), duration=float(times[-1]))
    assert numbers.mean_isi_ms == pytest.approx(10, rel=0.03)
    assert numbers.cv_isi == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("duration", [7.0, 500.0, 5000.0, 60_000.0])
def test_histogram_holds_every_spike_and_stays_short(duration):
    times = np.random.default_rng(5).uniform(0, duration, 400)
    histogram = population_numbers(recording({0: list(times), 1: []}), duration).histogram
    edges = np.append(np.arange(len(histogram.rates_hz)) * histogram.bin_ms, duration)
    assert np.sum(np.array(histogram.rates_hz) * np.diff(edges)) * 2 / 1000 == pytest.approx(400)
    assert len(histogram.rates_hz) <= 1000


@pytest.mark.parametrize(
    ("published", "within"), [(10, True), (13, True), (14, False), (8.1, True), (7.9, False)]
)
def test_the_tolerance_holds_for_the_cells_that_fired(published, within):
    trains = {0: list(range(10)), 1: []}  # 10 Hz among those that fired, 5 Hz among all
    numbers = population_numbers(recording(trains), 1000.0, PublishedRate(published, None, None), 0.25)
    assert numbers.comparison.rate_deviation == pytest.approx(10 / published - 1)
    assert numbers.comparison.within_tolerance is within
    assert numbers.comparison.isi_deviation is None


def test_a_population_that_never_fires_is_outside_its_published_rate():
    comparison = population_numbers(recording({0: []}), 1000.0, PublishedRate(4, 1, 250), 0.25).comparison
    assert (comparison.rate_deviation, comparison.within_tolerance) == (-1, False)


CANONICAL = TREE | {"network": {"x": 300.0, "y": 200.0}}


def _activity(name="basal_activity", duration=5000.0, synapse="static_synapse"):
    tree = {"simulator": "nest", "connection_models": {"a": {"synapses": [{"model": synapse}]}}}
    return Activity(name, duration, tree, (recording({0: [1.0]}), recording({0: []}, "glomerulus")))


def test_published_rates_of_the_mouse_are_found_by_state_and_paradigm():
    reference = load_reference("mouse")
    granule, glomerulus = activity_numbers("run", _activity(), "in_vitro", reference).populations
    assert granule.comparison.published == PublishedRate(3.4, 3.4, 330)
    assert glomerulus.comparison is None
    assert reference.rates("awake", "basal_activity")["purkinje_cell"].mean_rate_hz == 91
    assert reference.tolerance == 0.25
    for state, activity in (
        ("in_vitro", _activity("mf_stimulus")),
        ("asleep", _activity()),
        (None, _activity()),
    ):
        numbers = activity_numbers("run", activity, state, reference)
        assert all(population.comparison is None for population in numbers.populations)


def test_a_species_without_published_rates_has_no_reference():
    assert load_reference("axolotl") is None


def _told(activity: Activity, circuit: dict) -> dict[str, str]:
    found = differences(load_reference("mouse").conditions, activity, circuit)
    return {each.label: each.sentence for each in found}


def test_what_differs_from_the_published_conditions_is_told():
    assert _told(_activity(), CANONICAL) == {}
    short = _told(_activity(duration=500.0), TREE)
    assert list(short) == ["duration", "extent"]
    assert "5\u202f000 ms, simulated for 500 ms" in short["duration"]
    assert "300 x 200 µm, simulated in 100 x 50 µm" in short["extent"]
    circuit = CANONICAL | {"connectivity": {"a": {"strategy": OVERLAP.path}}}
    assert list(_told(_activity(), circuit)) == ["self-connections"]
    circuit["connectivity"]["a"]["self_connections"] = True
    assert _told(_activity(), circuit) == {}


@pytest.mark.parametrize(
    ("parts", "neurons", "synapses", "labels"),
    [
        ((), "eglif_cond_alpha_multisyn", "static_synapse", []),
        (("dcn", "io"), "eglif_cond_alpha_multisyn", "static_synapse", []),
        ((), "eglif_cond_alpha_multisyn", "tsodyks2_synapse", ["synapse model tsodyks2_synapse"]),
        ((), "eglif_cond_alpha_multisyn", "static_gap_junctions", ["synapse model gap_junction"]),
        (("ubc",), "eglif_cond_alpha_multisyn", "static_synapse", ["with unipolar brush cell"]),
        (
            (),
            "eglif_multirec",
            "multirec_tsodyks_synapse",
            ["neuron model eglif_multirec", "synapse model tsodyks_synapse"],
        ),
    ],
)
def test_other_models_than_the_published_are_named(parts, neurons, synapses, labels):
    """Of what the catalogue offers, as it is composed."""
    _, tree = resolve(
        "mouse", parts=parts, neuron_model=neurons, synapse_model=synapses, self_connections=True
    )
    recorded = tuple(recording({0: [1.0]}, name) for name in ("granule_cell", "unipolar_brush_cell"))
    activity = Activity("basal_activity", 5000.0, tree["simulations"]["basal_activity"], recorded)
    reference = load_reference("mouse")
    found = differences(reference.conditions, activity, tree)
    assert [each.label for each in found] == labels
    granule, brush = activity_numbers("run", activity, "in_vitro", reference, found).populations
    assert granule.comparison.other_conditions == tuple(labels)
    assert granule.comparison.within_tolerance is (None if labels else False)
    assert brush.comparison.other_conditions == tuple(each for each in labels if "unipolar" not in each)


def test_awake_mossy_fibres_are_compared():
    activity = Activity("basal_activity", 1000.0, {}, (recording({0: [1, 2, 3, 4, 5]}, "mossy_fibers"),))
    (fibres,) = activity_numbers("run", activity, "awake", load_reference("mouse")).populations
    assert fibres.comparison.published == PublishedRate(4.0, 1.4, None)
    assert (fibres.comparison.rate_deviation, fibres.comparison.within_tolerance) == (0.25, True)


def test_a_reference_that_lacks_a_key_is_named():
    with pytest.raises(UserError, match=r"here\.yaml: has no 'conditions'"):
        parse_reference({"tolerance": 0.25}, Path("here.yaml"))
