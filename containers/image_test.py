"""The image tests itself: MPI, NEST with the module, NEURON, HDF5 locks, a small circuit, versions, built files.

Usage: ``cerebellar-models-image-test [--json FILE] [--only NAME,...]``. One line a check goes to standard error, the
whole as JSON to FILE or standard output. Exit status 0 if all checks pass, 1 if not, 2 for wrong use. Writes
nothing but a folder below ``TMPDIR``, which it removes. A check that fails says why in one line.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sbom import FILES, files_below, sha256

HERE = Path(__file__).resolve().parent
SBOM = HERE.parent / "sbom.cdx.json"
RANKS = 2
LIMIT_S = 600
# What is in the environment although no lock names it: it is built.
BUILT = {"cerebellar-models", "nest-simulator"}

RING = """
from mpi4py.MPI import COMM_WORLD as world
import sys
rank, size = world.rank, world.size
if size != int(sys.argv[1]):
    sys.exit(f"MPI counts {size} ranks, not {sys.argv[1]}")
token = world.sendrecv([rank], dest=(rank + 1) % size, source=(rank - 1) % size)
for _ in range(size - 1):
    token = world.sendrecv([*token, rank], dest=(rank + 1) % size, source=(rank - 1) % size)
if sorted(token) != list(range(size)):
    sys.exit(f"the token of rank {rank} came by {token}")
"""

NEST = """
import sys
import nest
from cerebellar_models.builders import nest_module
nest.set_verbosity("M_ERROR")
if nest.NumProcesses() != int(sys.argv[1]):
    sys.exit(f"NEST counts {nest.NumProcesses()} processes, not {sys.argv[1]}")
nest_module.make_loadable()
nest.Install(nest_module.MODULE)
for model in nest_module.models():
    cells = nest.Create(model, 4)
    recorder = nest.Create("spike_recorder")
    nest.Connect(nest.Create("poisson_generator", params={"rate": 5000.0}), cells,
                 syn_spec={"weight": 5.0, "receptor_type": 1})
    nest.Connect(cells, recorder)
nest.Simulate(50.0)
"""

# Each rank has a cell with a mechanism; the spike of the first has to reach the others.
NEURON = """
import sys
from mpi4py import MPI
import glia
from neuron import h
h.load_file("stdrun.hoc")
parallel = h.ParallelContext()
if parallel.nhost() != int(sys.argv[1]):
    sys.exit(f"NEURON counts {parallel.nhost():.0f} ranks, not {sys.argv[1]}")
from patch import p
glia.load_library()
section = p.Section()
glia.insert(section, "Kv1_1")
rank = int(parallel.id())
# Of cells that fire by themselves, because that is what connects the ranks here.
cell = h.IntFire1()
source = h.NetStim()
source.number, source.start = (1 if rank == 0 else 0), 1.0
drive = h.NetCon(source, cell)
drive.weight[0] = 2.0
parallel.set_gid2node(rank, rank)
parallel.cell(rank, h.NetCon(cell, None))
received = h.Vector()
target = h.IntFire1()
link = parallel.gid_connect(0, target)
link.delay, link.weight[0] = 1.0, 0.0
link.record(received)
parallel.set_maxstep(1.0)
h.finitialize(-65.0)
parallel.psolve(10.0)
if len(received) != 1:
    sys.exit(f"rank {rank} got {len(received)} spikes of the first rank, not 1")
parallel.barrier()
h.quit()
"""

# BSB's own lock: an MPI window in which one rank at a time writes the file.
LOCKED_WRITES = """
import sys
import h5py
from mpi4py.MPI import COMM_WORLD as world
from mpilock import sync
lock = sync(world)
for _ in range(20):
    with lock.write(), h5py.File(sys.argv[1], "a") as file:
        file.attrs["writes"] = file.attrs.get("writes", 0) + 1
world.Barrier()
"""

OPEN_ELSEWHERE = "import h5py, sys; h5py.File(sys.argv[1], 'r')"


class Failed(Exception):
    """A check did not pass; the message is the reason, one line."""


def versions(work: Path) -> str:
    """The image holds what versions.env and requirements.lock name."""
    pinned = dict(
        line.split("=", 1)
        for line in (HERE / "versions.env").read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    _equal("Python", ".".join(platform.python_version_tuple()[:2]), pinned["PYTHON_VERSION"], "versions.env")
    locked = {
        _normal(name): version
        for name, version in re.findall(
            r"^(\S+?)==(\S+)", (HERE / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    installed = {_normal(package.name): package.version for package in importlib.metadata.distributions()}
    if "nest-simulator" in installed:
        _equal("nest-simulator", installed["nest-simulator"], pinned["NEST_VERSION"], "versions.env")
    for name in sorted(installed.keys() - BUILT):
        if name not in locked:
            raise Failed(f"{name} {installed[name]} is installed but not in requirements.lock")
        _equal(name, installed[name], locked[name], "requirements.lock")
    return f"{len(installed)} Python packages as locked"


def files(work: Path) -> str:
    """Python's packages, this one, the NEST module and the mechanisms are, file for file, what was built."""
    folder = SBOM.parent
    try:
        components = json.loads(SBOM.read_text("utf-8"))["components"]
        built = {item["name"]: item["hashes"][0]["content"] for item in components if item["type"] == "file"}
        lines = (folder / FILES).read_text("utf-8").splitlines()
    except (OSError, ValueError, KeyError) as error:
        raise Failed(f"{SBOM}: what was built cannot be read: {error}") from error
    if not any(name.endswith(".so") for name in built):
        raise Failed(f"{SBOM}: lists no built file: the image was built without the NEST module")
    # Who changes a file may change the list, too; the SBOM, which also travels alone, has it and what was compiled.
    listed = {str(folder / line[66:]): line[:64] for line in lines} | built
    there = {str(folder / name) for name in files_below(folder)} - {str(SBOM)}
    faults = [f"{path}: is missing; it was there when the image was built" for path in listed.keys() - there]
    faults += [
        f"{path}: is new since the image was built"
        for path in there - listed.keys()
        if not path.endswith(".pyc")
    ]
    faults += [
        f"{path}: is not what was built: its SHA-256 is not that of {SBOM.name if path in built else FILES}"
        for path in listed.keys() & there
        if sha256(Path(path)) != listed[path]
    ]
    if faults:
        raise Failed(sorted(faults)[0] + (f"; {len(faults) - 1} more" if len(faults) > 1 else ""))
    return f"{len(listed)} files as built"


def mpi(work: Path) -> str:
    """A message goes round all ranks, which count each other."""
    _on_ranks(RING, str(RANKS), cwd=work)
    return f"{_first_line('mpirun', '--version')}, {RANKS} ranks in a ring"


def nest(work: Path) -> str:
    """NEST counts the ranks and simulates the models of the module on them."""
    from cerebellar_models.builders import nest_module

    try:
        found = nest_module.nest_installation()
    except nest_module.ModelBuildError as error:
        raise Failed(str(error)) from error
    if found is None:
        raise Failed("NEST is not installed")
    if not found.has_mpi:
        raise Failed(
            f"NEST {found.version} was built without MPI: containers/build-nest.sh makes the wheel with it"
        )
    if not nest_module.is_built():
        raise Failed(
            f"{nest_module.module_folder()}: holds no whole {nest_module.MODULE} for this NEST and package"
        )
    _on_ranks(NEST, str(RANKS), cwd=work)
    return f"NEST {found.version} with MPI, {', '.join(nest_module.models())}"


def neuron(work: Path) -> str:
    """NEURON counts the ranks, inserts a mechanism and sends a spike from one to the other."""
    _on_ranks(NEURON, str(RANKS), cwd=work)
    return f"NEURON {importlib.metadata.version('neuron')}, mechanisms, a spike between ranks"


def hdf5(work: Path) -> str:
    """A file that is written is closed to others; ranks that write in turn lose nothing."""
    import h5py

    held = work / "held.hdf5"
    unset = {"HDF5_USE_FILE_LOCKING": "TRUE"}
    with h5py.File(held, "w", locking=True):
        other = subprocess.run(
            [sys.executable, "-c", OPEN_ELSEWHERE, str(held)],
            env=os.environ | unset,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if other.returncode == 0:
        raise Failed(
            f"{work}: its file system does not lock: a file open for writing was opened by another process"
        )
    if "lock" not in other.stderr:
        raise Failed(f"opening a locked file failed otherwise: {_last_line(other.stderr)}")
    shared = work / "shared.hdf5"
    _on_ranks(LOCKED_WRITES, str(shared), cwd=work)
    with h5py.File(shared) as file:
        writes = int(file.attrs["writes"])
    if writes != 20 * RANKS:
        raise Failed(f"{RANKS} ranks wrote in turn, and {writes} of {20 * RANKS} writes are left")
    return f"HDF5 {h5py.version.hdf5_version}, file lock and lock between ranks"


def circuit(work: Path) -> str:
    """The tiny circuit on 1 and 2 ranks is the same, cell for cell, synapse for synapse."""
    from cerebellar_models.analysis.read import read_circuit
    from cerebellar_models.analysis.read_digests import read_digests

    alone, together = compiled(work, 1), compiled(work, RANKS)
    one, two = (read_digests(path).circuit for path in (alone, together))
    for parts, others in ((one.populations, two.populations), (one.projections, two.projections)):
        for name in sorted(parts.keys() | others.keys()):
            if parts.get(name) != others.get(name):
                raise Failed(f"{name}: differs between 1 and {RANKS} ranks")
    found = read_circuit(alone)
    cells = sum(found.counts.values())
    synapses = sum(len(projection.pre_cells) for projection in found.projections)
    return f"{cells} cells and {synapses} synapses on 1 and {RANKS} ranks"


def simulation(work: Path) -> str:
    """A short simulation of the tiny circuit on 2 ranks reaches its end, and cells fire."""
    from cerebellar_models.analysis.read import read_activity

    path = compiled(work, RANKS)
    results = work / "results"
    _run(
        *MPIRUN,
        sys.executable,
        "-m",
        "bsb",
        "simulate",
        str(path),
        "basal_activity",
        "-o",
        str(results),
        cwd=work,
    )
    activity = read_activity(sorted(results.glob("*.nio")))
    spikes = sum(len(recording.spike_times) for recording in activity.recordings)
    if not spikes:
        raise Failed(f"no cell fired in {activity.duration:g} ms")
    return f"{activity.duration:g} ms on {RANKS} ranks, {spikes} spikes"


CHECKS: tuple[Callable[[Path], str], ...] = (versions, files, mpi, hdf5, neuron, nest, circuit, simulation)
MPIRUN = ("mpirun", "--oversubscribe", "-np", str(RANKS))


def compiled(work: Path, ranks: int) -> Path:
    """The tiny circuit, compiled on this many ranks if it is not yet."""
    folder = work / f"ranks{ranks}"
    path = folder / "cerebellum.hdf5"
    if not path.exists():
        folder.mkdir()
        choices = ("--preset", "tiny", "--simulation", "basal_activity", "--duration", "100")
        _run("cerebellar-models", "configure", *choices, cwd=folder)
        launcher = MPIRUN if ranks > 1 else ()
        _run(*launcher, sys.executable, "-m", "bsb", "compile", "circuit.yaml", "-v2", "--clear", cwd=folder)
    return path


def _on_ranks(program: str, *arguments: str, cwd: Path) -> None:
    _run(*MPIRUN, sys.executable, "-c", program, *arguments, cwd=cwd)


def _run(*command: str, cwd: Path) -> None:
    """:raises Failed: it ends with another status than 0, or not within the limit."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise Failed(f"no {name} in the image") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{name} did not end within {LIMIT_S} s") from error
    if done.returncode != 0:
        raise Failed(f"{name} ended with status {done.returncode}: {_last_line(done.stderr or done.stdout)}")


def _last_line(text: str) -> str:
    """The line that says most: the last before what mpirun says about it, in frames of dashes."""
    parts = [part for part in re.split(r"^-{20,}\n", text, flags=re.MULTILINE) if part.strip()]
    return parts[0].strip().splitlines()[-1].strip()[:300] if parts else "it said nothing"


def _first_line(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    ).stdout.split("\n")[0]


def _equal(name: str, found: str, wanted: str, where: str) -> None:
    if found != wanted:
        raise Failed(f"{name} is {found}, {where} names {wanted}")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _outcome(check: Callable[[Path], str], work: Path) -> dict[str, object]:
    start = time.monotonic()
    try:
        passed, detail = True, check(work)
    except Failed as reason:
        passed, detail = False, str(reason)
    except Exception as error:  # whatever is wrong with an image, the other checks are still made
        passed, detail = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
    seconds = round(time.monotonic() - start, 1)
    print(f"{'ok    ' if passed else 'FAILED'}  {check.__name__}: {detail}", file=sys.stderr, flush=True)
    return {"check": check.__name__, "passed": passed, "detail": detail, "seconds": seconds}


def main() -> int:
    names = [check.__name__ for check in CHECKS]
    parser = argparse.ArgumentParser(prog="cerebellar-models-image-test", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the result there, not to standard output"
    )
    parser.add_argument("--only", default=",".join(names), metavar="NAME,...", help=f"of {', '.join(names)}")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if unknown := set(wanted) - set(names):
        parser.error(f"--only: {', '.join(sorted(unknown))}: no such check; there are {', '.join(names)}")
    try:
        folder = tempfile.TemporaryDirectory(prefix="image-test-", ignore_cleanup_errors=True)
    except OSError as error:
        print(
            f"no folder for temporary files ({error}): give the container one with --tmpfs /tmp",
            file=sys.stderr,
        )
        return 2
    with folder as work:
        checks = [_outcome(check, Path(work)) for check in CHECKS if check.__name__ in wanted]
    passed = all(check["passed"] for check in checks)
    result = json.dumps(
        {
            "passed": passed,
            "version": importlib.metadata.version("cerebellar-models"),
            "machine": platform.machine(),
            "checks": checks,
        },
        indent=1,
    )
    if given.json is None:
        print(result)
    else:
        given.json.write_text(result + "\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
