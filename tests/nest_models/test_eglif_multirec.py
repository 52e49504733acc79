"""The multi-receptor E-GLIF model against its equations, and its parameter and synapse sets."""

import multirec_reference as reference
import numpy as np
import pytest
import yaml
from multirec_reference import RECEPTORS
from reference import STEP, Input

from cerebellar_models.installation import bundle_folder

MODEL = "eglif_multirec"
DELAY = 1.0
MOUSE = bundle_folder("configurations") / "mouse"
CELLS = yaml.safe_load((MOUSE / "neurons" / f"{MODEL}.yaml").read_text())["constants"]["in_vitro"]
SETS = ("multirec_static_synapse", "multirec_tsodyks_synapse")
NEVER = 1e9
"""mV, a threshold out of reach"""


def create(nest, name, **changes):
    """A cell of the mouse at 3 mV above its lowest initial potential, and all its parameters."""
    cell = CELLS[name] | {"V_m": CELLS[name]["V_m"]["min"] + 3.0} | changes
    neuron = nest.Create(MODEL, params=cell)
    return neuron, {name: value for name, value in neuron.get().items() if isinstance(value, int | float)}


def stimulate(nest, neuron, inputs):
    for spike in inputs:
        source = nest.Create("spike_generator", params={"spike_times": [round(spike.time - DELAY, 1)]})
        synapse = {"weight": spike.weight, "delay": DELAY, "receptor_type": spike.receptor}
        nest.Connect(source, neuron, syn_spec=synapse)


def record(nest, neuron, names, duration):
    """Values after each time step, the first one at 0.1 ms."""
    meter = nest.Create("multimeter", params={"record_from": names, "interval": 0.1})
    nest.Connect(meter, neuron)
    nest.Simulate(duration + DELAY)
    events = meter.get("events")
    return {name: events[name] for name in ["times", *names]}


def spike_times(nest, neuron, duration):
    recorder = nest.Create("spike_recorder")
    nest.Connect(neuron, recorder, syn_spec={"delay": DELAY})
    nest.Simulate(duration)
    return recorder.get("events")["times"]


def random_inputs(weight):
    rng = np.random.default_rng(7)
    return [
        Input(float(time), receptor, float(weight * rng.uniform(0.5, 1)))
        for receptor in range(1, 6)
        for time in np.unique(rng.uniform(5, 100, 10).round(1))
    ]


@pytest.mark.parametrize("weight", [1.0, 50.0])
@pytest.mark.parametrize("name", CELLS)
def test_potential_stays_within_a_tenth_of_a_millivolt(nest, name, weight):
    # Fifty synapses at once take interneurons to the reversal potential within a step.
    neuron, cell = create(nest, name, V_th=NEVER)
    inputs = random_inputs(weight)
    stimulate(nest, neuron, inputs)
    trace = record(nest, neuron, ["V_m"], 120.0)
    expected, _ = reference.run(cell, 122.0, inputs)
    error = np.abs(trace["V_m"] - expected[np.round(trace["times"] / STEP).astype(int)])
    assert np.ptp(expected) > 20
    assert error.max() < (0.002 if weight == 1 else 0.1)


@pytest.mark.parametrize("name", CELLS)
def test_spikes_at_threshold_as_the_reference_does(nest, name):
    # The current takes every cell to threshold within the first half of the time.
    current = {"granule_cell": 15.0, "golgi_cell": 100.0, "purkinje_cell": 500.0}.get(name, 10.0)
    neuron, cell = create(nest, name, I_e=CELLS[name]["I_e"] + current)
    _, expected = reference.run(cell, 200.0)
    times = spike_times(nest, neuron, 201.0)
    assert abs(len(times) - len(expected)) <= 0.02 * len(expected) + 1
    assert len(times) > 2
    # A spike waits for the end of its step; what it waited for adds up over the intervals.
    first = min(len(times), len(expected), 5)
    assert np.abs(times[:first] - expected[:first]).max() < 0.1 * (first + 1)


def test_threshold_spiking_draws_no_random_numbers(nest):
    trains = []
    for seed in (1, 2):
        nest.rng_seed = seed
        neuron, _ = create(nest, "golgi_cell", I_e=150.0)
        start = nest.biological_time
        trains.append(spike_times(nest, neuron, 100.0) - start)
    assert len(trains[0]) > 2
    assert trains[0] == pytest.approx(trains[1])


def test_stochastic_spiking_has_the_intensity_of_its_parameters(nest):
    # V stays 1 mV under V_th, so that the intensity is 0.2/e per ms and no cell spikes at threshold.
    cell = {"k_adap": 0.0, "tau_m": 1e9, "V_m": -51.0, "V_reset": -51.0, "V_th": -50.0, "E_L": -51.0}
    cell |= {"A1": 0.0, "A2": 0.0, "lambda_0": 0.2, "tau_V": 1.0}
    neurons = nest.Create(MODEL, 200, params=cell)
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder, syn_spec={"delay": DELAY})
    nest.Simulate(100.0)
    assert recorder.n_events == 0
    neurons.stochastic_spiking = True
    nest.Simulate(500.0)
    expected = 200 * 500 * 0.2 / np.e
    assert recorder.n_events == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.01 * expected)


@pytest.mark.parametrize("receptor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", CELLS)
def test_conductance_is_the_sum_of_two_decays_over_a_rise(nest, name, receptor):
    # A strong unblocking leaves of NMDA the conductance without its magnesium block.
    neuron, cell = create(nest, name, V_th=NEVER, v0_block=-1e4)
    stimulate(nest, neuron, [Input(5.0, receptor, 1.7)])
    trace = record(nest, neuron, [f"g_{other}" for other in RECEPTORS], 40.0)
    label = RECEPTORS[receptor - 1]
    since = np.maximum(trace["times"] - 5.0, 0)
    rise = cell[f"{label}_A_r"] / cell[f"{label}_Tau_r"]
    expected = np.zeros_like(since)
    for i in (1, 2):
        decay = 1 / cell[f"{label}_Tau_d{i}"]
        expected += cell[f"{label}_A{i}"] * (np.exp(-decay * since) - np.exp(-rise * since)) / (rise - decay)
    expected *= 1.7 * cell[f"{label}_g_init"]
    assert trace[f"g_{label}"] == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert expected.max() > 0
    for other in set(RECEPTORS) - {label}:
        assert trace[f"g_{other}"].max() == 0


def test_equal_rates_of_rise_and_decay_are_no_singularity(nest):
    cell = {"AMPA_A_r": 2.0, "AMPA_Tau_r": 4.0, "AMPA_Tau_d1": 2.0, "AMPA_A2": 0.0, "V_th": NEVER}
    neuron = nest.Create(MODEL, params=cell)
    stimulate(nest, neuron, [Input(5.0, 1, 1.0)])
    trace = record(nest, neuron, ["g_AMPA", "V_m"], 20.0)
    since = np.maximum(trace["times"] - 5.0, 0)
    expected = neuron.AMPA_g_init * neuron.AMPA_A1 * since * np.exp(-since / 2)
    assert trace["g_AMPA"] == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert np.isfinite(trace["V_m"]).all()


def test_peak_scales_with_the_weight(nest):
    peaks = []
    for weight in (0.5, 1.5):
        neuron, _ = create(nest, "granule_cell", V_th=NEVER)
        stimulate(nest, neuron, [Input(nest.biological_time + 5.0, 1, weight)])
        peaks.append(record(nest, neuron, ["g_AMPA"], 20.0)["g_AMPA"].max())
    assert peaks[1] == pytest.approx(3 * peaks[0], rel=1e-12)


def test_synaptic_currents_are_those_of_the_membrane_equation(nest):
    neuron, cell = create(nest, "golgi_cell", V_th=NEVER)
    stimulate(nest, neuron, random_inputs(1.0))
    names = ["V_m", *(f"g_{receptor}" for receptor in RECEPTORS), "I_syn_ampa", "I_syn_nmda", "I_syn_gaba"]
    trace = record(nest, neuron, names, 60.0)
    current = {r: trace[f"g_{r}"] * (cell[f"{r}_E_rev"] - trace["V_m"]) for r in RECEPTORS}
    assert trace["I_syn_ampa"] == pytest.approx(current["AMPA"] + current["AMPA2"] + current["AMPA3"])
    assert trace["I_syn_nmda"] == pytest.approx(current["NMDA"])
    assert trace["I_syn_gaba"] == pytest.approx(current["GABA"])
    assert trace["I_syn_ampa"].max() > 1


@pytest.mark.parametrize(("t_ref", "unblocked_steps"), [(2.0, 5), (0.3, 3), (0.0, 0)])
def test_spike_unblocks_nmda_for_a_while(nest, t_ref, unblocked_steps):
    neuron, cell = create(nest, "granule_cell", t_ref=t_ref, V_th=NEVER)
    stimulate(nest, neuron, [Input(5.0, 2, 10.0)])
    nest.Simulate(20.0)
    neuron.V_th = -200.0  # the next step spikes
    trace = record(nest, neuron, ["V_m", "NMDA_d1", "NMDA_d2", "g_NMDA"], 4.0)
    open_part = trace["g_NMDA"] / (trace["NMDA_d1"] + trace["NMDA_d2"])
    block = 1 / (1 + np.exp((cell["v0_block"] - trace["V_m"]) / cell["k_block"]))
    unblocked = 1 / (1 + np.exp((cell["v0_block"] - cell["V_Mg_Unblock"]) / cell["k_block"]))
    # Both potentials while the spike lasts, that of the membrane afterwards, until the next spike.
    period = max(1, round(t_ref / 0.1) + 1)
    assert open_part[:unblocked_steps] == pytest.approx(unblocked)
    assert open_part[unblocked_steps:period] == pytest.approx(block[unblocked_steps:period])


def test_spike_resets_and_adapts_then_holds(nest):
    cell = {"V_th": -60.0, "V_reset": -75.0, "V_m": -50.0, "t_ref": 2.0, "E_L": -70.0}
    cell |= {"A1": 50.0, "A2": 30.0, "k_adap": 0.0, "k_1": 0.5, "k_2": 0.25, "I_e": 1e5}
    neuron = nest.Create(MODEL, params=cell)
    spikes = nest.Create("spike_recorder")
    nest.Connect(neuron, spikes, syn_spec={"delay": DELAY})
    trace = record(nest, neuron, ["V_m", "I_adap", "I_dep"], 20.0)
    times = spikes.get("events")["times"]
    assert times[0] == pytest.approx(0.1)
    assert np.diff(times) == pytest.approx(2.1)  # the refractory time, and one step to fire in
    assert np.all(trace["V_m"][:21] == -75.0)
    assert trace["I_dep"][[0, 10]] == pytest.approx([50.0, 50.0 * np.exp(-0.5)])
    assert trace["I_adap"][[0, 10]] == pytest.approx([30.0, 30.0 * np.exp(-0.25)])
    assert trace["I_adap"][21] == pytest.approx(30.0 + 30.0 * np.exp(-0.25 * 2.1))


def test_potential_does_not_fall_below_v_min(nest):
    neuron = nest.Create(MODEL, params={"I_e": -1e5, "V_m": -60.0})
    assert record(nest, neuron, ["V_m"], 10.0)["V_m"].min() == -150.0
    # Without the bound the published interneurons run away downwards from inhibition, for good.
    neuron, _ = create(nest, "basket_cell", I_e=-20.0)
    assert record(nest, neuron, ["V_m"], 500.0)["V_m"].min() >= -150.0


def test_a_receptor_that_is_not_there_is_refused(nest):
    neuron = nest.Create(MODEL)
    source = nest.Create("spike_generator", params={"spike_times": [1.0]})
    for receptor in (0, 6):
        with pytest.raises(Exception, match=r"[Rr]eceptor"):
            nest.Connect(source, neuron, syn_spec={"receptor_type": receptor})


def test_parameters_and_rows_are_known_to_nest(nest):
    known = nest.GetDefaults(MODEL)
    for name, cell in CELLS.items():
        assert set(cell) <= set(known), name
    for set_name in SETS:
        table = yaml.safe_load((MOUSE / "synapses" / f"{set_name}.yaml").read_text())
        assert table["neuron_model"] == MODEL
        for rows in table["synapses"]["in_vitro"].values():
            for row in rows if isinstance(rows, list) else [rows]:
                own = set(row) - {"model"}
                assert own <= set(nest.GetDefaults(row["model"])) | {"receptor_type"}
                assert row["delay"] >= 1.0  # shorter ones slow the whole simulation down
