"""What gap junctions between Golgi cells cost in NEST: the same circuit simulated without and with them.

    python benchmarks/gap_junctions.py [--preset tiny] [--duration MS] [--repeats N] [--json FILE]

`iterated` is what our synapse sets do, NEST's waveform relaxation; `every step` has NEST exchange potentials at each
time step instead (use_wfr false), which no option of ours asks for. Times are the processor's within nest.Run, on one
thread, the shortest of the repeats, each in a process of its own.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from cerebellar_models.analysis.activity import activity_numbers
from cerebellar_models.analysis.read import read_activity
from cerebellar_models.circuits.resolve import resolve

SETS = {
    "eglif_cond_alpha_multisyn": "static_gap_junctions",
    "eglif_multirec": "multirec_static_gap_junctions",
}
VARIANTS = {"none": False, "iterated": True, "every step": False}  # whether NEST iterates

TIMED = """
import json, runpy, sys, time
import bsb_nest.adapter, nest
iterates, output = sys.argv[1] == "True", sys.argv[2]
spent = 0.0
class Timed:
    def __getattr__(self, name):
        return getattr(nest, name)
    def __setattr__(self, name, value):
        setattr(nest, name, value)
    def ResetKernel(self):
        nest.ResetKernel()
        nest.use_wfr = iterates
    def Run(self, duration):
        global spent
        start = time.process_time()
        nest.Run(duration)
        spent += time.process_time() - start
        with open(output + ".json", "w") as file:
            json.dump(spent, file)
bsb_nest.adapter.nest = Timed()
sys.argv = ["bsb", "simulate", "cerebellum.hdf5", sys.argv[3], "-o", output, "-v1"]
runpy.run_module("bsb", run_name="__main__", alter_sys=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="canonical")
    parser.add_argument("--duration", type=float, default=500.0, help="ms")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print("| neuron model | gap junctions | CPU s per biological s | ratio | Golgi rate, all cells (Hz) |")
    print("|---|---|---|---|---|")
    for model, synapses in SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            compile_both(Path(folder), model, synapses, options)
            for variant in VARIANTS:
                row = best_of(Path(folder), variant, options) | {"model": model}
                rows.append(row)
                alone = next(each["seconds"] for each in rows if each["model"] == model)
                print(
                    f"| {model} | {variant} | {row['seconds']:.2f} | {row['seconds'] / alone:.2f} "
                    f"| {row['golgi_hz']:.2f} |",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def compile_both(folder: Path, model: str, synapses: str, options: argparse.Namespace) -> None:
    """One circuit with two simulations, which differ in the gap junctions alone."""
    choices = {"neuron_model": model, "synapse_model": synapses}
    _, tree = resolve(
        "mouse",
        preset=options.preset,
        simulations=["basal_activity"],
        duration=options.duration,
        **choices,
    )
    coupled = tree["simulations"].pop("basal_activity")
    alone = copy.deepcopy(coupled)
    del alone["connection_models"]["gap_goc"]
    tree["simulations"] = {"alone": alone, "coupled": coupled}
    (folder / "circuit.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    command = [sys.executable, "-m", "bsb", "compile", "circuit.yaml", "-v1", "--clear"]
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)


def best_of(folder: Path, variant: str, options: argparse.Namespace) -> dict:
    simulation = "alone" if variant == "none" else "coupled"
    seconds = []
    for _ in range(options.repeats):
        output = folder / f"{variant.replace(' ', '-')}-{len(seconds)}"
        command = [sys.executable, "-c", TIMED, str(VARIANTS[variant]), str(output), simulation]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        seconds.append(json.loads(Path(f"{output}.json").read_text(encoding="utf-8")))
    numbers = activity_numbers(variant, read_activity(list(output.glob("*.nio"))), None, None)
    golgi = next(entry for entry in numbers.populations if entry.cell_type == "golgi_cell")
    return {
        "gap_junctions": variant,
        "seconds": min(seconds) * 1000 / options.duration,
        "golgi_hz": golgi.rate_all_hz.mean,
    }


if __name__ == "__main__":
    main()
