"""Recorders that are told of spikes without a connection, relays, and inputs that arrive long after they were sent."""

import numpy as np
import pytest
from test_gap_junctions import restart

EGLIF = ("eglif_cond_alpha_multisyn", "eglif_multirec")
DRIVEN = {  # fire some 50 times a second
    "eglif_cond_alpha_multisyn": {"I_e": 400.0, "t_ref": 2.0},
    "eglif_multirec": {"I_e": 600.0, "t_ref": 2.0},
    "relay_neuron": {},
}


def events(recorder):
    """Its spikes (sender, time in ms), sorted."""
    found = recorder.get("events")
    return sorted(zip(found["senders"].tolist(), found["times"].tolist(), strict=True))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("model", DRIVEN)
def test_a_recorder_is_told_what_a_connection_brings(nest, model, threads):
    restart(nest, local_num_threads=threads)
    neurons = nest.Create(model, 10, params=DRIVEN[model])
    if model == "relay_neuron":
        noise = nest.Create("poisson_generator", params={"rate": 12_000.0})  # often several in a time step
        nest.Connect(noise, neurons)
    window = {"start": 20.0, "stop": 150.0}
    connected, told = (nest.Create("spike_recorder", params=window) for _ in range(2))
    nest.Connect(neurons, connected, syn_spec={"delay": 1.0})
    neurons[2:9].set({"spike_recorder": told.global_id})
    nest.Simulate(200.0)
    expected = [event for event in events(connected) if event[0] in neurons[2:9].tolist()]
    assert len({sender for sender, _ in expected}) == 7
    assert events(told) == expected


@pytest.mark.parametrize("model", DRIVEN)
def test_only_a_spike_recorder_is_told(nest, model):
    meter, recorder = nest.Create("multimeter"), nest.Create("spike_recorder")
    neuron = nest.Create(model)
    for wrong in (meter.global_id, neuron.global_id, 99, -1):
        with pytest.raises(Exception, match="spike_recorder is the id of a spike_recorder, or 0"):
            neuron.set({"spike_recorder": wrong})
    assert neuron.get("spike_recorder") == 0
    neuron.set({"spike_recorder": recorder.global_id})
    neuron.set({"spike_recorder": 0})
    nest.Simulate(5.0)
    assert recorder.n_events == 0


def test_a_relay_is_a_parrot(nest):
    relays = nest.Create("relay_neuron"), nest.Create("parrot_neuron")
    sources = nest.Create("poisson_generator", 2, params=[{"rate": 3000.0}, {"rate": 40.0}])
    both = nest.Create("parrot_neuron", 2)  # the same spikes for both
    nest.Connect(sources, both, "one_to_one")
    recorders = nest.Create("spike_recorder", 2)
    for relay, recorder in zip(relays, recorders, strict=True):
        nest.Connect(both[0], relay, syn_spec={"delay": 1.5})
        nest.Connect(both[0], relay, syn_spec={"delay": 40.0, "weight": -3.0})
        nest.Connect(both[1], relay, syn_spec={"receptor_type": 1})  # heard, not repeated
        nest.Connect(relay, recorder)
    nest.Simulate(300.0)
    relayed, repeated = ([time for _, time in events(recorder)] for recorder in recorders)
    assert len(repeated) > 1000
    assert relayed == repeated
    with pytest.raises(Exception, match="Receptor type 2 is not available"):
        nest.Connect(both[0], relays[0], syn_spec={"receptor_type": 2})


@pytest.mark.parametrize("delays", [(1.0, 1.6), (0.1, 3.2, 170.0), (5.0, 40.0, 41.0, 300.0)], ids=str)
def test_spikes_arrive_after_their_delay_however_long(nest, delays):
    """Two spikes in one step are one with twice the weight; steps between are kept apart while the buffer grows."""
    times = np.unique(np.random.default_rng(3).uniform(1, 250, 150).round(1))
    source = nest.Create("spike_generator", params={"spike_times": times})
    relay = nest.Create("relay_neuron")
    for delay in delays:
        nest.Connect(source, relay, syn_spec={"delay": delay})
    recorder = nest.Create("spike_recorder")
    relay.set({"spike_recorder": recorder.global_id})
    nest.Simulate(600.0)
    expected = sorted(round(time + delay, 1) for time in times for delay in delays)
    assert [round(time, 1) for _, time in events(recorder)] == expected


@pytest.mark.parametrize("model", EGLIF)
def test_a_slow_input_changes_no_fast_one(nest, model):
    """The potential under fast inputs is the same to the last digit while slow ones make the buffer grow."""
    traces = []
    for slow in (False, True):
        restart(nest)
        neuron = nest.Create(model, params={"V_th": 1e9})
        for receptor in (1, 2, 3, 4):
            source = nest.Create("spike_generator", params={"spike_times": [5.0 * receptor, 50.0, 71.3]})
            nest.Connect(source, neuron, syn_spec={"weight": 1.0, "delay": 2.0, "receptor_type": receptor})
        meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 0.1})
        nest.Connect(meter, neuron)
        for time, delay in ((6.0, 200.0), (51.0, 400.0)) if slow else ():
            source = nest.Create("spike_generator", params={"spike_times": [time]})
            nest.Connect(source, neuron, syn_spec={"weight": 1.0, "delay": delay, "receptor_type": 1})
        nest.Simulate(480.0)
        traces.append(dict(zip(meter.events["times"].round(1), meter.events["V_m"], strict=True)))
    fast, both = ([trace[time] for time in sorted(traces[0])] for trace in traces)
    before = sum(time < 206.0 for time in traces[0])
    assert fast[:before] == both[:before]
    assert fast[before + 5] < both[before + 5]
