"""Whether the canonical circuit, compiled and simulated here, is the same to the last digit as at an earlier commit.

    python benchmarks/same_as.py f3b3919 [--times 3]

Checks the commit out into a folder of its own, gives it an environment that shares this one's packages, has both run
the same choices on one rank and one thread, and compares the circuits' digests and every spike. Exits with 1 where
they differ. Takes about two compilations and two simulations of the circuit.

With ``--times`` both then compile and simulate in turn, so often, each on one and the same core, with kernels and
module built: of each stage the processor's seconds of the whole command (the least of all times), its peak of memory,
and what share of the earlier commit's that is.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

from cerebellar_models.analysis.read import read_activity
from cerebellar_models.analysis.read_digests import read_digests

HERE = Path(__file__).resolve().parents[1]
SIMULATION = "basal_activity"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commit", help="one whose `run` takes the choices below")
    parser.add_argument("--preset", default="canonical")
    parser.add_argument("--state", default="awake")
    parser.add_argument("--duration", type=float, default=500.0, help="ms  [default: 500]")
    parser.add_argument("--times", type=int, default=0, help="that compiling and simulating are timed")
    asked = parser.parse_args()
    choices = [f"--preset={asked.preset}", f"--state={asked.state}", f"--duration={asked.duration}"]
    with tempfile.TemporaryDirectory(prefix="same-as-") as temporary:
        folder = Path(temporary)
        checkout = folder / "checkout"
        _git("worktree", "add", "--quiet", "--detach", str(checkout), asked.commit)
        try:
            pythons = {"before": _environment(folder / "environment", checkout), "now": Path(sys.executable)}
            for name, python in pythons.items():
                _run(python, choices, folder / name)
            before, now = (_found(folder / name) for name in pythons)
            took = _times(pythons, folder, asked.times)
        finally:
            _git("worktree", "remove", "--force", str(checkout))
    same = {key: before[key] == now[key] for key in now}
    said = {"commit": asked.commit, "choices": choices, "same": same, "took": took, "found": now}
    print(json.dumps(said, indent=2))
    return 0 if all(same.values()) else 1


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(HERE), *arguments], check=True)


def _environment(path: Path, checkout: Path) -> Path:
    """A Python that has the checkout's package, and beside it the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    python = path / "bin" / "python"
    packages = next(path.glob("lib/python*/site-packages"))
    # Not the editable installation of this checkout, which a .pth file in there would bring: those are not followed.
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--editable", str(checkout)], check=True)
    return python


def _run(python: Path, choices: list[str], output: Path) -> None:
    command = [str(python), "-m", "cerebellar_models", "run", *choices, "--threads=1"]
    # From elsewhere than a checkout, whose package Python would take.
    subprocess.run(
        [*command, f"--simulation={SIMULATION}", "-o", str(output)],
        check=True,
        cwd=output.parent,
        stdout=sys.stderr,
    )


def _times(pythons: dict[str, Path], folder: Path, times: int) -> dict[str, dict[str, float]]:
    """Of each stage the CPU seconds and MB of both, and how the later commit's compare."""
    stages = {
        "compile": ["compile", "circuit.yaml", "-v1", "--clear"],
        "simulate": ["simulate", "cerebellum.hdf5", SIMULATION, "-o", "timed", "-v1"],
    }
    found: dict[str, dict[str, float]] = {stage: {} for stage in stages if times}
    for _ in range(times):
        for stage, words in stages.items():
            for name, python in pythons.items():
                usage = dict(
                    zip(("s", "MB"), _usage([str(python), "-m", "bsb", *words], folder / name), strict=True)
                )
                for unit, number in usage.items():
                    key = f"{name}, {unit}"
                    found[stage][key] = min(number, found[stage].get(key, number))
    for row in found.values():
        row |= {
            f"share, {unit}": round(row[f"now, {unit}"] / row[f"before, {unit}"], 3) for unit in ("s", "MB")
        }
    return found


def _usage(command: list[str], folder: Path) -> tuple[float, float]:
    """CPU seconds and peak of a command on one core."""
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen(
        command, cwd=folder, stdout=sys.stderr, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return round(usage.ru_utime + usage.ru_stime, 2), round(usage.ru_maxrss / 1024, 1)


def _found(run: Path) -> dict[str, object]:
    """What is compared: digests of the circuit and of its simulation, and the spikes of each recording."""
    activity = read_activity(sorted((run / "results" / SIMULATION).glob("*.nio")))
    spikes = {
        f"{each.recorder} of {each.cell_type}": {
            "spikes": len(each.spike_times),
            "sum of times, ms": float(np.sum(each.spike_times)),
            "bytes": _bytes(each.cells, each.spike_times, each.spike_cells),
        }
        for each in activity.recordings
    }
    return dict(read_digests(run / "cerebellum.hdf5").record()) | {"spikes": spikes}


def _bytes(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[
        :16
    ]


if __name__ == "__main__":
    sys.exit(main())
