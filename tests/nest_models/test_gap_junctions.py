"""Coupled E-GLIF neurons against their equations, integrated together by Runge-Kutta."""

import json
import os
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from eglif_cells import CELLS as ALPHA_CELLS
from support import missing, on_ranks_environment
from test_eglif_multirec import CELLS as MULTIREC_CELLS

from cerebellar_models.runs import launch

STEP = 0.01  # ms, of the reference
NEVER = 1e9  # mV, a threshold out of reach
# The Golgi cell of each model: one spikes with an intensity, the other at its threshold.
GOLGI = {
    "eglif_cond_alpha_multisyn": ALPHA_CELLS["golgi_cell"],
    "eglif_multirec": MULTIREC_CELLS["golgi_cell"] | {"V_m": -62.0},
}
QUIET = {"eglif_cond_alpha_multisyn": {"lambda_0": 0.0}, "eglif_multirec": {"V_th": NEVER}}
MODELS = list(GOLGI)


def reference(cells, weights, duration, currents):
    """V in mV (steps, cells) and spike times of cells that fire at ``V_th``.

    :param weights: nS, a symmetric matrix.
    """
    p = {name: np.array([cell[name] for cell in cells]) for name in cells[0] if name in USED}
    state = np.array([p["V_m"], 0 * p["V_m"], 0 * p["V_m"]])
    held_until = np.zeros(len(cells))
    potentials, spikes = [state[0].copy()], [[] for _ in cells]

    def change(y, free):
        v, adap, dep = y
        coupling = weights @ v - weights.sum(axis=1) * v
        current = dep - adap + p["I_e"] + currents + coupling
        away = v - p["E_L"]
        return np.array(
            [
                free * (away / p["tau_m"] + current / p["C_m"]),
                p["k_adap"] * away - p["k_2"] * adap,
                -p["k_1"] * dep,
            ]
        )

    for i in range(round(duration / STEP)):
        free = held_until < (i + 0.5) * STEP
        k1 = change(state, free)
        k2 = change(state + STEP / 2 * k1, free)
        k3 = change(state + STEP / 2 * k2, free)
        k4 = change(state + STEP * k3, free)
        state += STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        fired = free & (state[0] >= p["V_th"])
        state[:, fired] = [p["V_reset"][fired], state[1, fired] + p["A2"][fired], p["A1"][fired]]
        held_until[fired] = (i + 1) * STEP + p["t_ref"][fired]
        for cell in np.flatnonzero(fired):
            spikes[cell].append((i + 1) * STEP)
        potentials.append(state[0].copy())
    return np.array(potentials), [np.array(times) for times in spikes]


USED = ("V_m", "E_L", "tau_m", "C_m", "I_e", "k_adap", "k_1", "k_2", "V_th", "V_reset", "A1", "A2", "t_ref")


def restart(nest, **settings):
    nest.ResetKernel()
    nest.Install("cerebmodule")
    nest.set(resolution=0.1, **settings)


def couple(nest, neurons, weights):
    """Both ways, by pairs of node numbers, as the connection model of this package does."""
    pre, post = np.nonzero(weights)
    ids = np.array(neurons.tolist())
    synapse = {"synapse_model": "gap_junction", "weight": weights[pre, post]}
    nest.Connect(ids[pre], ids[post], "one_to_one", synapse, return_synapsecollection=False)


def simulate(nest, model, cells, weights, duration, currents, stretch=None):
    """V (steps from 0.1 ms, cells) and spike times of coupled cells; ``stretch``: ms of each call of Simulate."""
    neurons = nest.Create(model, len(cells))
    for neuron, cell, current in zip(neurons, cells, currents, strict=True):
        neuron.set({**cell, "I_e": cell["I_e"] + current})
    couple(nest, neurons, weights)
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 0.1})
    recorder = nest.Create("spike_recorder")
    nest.Connect(meter, neurons)
    nest.Connect(neurons, recorder, syn_spec={"delay": 1.0})
    for begin, end in pairwise(np.arange(0, duration + 1.0 + 1e-9, stretch or duration + 1.0)):
        nest.Simulate(round(end - begin, 1))
    events, fired = meter.get("events"), recorder.get("events")
    traces = [events["V_m"][events["senders"] == neuron.global_id] for neuron in neurons]
    trains = [fired["times"][fired["senders"] == neuron.global_id] for neuron in neurons]
    return np.array(traces).T, [np.sort(train) for train in trains]


def everyone(count, weight):
    return weight * (1 - np.eye(count))


@pytest.mark.parametrize("model", MODELS)
def test_two_cells_settle_at_the_coupling_coefficient(nest, model):
    # At rest the adaptation turns the leak's sign: a cell has the conductance k_adap/k_2 - C_m/tau_m.
    cell = GOLGI[model] | QUIET[model] | {"k_2": 0.5, "k_adap": 10.0, "I_e": 0.0, "V_m": -62.0, "E_L": -62.0}
    own = cell["k_adap"] / cell["k_2"] - cell["C_m"] / cell["tau_m"]
    weight = 2.7
    trace, _ = simulate(nest, model, [cell, cell], everyone(2, weight), 400.0, [40.0, 0.0])
    driven, follower = trace[-1] + 62.0
    assert follower / driven == pytest.approx(weight / (weight + own), rel=1e-4)
    assert driven == pytest.approx(40.0 * (own + weight) / (own * (own + 2 * weight)), rel=1e-4)


@pytest.mark.parametrize("weight", [2.7, 14.3])
@pytest.mark.parametrize("iterates", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_potentials_stay_within_a_tenth_of_a_millivolt(nest, model, iterates, weight):
    nest.use_wfr = iterates
    cells = [GOLGI[model] | QUIET[model] | {"V_m": v} for v in (-75.0, -62.0, -58.0)]
    currents = np.array([0.0, 30.0, 60.0])
    trace, _ = simulate(nest, model, cells, everyone(3, weight), 100.0, currents)
    expected, _ = reference([cell | {"V_th": NEVER} for cell in cells], everyone(3, weight), 102.0, currents)
    sampled = expected[round(0.1 / STEP) :: round(0.1 / STEP)][: len(trace)]
    assert np.ptp(expected[0]) > 15
    # Without iterations partners are heard of from the second step on only, and what the first one missed stays.
    assert np.abs(trace - sampled).max() < (0.02 if iterates else 0.03 * weight)
    assert nest.min_delay == (1.0 if iterates else 0.1)


@pytest.mark.parametrize("iterates", [True, False])
def test_partners_feel_the_reset_of_a_spike(nest, iterates):
    model = "eglif_multirec"
    nest.use_wfr = iterates
    cells = [GOLGI[model] | {"V_m": v} for v in (-58.0, -62.0)]
    currents, weights = np.array([150.0, 20.0]), everyone(2, 5.0)
    trace, trains = simulate(nest, model, cells, weights, 120.0, currents)
    _, expected = reference(cells, weights, 121.0, currents)
    _, alone = reference(cells, 0 * weights, 121.0, currents)
    for train, times in zip(trains, expected, strict=True):
        assert len(train) == pytest.approx(len(times), abs=1)
        count = min(len(train), len(times), 4)
        # A spike waits for the end of its step, and what it waited for adds up.
        assert np.abs(train[:count] - times[:count]).max(initial=0) < 0.1 * (count + 1)
    assert len(expected[0]) > 2
    assert abs(len(alone[0]) - len(expected[0])) + np.abs(alone[0][:3] - expected[0][:3]).max() > 1
    assert np.isfinite(trace).all()


def test_stochastic_spikes_are_the_same_however_often_the_solution_iterates(nest):
    """The draws of an interval are made once: a tighter tolerance moves potentials by no more than that."""
    model = "eglif_cond_alpha_multisyn"
    runs = []
    for tolerance in (1e-3, 1e-7):
        restart(nest, rng_seed=3, wfr_tol=tolerance)
        cells = [GOLGI[model] | {"V_m": v} for v in (-62.0, -60.0, -58.0)]
        runs.append(simulate(nest, model, cells, everyone(3, 2.7), 300.0, [80.0, 100.0, 120.0]))
    (loose, trains), (tight, others) = runs
    assert all(len(train) > 3 for train in trains)
    assert [train.tolist() for train in trains] == [train.tolist() for train in others]
    assert np.abs(loose - tight).max() < 0.05


@pytest.mark.parametrize("model", MODELS)
def test_threads_and_stretches_change_nothing(nest, model):
    cells = [GOLGI[model] | QUIET[model] | {"V_m": v} for v in np.linspace(-75, -58, 7)]
    currents = np.linspace(0, 100, 7)
    # A ring with one long way: most cells are not coupled to most others, and one to none.
    weights = np.zeros((7, 7))
    for a, b in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 3)]:
        weights[a, b] = weights[b, a] = 2.7
    runs = []
    for threads, stretch in [(1, None), (2, None), (1, 12.5)]:
        restart(nest, local_num_threads=threads)
        runs.append(simulate(nest, model, cells, weights, 99.0, currents, stretch)[0])
    for other in runs[1:]:
        assert np.abs(runs[0] - other).max() < 1e-3  # ten times the tolerance of the iteration
    alone, _ = reference([cells[6] | {"V_th": NEVER}], np.zeros((1, 1)), 99.0, currents[6:])
    assert runs[0][989, 6] == pytest.approx(alone[9900, 0], abs=0.02)


def test_neurons_nest_would_not_iterate_are_told(nest):
    neurons = nest.Create("eglif_multirec", 2)
    couple(nest, neurons, everyone(2, 1.0))
    with pytest.raises(Exception, match="after connecting them"):
        nest.Simulate(1.0)


def test_a_receptor_is_refused(nest):
    neurons = nest.Create("eglif_multirec", 2)
    synapse = {"synapse_model": "gap_junction", "weight": 1.0, "receptor_type": 1}
    with pytest.raises(Exception, match=r"[Rr]eceptor"):
        nest.Connect(neurons[0], neurons[1], {"rule": "one_to_one", "make_symmetric": True}, synapse)


@pytest.mark.parametrize("model", MODELS)
def test_cells_coupled_to_themselves_are_as_if_alone(nest, model):
    """What the published configuration asks for, as BSB connects it."""
    neurons = nest.Create(model, 2, params=GOLGI[model] | QUIET[model])
    synapse = {"synapse_model": "gap_junction", "weight": 14.3}
    rule = {"rule": "one_to_one", "make_symmetric": True}
    nest.Connect(neurons[0], neurons[0], rule, nest.CollocatedSynapses(synapse))
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 0.1})
    nest.Connect(meter, neurons)
    nest.Simulate(50.0)
    events = meter.get("events")
    coupled, alone = (events["V_m"][events["senders"] == neuron.global_id] for neuron in neurons)
    assert np.ptp(alone) > 1
    assert np.abs(coupled - alone).max() < 0.01


# A ring of coupled cells; each rank writes the traces of its own.
ON_RANKS = """
import json, sys
import cerebellar_models.nest_models
import nest
nest.Install("cerebmodule")
nest.set(resolution=0.1)
meters = []
for model, cell in json.loads(sys.argv[1]).items():
    neurons = nest.Create(model, 7, params=cell)
    ids = neurons.tolist()
    for i, neuron in enumerate(neurons):
        neuron.set(I_e=cell["I_e"] + 15.0 * i)
    pre, post = ids, ids[1:] + ids[:1]
    synapse = {"synapse_model": "gap_junction", "weight": [2.7] * 14}
    nest.Connect(pre + post, post + pre, "one_to_one", synapse, return_synapsecollection=False)
    meters.append(nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 1.0}))
    nest.Connect(meters[-1], neurons)
nest.Simulate(100.0)
found = {}
for meter in meters:
    events = meter.get("events")
    for sender, potential in zip(events["senders"].tolist(), events["V_m"].tolist()):
        found.setdefault(sender, []).append(potential)
with open(f"{sys.argv[2]}-{nest.Rank()}.json", "w") as file:
    json.dump(found, file)
"""


@pytest.mark.mpi
def test_ranks_change_nothing(tmp_path):
    python = os.environ.get("CEREBELLAR_MODELS_MPI_PYTHON", "")
    if not os.access(python, os.X_OK):
        missing("CEREBELLAR_MODELS_MPI_PYTHON names no Python with a NEST that has MPI")
    cells = json.dumps({model: GOLGI[model] | QUIET[model] for model in MODELS})
    found = {}
    for ranks in (1, 2):
        command = launch.on_ranks([python, "-c", ON_RANKS, cells, str(tmp_path / str(ranks))], ranks)
        done = subprocess.run(
            command, env=on_ranks_environment(), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        shares = [json.loads((tmp_path / f"{ranks}-{rank}.json").read_text()) for rank in range(ranks)]
        assert all(shares)
        found[ranks] = {cell: trace for share in shares for cell, trace in share.items()}
        assert sum(map(len, shares)) == len(found[ranks]) == 7 * len(MODELS)
    for cell, trace in found[1].items():
        assert (
            np.abs(np.array(trace) - found[2][cell]).max() < 1e-3
        )  # ten times the tolerance of the iteration
