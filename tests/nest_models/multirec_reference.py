"""An independent integrator of the multi-receptor E-GLIF equations: Runge-Kutta, fourth order, 0.01 ms steps.

Written from the equations (De Grazia et al. 2026, doi:10.64898/2026.05.12.724100), it shares no code and no
scheme with the model: conductances are integrated like everything else, spikes fall on its own fine grid.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from reference import STEP, Input

RECEPTORS = ("AMPA", "NMDA", "GABA", "AMPA2", "AMPA3")
_PER_RECEPTOR = ("g_init", "E_rev", "A_r", "Tau_r", "A1", "Tau_d1", "A2", "Tau_d2")


def run(
    cell: Mapping[str, float], duration: float, inputs: Sequence[Input] = (), spiking: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """V in mV every ``STEP``, the first value at time 0, and the times of the spikes at ``V_th`` in ms."""
    p = {name: np.array([cell[f"{r}_{name}"] for r in RECEPTORS]) for name in _PER_RECEPTOR}
    state = np.zeros(3 + 3 * len(RECEPTORS))
    state[0] = cell["V_m"]
    arriving: dict[int, list[Input]] = {}
    for spike in inputs:
        arriving.setdefault(round(spike.time / STEP), []).append(spike)
    potentials, spikes, held_until = [state[0]], [], 0.0
    for i in range(round(duration / STEP)):
        for spike in arriving.get(i, ()):
            state[3 + spike.receptor - 1] += spike.weight * p["g_init"][spike.receptor - 1]
        free = held_until < (i + 0.5) * STEP
        state = _step(state, cell, p, free)
        state[0] = max(state[0], cell["V_min"])
        if spiking and free and state[0] >= cell["V_th"]:
            state[:3] = cell["V_reset"], state[1] + cell["A2"], cell["A1"]
            spikes.append((i + 1) * STEP)
            held_until = spikes[-1] + cell["t_ref"]
        potentials.append(state[0])
    return np.array(potentials), np.array(spikes)


def _step(y: np.ndarray, cell: Mapping[str, float], p: Mapping[str, np.ndarray], free: bool) -> np.ndarray:
    k1 = _change(y, cell, p, free)
    k2 = _change(y + STEP / 2 * k1, cell, p, free)
    k3 = _change(y + STEP / 2 * k2, cell, p, free)
    k4 = _change(y + STEP * k3, cell, p, free)
    return y + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _change(y: np.ndarray, cell: Mapping[str, float], p: Mapping[str, np.ndarray], free: bool) -> np.ndarray:
    v, adap, dep = y[:3]
    r, d1, d2 = y[3:].reshape(3, -1)
    g = d1 + d2
    g[1] /= 1 + np.exp((cell["v0_block"] - v) / cell["k_block"])
    current = dep - adap + cell["I_e"] + (g * (p["E_rev"] - v)).sum()
    depolarisation = v - cell["E_L"]
    return np.concatenate(
        (
            (
                free * (depolarisation / cell["tau_m"] + current / cell["C_m"]),
                cell["k_adap"] * depolarisation - cell["k_2"] * adap,
                -cell["k_1"] * dep,
            ),
            -p["A_r"] / p["Tau_r"] * r,
            p["A1"] * r - d1 / p["Tau_d1"],
            p["A2"] * r - d2 / p["Tau_d2"],
        )
    )
