"""The E-GLIF model against its equations."""

import numpy as np
import pytest
import reference
from eglif_cells import CELLS

MODEL = "eglif_cond_alpha_multisyn"
DELAY = 1.0


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


def random_inputs(weight):
    rng = np.random.default_rng(7)
    return [
        reference.Input(float(time), receptor, float(weight * rng.uniform(0.5, 1)))
        for receptor in (1, 2, 3, 4)
        for time in np.unique(rng.uniform(5, 100, 10).round(1))
    ]


@pytest.mark.parametrize("weight", [1.0, 200.0])
@pytest.mark.parametrize("name", CELLS)
def test_potential_stays_within_a_tenth_of_a_millivolt(nest, name, weight):
    # 200 nS is what the many contacts of a climbing fibre add up to, a hundred times an interneuron's leak.
    cell = CELLS[name] | {"lambda_0": 0.0}
    inputs = random_inputs(weight)
    neuron = nest.Create(MODEL, params=cell)
    stimulate(nest, neuron, inputs)
    trace = record(nest, neuron, ["V_m"], 120.0)
    expected = reference.potential(cell, 122.0, inputs)
    error = np.abs(trace["V_m"] - expected[np.round(trace["times"] / reference.STEP).astype(int)])
    assert error.max() < 0.02


@pytest.mark.parametrize("model", [MODEL, "eglif_multirec"])
def test_an_input_beyond_all_measure_leads_to_its_reversal_potential(nest, model):
    neuron = nest.Create(model, params={"V_th": 1e9, "V_m": -60.0})
    stimulate(nest, neuron, [reference.Input(5.0, 1, 1e13)])
    trace = record(nest, neuron, ["V_m"], 10.0)
    assert trace["V_m"][40] < -20
    assert trace["V_m"][60:80] == pytest.approx(0.0, abs=0.1)


def test_rates_at_rest_and_with_current(nest):
    # Currents from half to twice the rheobase or so of each cell, in pA.
    extra = {
        "granule_cell": (6.0, 12.0),
        "golgi_cell": (0.0, 200.0),
        "purkinje_cell": (0.0, 500.0),
        "purkinje_cell_awake": (0.0, 500.0),
        "basket_cell": (0.0, 15.0),
        "stellate_cell": (0.0, 30.0),
    }
    cases = [(CELLS[name], current) for name, currents in extra.items() for current in currents]
    warm_up, duration, trials = 200.0, 800.0, 24
    expected = reference.rates(cases, trials, warm_up, duration, seed=3)
    recorders = []
    for cell, current in cases:
        neurons = nest.Create(MODEL, 10 * trials, params=cell)
        recorder = nest.Create("spike_recorder", params={"start": warm_up})
        nest.Connect(neurons, recorder, syn_spec={"delay": DELAY})
        source = nest.Create("dc_generator", params={"amplitude": current})
        nest.Connect(source, neurons, syn_spec={"delay": DELAY})
        recorders.append(recorder)
    nest.Simulate(warm_up + duration)
    for (_, current), recorder, reference_rate in zip(cases, recorders, expected, strict=True):
        rate = recorder.n_events / (10 * trials) / duration * 1e3
        # The error of the mean, 2 % for spikes that wait for the end of a 0.1 ms step, a third of a spike
        # for the window.
        tolerance = 3.5 * reference_rate.error + 0.02 * reference_rate.mean + 0.33 / duration * 1e3
        assert rate == pytest.approx(reference_rate.mean, abs=tolerance), current
        assert reference_rate.mean > 1


@pytest.mark.parametrize("receptor", [1, 2, 3, 4])
def test_conductance_peaks_at_the_weight_after_tau_syn(nest, receptor):
    cell = {f"tau_syn{receptor}": 2.5, "lambda_0": 0.0}
    neuron = nest.Create(MODEL, params=cell)
    stimulate(nest, neuron, [reference.Input(5.0, receptor, 1.7)])
    trace = record(nest, neuron, ["g1", "g2", "g3", "g4"], 20.0)
    conductance = trace[f"g{receptor}"]
    assert conductance.max() == pytest.approx(1.7, rel=1e-9)
    assert trace["times"][conductance.argmax()] == pytest.approx(7.5)
    for other in {1, 2, 3, 4} - {receptor}:
        assert trace[f"g{other}"].max() == 0


def test_spike_resets_and_adapts_then_holds(nest):
    # With this intensity and current the cell fires in the first step that it may.
    cell = {"V_th": -60.0, "V_reset": -75.0, "V_m": -50.0, "lambda_0": 1e6, "t_ref": 2.0, "E_L": -70.0}
    cell |= {"A1": 50.0, "A2": 30.0, "k_adap": 0.0, "k_1": 0.5, "k_2": 0.25, "I_e": 1e5}
    neuron = nest.Create(MODEL, params=cell)
    spikes = nest.Create("spike_recorder")
    nest.Connect(neuron, spikes, syn_spec={"delay": DELAY})
    trace = record(nest, neuron, ["V_m", "I_adap", "I_dep"], 20.0)
    times = spikes.get("events")["times"]
    assert times[0] == pytest.approx(0.1)
    assert np.diff(times) == pytest.approx(2.1)  # the refractory time, and one step to fire in
    held = (trace["times"] > times[0] - 0.01) & (trace["times"] < times[0] + 2.01)
    assert held.sum() == 21
    assert np.all(trace["V_m"][held] == -75.0)
    assert trace["I_adap"][0] == pytest.approx(30.0)
    assert trace["I_dep"][0] == pytest.approx(50.0)
    assert trace["I_dep"][10] == pytest.approx(50.0 * np.exp(-0.5))
    assert trace["I_adap"][10] == pytest.approx(30.0 * np.exp(-0.25))
    second = np.flatnonzero(np.isclose(trace["times"], times[1]))[0]
    assert trace["I_adap"][second] == pytest.approx(30.0 + 30.0 * np.exp(-0.25 * 2.1))
    assert trace["I_dep"][second] == pytest.approx(50.0)


def test_potential_does_not_fall_below_v_min(nest):
    neuron = nest.Create(MODEL, params={"I_e": -1e5, "V_min": -90.0, "lambda_0": 0.0})
    assert record(nest, neuron, ["V_m"], 10.0)["V_m"].min() == -90.0


def test_generators_of_current_drive_the_membrane(nest):
    cell = {"lambda_0": 0.0, "k_adap": 0.0, "tau_m": 1e9, "C_m": 100.0, "V_m": -60.0}
    steady, noisy = nest.Create(MODEL, params=cell), nest.Create(MODEL, params=cell)
    dc = nest.Create("dc_generator", params={"amplitude": 50.0})
    noise = nest.Create("noise_generator", params={"mean": 50.0, "std": 40.0})
    nest.Connect(dc, steady, syn_spec={"delay": DELAY, "weight": 2.0})
    nest.Connect(noise, noisy, syn_spec={"delay": DELAY})
    nest.Simulate(11.0)  # the current arrives after the delay
    assert steady.V_m == pytest.approx(-60.0 + 10.0, abs=0.15)
    assert noisy.V_m != pytest.approx(-55.0, abs=1e-6)
    assert noisy.V_m == pytest.approx(-55.0, abs=8.0)


def test_bad_input_is_refused(nest):
    neuron = nest.Create(MODEL)
    for parameter, value in {"C_m": 0.0, "tau_syn3": -1.0, "tau_V": 0.0, "E_L": float("nan")}.items():
        with pytest.raises(Exception, match=parameter[:7]):
            neuron.set({parameter: value})
    source = nest.Create("spike_generator", params={"spike_times": [1.0]})
    with pytest.raises(Exception, match=r"[Rr]eceptor"):
        nest.Connect(source, neuron, syn_spec={"receptor_type": 5})
    nest.Connect(source, neuron, syn_spec={"receptor_type": 2, "weight": -1.0})
    with pytest.raises(Exception, match="weights >= 0"):
        nest.Simulate(5.0)
