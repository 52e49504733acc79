"""The same compile and simulate on this Python and in a container, in one run of interleaved pairs.

    python benchmarks/container_overhead.py [--image NAME|FILE.sif] [--pairs N] [--json FILE]

Both sides need a NEST with MPI (``containers/build-nest.sh`` makes the wheel), the same kind on both: PyPI's, without
MPI, is other code. Times are wall-clock of the whole process or container, its start included, with kernels and
module built before; processor times are those of the work alone, and mean something on a machine that is busy with
other things, too. Who goes first changes from pair to pair. Noise is what a side differs from itself: half the range
between the quartiles over the median.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cerebellar_models.builders import nest_module
from cerebellar_models.images import engines as container
from cerebellar_models.runs import launch
from cerebellar_models.runs.run_folder import installed_versions

SIDES = ("bare", "container")
STAGES = ("compile", "simulate")
CLOCKS = ("wall", "processor")
TARGET = 0.03  # house plan: within 3 % of bare metal
CIRCUIT = "cerebellum.hdf5"
# Runs a command and says, as its last line, the processor time that it took.
TIMED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
sys.exit(status)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default=container.IMAGE, help="a Docker image, or an Apptainer file")
    parser.add_argument("--size", type=float, nargs=2, default=(200.0, 200.0), metavar=("X", "Y"), help="µm")
    parser.add_argument("--duration", type=int, default=500, help="of the simulation, ms")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    nest = nest_module.nest_installation()
    if nest is None or not nest.has_mpi:
        sys.exit(
            "container_overhead.py: this Python has no NEST with MPI: containers/build-nest.sh makes the wheel"
        )
    nest_module.build(print)
    nest_module.make_loadable()
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        times = measure(Path(name), given)
    result = summary(times, given)
    for stage in (*STAGES, "both"):
        for clock in CLOCKS:
            part = result[stage][clock]
            print(
                f"{stage}, {clock}: bare {part['bare_s']:.2f} s (noise {part['bare_noise']:.1%}), "
                f"container {part['container_s']:.2f} s (noise {part['container_noise']:.1%}), "
                f"median of pairs {part['overhead']:+.1%}"
            )
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, given: argparse.Namespace) -> list[dict]:
    """Seconds of each stage on each side, pair by pair. The first run of each side, which compiles, is not counted."""
    choices = ("--simulation", "basal_activity", "--duration", str(given.duration))
    configure = [
        sys.executable,
        "-m",
        "cerebellar_models",
        "configure",
        "--size",
        *map(str, given.size),
        *choices,
    ]
    subprocess.run(configure, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    engine = container.engine_of(given.image, None)
    pairs = []
    for number in range(given.pairs + 1):
        order = SIDES if number % 2 else SIDES[::-1]
        pair = {side: run(side, folder, engine, given) for side in order}
        if number:
            pairs.append(pair)
            print(f"pair {number}: {pair}", flush=True)
    return pairs


def run(
    side: str, folder: Path, engine: container.Engine, given: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Seconds of each stage by each clock."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    (folder / CIRCUIT).unlink(missing_ok=True)
    commands = {
        "compile": ["compile", "circuit.yaml", "-v1", "--clear"],
        "simulate": ["simulate", CIRCUIT, "basal_activity", "-o", "results", "-v1"],
    }
    seconds = {}
    for stage, arguments in commands.items():
        if side == "bare":
            work = launch.on_ranks(launch.bsb(*arguments), given.ranks)
            command = [sys.executable, "-c", TIMED, *work]
        else:
            # The caches that the first run fills, which Docker would throw away.
            caches = f"NUMBA_CACHE_DIR={container.MOUNTED}/numba"
            in_image = ["env", caches, "OMP_NUM_THREADS=1", "python", "-c", TIMED]
            if given.ranks > 1:
                in_image += ["mpirun", "--oversubscribe", "-np", str(given.ranks)]
            in_image += ["python", "-m", "bsb", *arguments]
            command = container.run_command(engine, given.image, in_image, folder)
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PYNEST_QUIET": "1", "OMPI_MCA_osc": "^ucx"} | os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        wall = round(time.perf_counter() - start, 3)
        if done.returncode != 0:
            sys.exit(f"container_overhead.py: {side}: {stage} failed:\n{done.stderr[-2000:]}")
        seconds[stage] = {"wall": wall, "processor": round(float(done.stdout.strip().splitlines()[-1]), 3)}
    return seconds


def summary(pairs: list[dict], given: argparse.Namespace) -> dict:
    """Medians, noise and overhead of each stage and of both together."""
    result: dict = {
        "image": given.image,
        "size_um": list(given.size),
        "duration_ms": given.duration,
        "ranks": given.ranks,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": installed_versions(),
        "target": TARGET,
        "pairs": pairs,
    }
    for stages in ([STAGES[0]], [STAGES[1]], list(STAGES)):
        name = stages[0] if len(stages) == 1 else "both"
        result[name] = {clock: _compared(pairs, stages, clock) for clock in CLOCKS}
    return result


def _compared(pairs: list[dict], stages: list[str], clock: str) -> dict[str, float]:
    times = {side: [sum(pair[side][stage][clock] for stage in stages) for pair in pairs] for side in SIDES}
    ratios = [ours / bare for ours, bare in zip(times["container"], times["bare"], strict=True)]
    return {
        "overhead": round(statistics.median(ratios) - 1, 4),
        **{f"{side}_s": round(statistics.median(values), 3) for side, values in times.items()},
        **{f"{side}_noise": round(_noise(values), 4) for side, values in times.items()},
    }


def _noise(values: list[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / statistics.median(values)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
