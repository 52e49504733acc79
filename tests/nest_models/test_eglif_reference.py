"""The hand-written C++ does what NESTML generates from the references, spike for spike."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from eglif_cells import CELLS as ALPHA_CELLS
from test_eglif_multirec import CELLS

from cerebellar_models.builders import nest_module

MULTIREC_CELLS = {name: cell | {"V_m": cell["V_m"]["min"] + 3.0} for name, cell in CELLS.items()}
CASES = {
    "eglif_cond_alpha_multisyn": {"cells": ALPHA_CELLS, "receptors": 4},
    "eglif_multirec": {
        "cells": MULTIREC_CELLS
        | {
            f"{name}, stochastic": cell | {"stochastic_spiking": True}
            for name, cell in MULTIREC_CELLS.items()
        },
        "receptors": 5,
    },
}
# Every cell type under weak and strong input on all receptors, with a current; both draw the same numbers.
SIMULATION = """
import json, sys
import nest, numpy as np
cases = json.loads(sys.argv[1])
nest.Install("cerebmodule")
nest.set(resolution=0.1, rng_seed=11)
traces = {}
for model, case in cases.items():
    for weight in (0.5, 50.0):
        for name, cell in case["cells"].items():
            neuron = nest.Create(model, params=cell)
            for receptor in range(1, case["receptors"] + 1):
                source = nest.Create("poisson_generator", params={"rate": 40.0})
                synapse = {"weight": weight, "delay": 1.0, "receptor_type": receptor}
                nest.Connect(source, neuron, syn_spec=synapse)
            current = nest.Create("dc_generator", params={"amplitude": 10.0, "start": 100.0})
            nest.Connect(current, neuron, syn_spec={"delay": 1.0})
            meter = nest.Create("multimeter", params={"record_from": ["V_m", "I_adap", "I_dep"], "interval": 0.1})
            nest.Connect(meter, neuron)
            traces[f"{model} {name} {weight}"] = meter
nest.Simulate(400.0)
np.savez(sys.argv[2], **{
    key: np.array([meter.get("events")[quantity] for quantity in ("V_m", "I_adap", "I_dep")])
    for key, meter in traces.items()
})
"""


def simulate(module_folder: Path, output: Path) -> dict[str, np.ndarray]:
    environment = os.environ | {"LD_LIBRARY_PATH": str(module_folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SIMULATION, json.dumps(CASES), str(output)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return dict(np.load(output))


@pytest.mark.usefixtures("nestml_installed")
def test_cpp_agrees_with_its_nestml(tmp_path, monkeypatch):
    fast = simulate(nest_module.build().parent, tmp_path / "fast.npz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(nest_module, "_own_cpp", lambda: [])
    monkeypatch.setattr(nest_module, "_FLAGS", (*nest_module._FLAGS, "-O0"))  # compiles in half the time
    generated = simulate(nest_module.build().parent, tmp_path / "generated.npz")
    for case, trace in generated.items():
        # Other rounding only: one spike that moved by a step would differ by millivolts.
        assert np.abs(trace - fast[case]).max() < 1e-6, case
    for model in CASES:
        own = [trace[0] for case, trace in generated.items() if case.startswith(model)]
        assert any((np.diff(potential) < -5).any() for potential in own), f"no {model} spiked"
