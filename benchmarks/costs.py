"""What the stages of a run take, measured, beside what the cost model expects.

    python benchmarks/costs.py [--circuit X Y]... [--ranks N]... [--duration MS] [--json FILE]

Runs each stage on its own, at each extent and number of ranks (several ranks of a simulation need a NEST with MPI),
and prints the peak of the largest rank, the time and the size of what is left, each with the estimate. The numbers of
``configurations/mouse/resources.yaml`` come from such tables: memory and storage from the circuits' differences, times
from those of the processor (of all ranks), which other work on the machine changes least.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import yaml

from cerebellar_models.circuits.counting.size import circuit_size
from cerebellar_models.costs.estimate import Stage, estimate, load_cost_model
from cerebellar_models.runs.launch import bsb, on_ranks
from cerebellar_models.runs.run_folder import installed_versions

EXTENTS = ((120.0, 60.0), (300.0, 200.0), (600.0, 400.0))
SIMULATION = "basal_activity"
_JOB = re.compile(r"\[(\S+ \S+) - BSB\] JobStatus\.(RUNNING|SUCCESS) \{root\}\.(\w+)\.(\w+)")


@dataclass(frozen=True)
class Measured:
    """A stage: what it took, and what the model expects."""

    circuit: str
    stage: str
    ranks: int
    memory_mb: float
    seconds: float
    cpu_seconds: float
    storage_mb: float
    expected_memory_mb: float
    expected_seconds: float
    expected_storage_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--circuit", type=float, nargs=2, action="append", metavar=("X", "Y"), help="µm")
    parser.add_argument("--part", action="append", default=[])
    parser.add_argument("--ranks", type=int, action="append")
    parser.add_argument("--duration", type=float, default=100.0, metavar="MS")
    parser.add_argument("--models", action="store_true", help="build the NEST module too, in an empty cache")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Measured] = []
    rules: dict[str, dict[str, float]] = {}
    print(
        "| circuit | stage | ranks | MB | expected | s | CPU s | expected | MB left | expected |\n"
        + "|---" * 10
        + "|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for extent in arguments.circuit or EXTENTS:
            name = f"{extent[0]:g}x{extent[1]:g}"
            work = Path(folder) / name
            configure(work, extent, arguments.part, arguments.duration)
            for ranks in arguments.ranks or (1,):
                rows += measure(work, name, ranks, arguments.models and not rows)
                rules.setdefault(name, rule_seconds(work / "compile.log"))
    if arguments.json:
        content = {
            "date": datetime.now().date().isoformat(),
            "machine": {
                "cores": os.cpu_count(),
                "processor": platform.machine(),
                "system": platform.platform(),
            },
            "versions": installed_versions(),
            "stages": [asdict(row) for row in rows],
            "rules_s": rules,
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def configure(work: Path, extent: tuple[float, float], parts: list[str], duration: float) -> None:
    work.mkdir()
    flags = ["--size", *map(str, extent), "--duration", str(duration), "--simulation", SIMULATION]
    flags += [flag for part in parts for flag in ("--part", part)]
    command = [sys.executable, "-m", "cerebellar_models", "configure", *flags]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)


def measure(work: Path, name: str, ranks: int, models: bool) -> list[Measured]:
    tree = yaml.safe_load((work / "circuit.yaml").read_text(encoding="utf-8"))
    model = load_cost_model("mouse")
    stages: list[tuple[Stage, list[str], Path | None]] = [
        (
            "compile",
            on_ranks(bsb("compile", "circuit.yaml", "-v4", "--clear"), ranks),
            work / "cerebellum.hdf5",
        ),
        (
            "simulate",
            on_ranks(bsb("simulate", "cerebellum.hdf5", SIMULATION, "-o", f"results-{ranks}", "-v3"), ranks),
            work / f"results-{ranks}",
        ),
    ]
    if models:
        stages.insert(0, ("models", [sys.executable, "-m", "cerebellar_models", "models", "build"], None))
    rows = []
    for stage, command, product in stages:
        # The module of the models is built into a cache of its own only where its building is measured.
        cache = {"XDG_CACHE_HOME": str(work / "cache")} if stage == "models" else {}
        memory, seconds, cpu_seconds = run(command, work, work / f"{stage}.log", cache)
        expected = estimate(tree, model, stage, ranks)
        row = Measured(
            name,
            stage,
            ranks,
            memory,
            seconds,
            cpu_seconds,
            size_mb(product),
            expected.memory_mb_per_rank,
            expected.seconds,
            expected.storage_mb,
        )
        numbers = (
            memory,
            row.expected_memory_mb,
            seconds,
            cpu_seconds,
            row.expected_seconds,
            row.storage_mb,
            row.expected_storage_mb,
        )
        print(
            f"| {name} | {stage} | {ranks} | {' | '.join(f'{number:.4g}' for number in numbers)} |",
            flush=True,
        )
        rows.append(row)
    print(f"  {circuit_size(tree).total_contacts:.4g} contacts expected", file=sys.stderr)
    return rows


def run(command: list[str], work: Path, log: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Peak memory in MB of the largest process, seconds, and seconds of processors.

    :raises SystemExit: it failed.
    """
    usage = work / "usage"
    usage.mkdir(exist_ok=True)
    for left in usage.iterdir():
        left.unlink()
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CEREBELLAR_MODELS_USAGE": str(usage), **environment},
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
    ranks = [json.loads(path.read_text(encoding="utf-8"))["max_rss_kb"] for path in usage.glob("*.json")]
    return (
        max([*ranks, used.ru_maxrss] if len(ranks) < 2 else ranks) / 1024,
        seconds,
        used.ru_utime + used.ru_stime,
    )


def size_mb(product: Path | None) -> float:
    if product is None:
        return 0.0
    files = product.rglob("*") if product.is_dir() else [product]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


def rule_seconds(log: Path) -> dict[str, float]:
    """Seconds of each rule and placement, summed over its jobs."""
    begun: dict[tuple[str, str], datetime] = {}
    seconds: dict[str, float] = {}
    for time_text, state, block, rule in _JOB.findall(log.read_text(encoding="utf-8")):
        moment = datetime.fromisoformat(time_text)
        if state == "RUNNING":
            begun[block, rule] = moment
        elif (block, rule) in begun:
            seconds[rule] = seconds.get(rule, 0.0) + (moment - begun[block, rule]).total_seconds()
    return seconds


if __name__ == "__main__":
    main()
