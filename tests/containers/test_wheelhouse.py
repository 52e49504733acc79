"""`make wheelhouse`, installed where no network is."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import missing

# With the images: one after the other, for what they download.
pytestmark = [pytest.mark.xdist_group("images"), pytest.mark.mpi]

ROOT = Path(__file__).parents[2]
COUNT = (
    "import nest; from mpi4py.MPI import COMM_WORLD as world; "
    "assert nest.NumProcesses() == world.size == 2, (nest.NumProcesses(), world.size)"
)


def _ok(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory) -> Path:
    if not os.environ.get("CEREBELLAR_MODELS_REQUIRE_ALL"):
        pytest.skip("downloads all locked packages: set CEREBELLAR_MODELS_REQUIRE_ALL=1")
    key = subprocess.run(
        [ROOT / "containers/build-nest.sh", "--key"], capture_output=True, text=True, check=False
    )
    if key.returncode != 0:
        missing(key.stderr.strip())
    folder = tmp_path_factory.mktemp("wheelhouse") / "wheels"
    _ok(ROOT / "containers/wheelhouse.sh", folder, cwd=ROOT)
    return folder


def test_checksums_are_those_of_its_files(wheelhouse):
    listed = dict(line.split()[::-1] for line in (wheelhouse / "SHA256SUMS").read_text().splitlines())
    assert {name.removeprefix("./") for name in listed} == {
        path.name for path in wheelhouse.iterdir() if path.name != "SHA256SUMS"
    }
    for name, checksum in listed.items():
        assert hashlib.sha256((wheelhouse / name).read_bytes()).hexdigest() == checksum


def test_it_installs_and_runs_on_two_ranks_without_a_network(wheelhouse, tmp_path):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        missing("root, to take the network away")
    alone = ("unshare", "--net", "--")
    quiet = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | quiet
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PYNEST_QUIET": "1"}
    bin_folder = tmp_path / "venv/bin"
    _ok("python3", "-m", "venv", tmp_path / "venv", env=environment)
    wanted = "cerebellar-models[nest,neuron,parallel,report]"
    install = ("install", "--quiet", "--no-compile", "--no-index", "--find-links", wheelhouse, wanted)
    _ok(*alone, bin_folder / "pip", *install, env=environment)
    own = {"cwd": tmp_path, "env": environment}
    assert "written: circuit.yaml" in _ok(
        bin_folder / "cerebellar-models", "configure", "--preset", "tiny", **own
    )
    refused = subprocess.run(
        [bin_folder / "cerebellar-models", "image", "build"],
        capture_output=True,
        text=True,
        check=False,
        **own,
    )
    assert refused.returncode == 2 and "needs a checkout" in refused.stderr
    # Loopback is the network that MPI has among ranks of one machine.
    script = (
        f'ip link set lo up 2>/dev/null; exec mpirun --oversubscribe -np 2 {bin_folder / "python"} -c "$0"'
    )
    _ok(*alone, "sh", "-c", script, COUNT, **own)
