"""An independent integrator of the E-GLIF equations: Runge-Kutta of fourth order in steps of 0.01 ms.

Written from the equations (Geminiani et al. 2018, doi:10.3389/fninf.2018.00088), it shares no code and no
scheme with the model. Only conductances are exact, and spikes fall on its own fine grid.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

STEP = 0.01
"""ms"""
_RECEPTORS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Input:
    """A spike that arrives at a receptor."""

    time: float
    """ms"""
    receptor: int
    weight: float
    """nS"""


@dataclass(frozen=True)
class Rate:
    """Mean firing rate of independent trials and its standard error, Hz."""

    mean: float
    error: float


def potential(cell: Mapping[str, float], duration: float, inputs: Sequence[Input]) -> np.ndarray:
    """V in mV every ``STEP`` for a cell that does not spike, the first value at time 0."""
    run = _run([cell], duration, inputs, np.zeros(1), None)
    return np.array([cell["V_m"], *(v[0] for v, _ in run)])


def rates(
    cases: Sequence[tuple[Mapping[str, float], float]],
    trials: int,
    warm_up: float,
    duration: float,
    seed: int,
) -> list[Rate]:
    """Firing rates after ``warm_up`` ms of cells with constant currents (pA), all cases side by side."""
    cells = [cell for cell, _ in cases for _ in range(trials)]
    currents = np.array([current for _, current in cases for _ in range(trials)])
    counts = np.zeros(len(cells))
    run = _run(cells, warm_up + duration, (), currents, np.random.default_rng(seed))
    for i, (_, spiked) in enumerate(run):
        if (i + 1) * STEP > warm_up:
            counts += spiked
    per_case = counts.reshape(len(cases), trials) / duration * 1e3
    return [Rate(float(row.mean()), float(row.std(ddof=1) / np.sqrt(trials))) for row in per_case]


def _run(
    cells: Sequence[Mapping[str, float]],
    duration: float,
    inputs: Sequence[Input],
    currents: np.ndarray,
    rng: np.random.Generator | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """After each step, V and which cell spiked; without ``rng`` none does."""
    p = {name: np.array([cell[name] for cell in cells]) for name in cells[0]}
    tau = np.array([p[f"tau_syn{i}"] for i in _RECEPTORS])
    reversal = np.array([p[f"E_rev{i}"] for i in _RECEPTORS])
    state = np.zeros((3, len(cells)))
    state[0] = p["V_m"]
    g, slope = np.zeros_like(tau), np.zeros_like(tau)
    held_until = np.zeros(len(cells))
    arriving: dict[int, list[Input]] = {}
    for spike in inputs:
        arriving.setdefault(round(spike.time / STEP), []).append(spike)

    def change(y: np.ndarray, conductance: np.ndarray | None, free: np.ndarray) -> np.ndarray:
        v, adap, dep = y
        total = dep - adap + p["I_e"] + currents
        if conductance is not None:
            total = total + (conductance * (reversal - v)).sum(axis=0)
        depolarisation = v - p["E_L"]
        return np.array(
            [
                free * (depolarisation / p["tau_m"] + total / p["C_m"]),
                p["k_adap"] * depolarisation - p["k_2"] * adap,
                -p["k_1"] * dep,
            ]
        )

    for i in range(round(duration / STEP)):
        for spike in arriving.get(i, ()):
            slope[spike.receptor - 1] += spike.weight * np.e / tau[spike.receptor - 1]
        before = middle = end = None
        if inputs:
            before = g
            middle = (g + slope * STEP / 2) * np.exp(-STEP / 2 / tau)
            g, slope = (g + slope * STEP) * np.exp(-STEP / tau), slope * np.exp(-STEP / tau)
            end = g
        free = held_until < (i + 0.5) * STEP
        k1 = change(state, before, free)
        k2 = change(state + STEP / 2 * k1, middle, free)
        k3 = change(state + STEP / 2 * k2, middle, free)
        k4 = change(state + STEP * k3, end, free)
        state += STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        np.maximum(state[0], p["V_min"], out=state[0])
        spiked = np.zeros(len(cells), bool)
        if rng is not None:
            intensity = p["lambda_0"] * np.exp(np.minimum((state[0] - p["V_th"]) / p["tau_V"], 500))
            spiked = free & (rng.random(len(cells)) < -np.expm1(-intensity * STEP))
            state[0, spiked] = p["V_reset"][spiked]
            state[1, spiked] += p["A2"][spiked]
            state[2, spiked] = p["A1"][spiked]
            held_until[spiked] = (i + 1) * STEP + p["t_ref"][spiked]
        yield state[0].copy(), spiked
