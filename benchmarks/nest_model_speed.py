"""Speed of the E-GLIF neuron against the same equations integrated by GSL, as NESTML does if left to itself.

    python benchmarks/nest_model_speed.py [--json FILE] [--repeats N]

Both models run in turn, several times, in one process and on one thread; of each, the fastest run counts,
since other work on the machine only ever slows a run down. A population is timed alone, with and without
synaptic input, so that the figure is time per neuron and time step, spike delivery included. Both models get
the same input spikes, so that their rates can be compared. Needs the headers of GSL, and NESTML.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "nest_models"))
from eglif_cells import CELLS  # noqa: E402  (one table of parameters for tests and benchmarks)

from cerebellar_models.builders import nest_module  # noqa: E402
from cerebellar_models.installation import install_hint  # noqa: E402

OURS, GSL = "eglif_cond_alpha_multisyn", "eglif_gsl"
RESOLUTION = 0.1  # ms
WARM_UP = 20.0  # ms, fills caches and buffers


@dataclass(frozen=True)
class Population:
    """Cells of one type and what they receive."""

    cell: str
    size: int
    input_rate: float
    """Hz of each of eight fibres, half of them exciting"""
    delay: float = 1.0
    """ms; equals the interval in which NEST walks through all neurons"""
    longest_delay: float = 5.0
    """ms; sets the length of the input buffers"""


# The granule cells of the last rows do not fit in a processor's cache, as in the canonical circuit.
POPULATIONS = (
    Population("granule_cell", 1000, 0.0),
    Population("granule_cell", 1000, 20.0),
    Population("golgi_cell", 1000, 0.0),
    Population("golgi_cell", 1000, 20.0),
    Population("purkinje_cell", 1000, 0.0),
    Population("purkinje_cell_awake", 1000, 20.0),
    Population("basket_cell", 1000, 0.0),
    Population("basket_cell", 1000, 20.0),
    Population("granule_cell", 30000, 5.0, longest_delay=40.0),
    Population("granule_cell", 30000, 5.0, delay=0.1),
)


@dataclass(frozen=True)
class Run:
    """What one run measured."""

    nanoseconds: float
    """per neuron and time step"""
    rate: float
    """mean firing rate, Hz"""


def build_gsl_module() -> Path:
    """Folder of ``gslmodule``, in the cache of the builder."""
    folder = nest_module.module_folder().parent / f"benchmark-{nest_module.module_folder().name}"
    if not (folder / "gslmodule.so").is_file():
        preprocess = ["g++", "-E", "-x", "c++", "-", "-o", os.devnull]
        probe = subprocess.run(preprocess, input=b"#include <gsl/gsl_odeiv.h>", stderr=subprocess.DEVNULL)
        if probe.returncode:
            sys.exit("the headers of GSL, which the yardstick needs, are missing: apt install libgsl-dev")
        if find_spec("pynestml") is None:
            sys.exit(f"NESTML, which writes the yardstick's C++, is missing: {install_hint('nestml')}")
        shutil.rmtree(folder, ignore_errors=True)
        work = folder / "cpp"
        work.mkdir(parents=True)
        nest = nest_module.nest_installation()
        generator = nest_module._GENERATOR
        model = Path(__file__).parent / "nest_model_gsl.nestml"
        command = [sys.executable, str(generator), nest.version, "gslmodule", str(work), str(model)]
        subprocess.run(command, check=True)
        nest_module._compile(nest_module._compile_command(nest), work, folder / "build.log", "gslmodule")
        shutil.move(work / "gslmodule.so", folder / "gslmodule.so")
    return folder


def simulate(model: str, population: Population, duration: float) -> Run:
    """Time ``duration`` ms of a population, after the warm-up."""
    import nest
    import numpy as np

    nest.ResetKernel()
    for module in ("cerebmodule", "gslmodule"):
        nest.Install(module)
    nest.set(resolution=RESOLUTION, rng_seed=5)
    neurons = nest.Create(model, population.size, params=CELLS[population.cell])
    synapse = {"delay": population.delay, "receptor_type": 1, "weight": 0.0}
    idle = nest.Create("parrot_neuron")
    for delay in (population.delay, population.longest_delay):
        nest.Connect(idle, neurons[0], syn_spec=synapse | {"delay": delay})
    if population.input_rate:
        rng = np.random.default_rng(2)
        fibres = nest.Create("parrot_neuron", 200)
        sources = nest.Create("spike_generator", 200)
        mean_count = population.input_rate * (WARM_UP + duration) / 1e3
        for source in sources:
            times = rng.uniform(0.2, WARM_UP + duration, rng.poisson(mean_count))
            source.set(spike_times=np.unique(times.round(1)))
        nest.Connect(sources, fibres, "one_to_one", {"delay": population.delay})
        for receptor, weight in ((1, 0.2), (2, 0.1)):
            rule = {"rule": "fixed_indegree", "indegree": 4}
            nest.Connect(fibres, neurons, rule, synapse | {"receptor_type": receptor, "weight": weight})
    recorder = nest.Create("spike_recorder")
    nest.Connect(neurons, recorder, syn_spec={"delay": population.delay})
    nest.Simulate(WARM_UP)
    start = time.perf_counter()
    nest.Simulate(duration)
    elapsed = time.perf_counter() - start
    updates = population.size * duration / RESOLUTION
    rate = recorder.n_events / population.size / (WARM_UP + duration) * 1e3
    return Run(elapsed / updates * 1e9, rate)


def compare(population: Population, repeats: int) -> dict:
    """Both models in turn; the same biological time for both, as the rates are compared too."""
    duration = 3e5 / population.size if population.size > 1000 else 500.0
    runs = {model: [] for model in (OURS, GSL)}
    for _ in range(repeats):
        for model, done in runs.items():
            done.append(simulate(model, population, max(duration, 20.0)))
    ours, gsl = (min(done, key=lambda run: run.nanoseconds) for done in runs.values())
    return asdict(population) | {
        "ours_ns": ours.nanoseconds,
        "gsl_ns": gsl.nanoseconds,
        "ratio": gsl.nanoseconds / ours.nanoseconds,
        "ours_hz": ours.rate,
        "gsl_hz": gsl.rate,
    }


def processor() -> str:
    """Name of the processor as Linux gives it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each model and population")
    options = parser.parse_args()
    nest_module.build(print)
    folders = [str(build_gsl_module()), str(nest_module.module_folder())]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(folders)
    os.environ["PYNEST_QUIET"] = "1"
    import nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    results = []
    names = f"{'population':<22}{'size':>7}{'input':>7}{'delays':>10}"
    print(f"{names}{'ours':>9}{'GSL':>9}{'ratio':>7}{'rates, Hz':>16}")
    for population in POPULATIONS:
        row = compare(population, options.repeats)
        results.append(row)
        delays = f"{population.delay:g}-{population.longest_delay:g}"
        print(
            f"{row['cell']:<22}{row['size']:>7}{row['input_rate']:>7.0f}{delays:>10}{row['ours_ns']:>6.0f} ns"
            f"{row['gsl_ns']:>6.0f} ns{row['ratio']:>7.1f}{row['ours_hz']:>8.2f}{row['gsl_hz']:>8.2f}",
            flush=True,
        )
    worst = min(row["ratio"] for row in results)
    print(f"at least {worst:.1f} times faster")
    if options.json:
        facts = {"processor": processor(), "nest": nest.__version__, "repeats": options.repeats}
        options.json.write_text(
            json.dumps(facts | {"populations": results}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
