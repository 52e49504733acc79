"""The host's launcher outside, the image's MPI inside: it works, or is found out before MPI starts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import missing

pytestmark = [pytest.mark.xdist_group("images"), pytest.mark.mpi]

# Starts two processes as launchers of other kinds do; `started` shows what they came to.
LAUNCHERS = {
    "Open MPI 5": (
        "mpirun (Open MPI) 5.0.3",
        "OMPI_VERSION=5.0.3 PMIX_NAMESPACE=prterun@1 PMIX_SERVER_URI2=x OMPI_COMM_WORLD_SIZE=2",
    ),
    "without PMI": ("mpirun (Open MPI) 4.1.4", ""),
    "Hydra": ("HYDRA build details: Version: 4.2", "PMI_RANK=0 PMI_SIZE=2 PMI_FD=7"),
    "Hydra that hides its name": ("", "PMI_RANK=0 PMI_SIZE=2 PMI_FD=7"),
}
FAKE = """#!/bin/sh
[ "$1" != --version ] || {{ echo '{version}'; exit 0; }}
shift 2
echo "$@" >>{started}
for rank in 0 1; do env {environment} "$@" || status=1; done
exit ${{status:-0}}
"""


@pytest.fixture
def preflight(apptainer, sif, tmp_path):
    """``preflight(*arguments)`` with the Apptainer of the tests, which is confined here."""
    beside = str(Path(apptainer.command[-1]).parent)

    def call(*arguments: str, launchers: Path | None = None) -> subprocess.CompletedProcess:
        own = {"APPTAINER_USERNS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        path = ":".join(filter(None, [launchers and str(launchers), beside, apptainer.environment["PATH"]]))
        return subprocess.run(
            [sys.executable, "-m", "cerebellar_models", "image", "preflight", str(sif), *arguments],
            env=apptainer.environment | own | {"PATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def _system_mpirun() -> str:
    found = shutil.which("mpirun", path="/usr/bin:/usr/local/bin")
    if found is None:
        missing("no mpirun of the system: apt install openmpi-bin")
    return str(found)


def test_ranks_of_the_hosts_mpirun_are_one_world_in_the_image(preflight, apptainer, sif):
    mpirun = [_system_mpirun(), "--oversubscribe", "-np", "2"]
    done = preflight("--launcher", " ".join(mpirun))
    assert done.returncode == 0, done.stderr
    assert "ok: mpirun (Open MPI) 4" in done.stdout
    own = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    in_image = [apptainer.command[-1], "--quiet", "exec", "--userns", str(sif), "python", "-m"]
    world = subprocess.run(
        [*mpirun, *in_image, "cerebellar_models.on_node.world_size", "2"],
        env=apptainer.environment | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert world.returncode == 0, world.stderr
    assert "2 ranks on 1 nodes" in world.stdout


@pytest.mark.parametrize(
    ("kind", "starts_ranks", "change"),
    [
        ("Open MPI 5", False, "load a module of Open MPI 4"),
        ("Hydra", False, "MPICH or Intel MPI"),
        ("Hydra that hides its name", True, "not Open MPI's"),
        ("without PMI", True, "no launcher with PMIx has started this"),
    ],
)
def test_another_launcher_is_found_out_before_mpi_starts(preflight, tmp_path, kind, starts_ranks, change):
    version, environment = LAUNCHERS[kind]
    started = tmp_path / "started"
    fake = tmp_path / "mpirun"
    fake.write_text(FAKE.format(version=version, started=started, environment=environment))
    fake.chmod(0o755)
    done = preflight(launchers=tmp_path)
    assert done.returncode == 1
    assert change in done.stderr and done.stderr.count("\n") == 1
    assert started.exists() is starts_ranks
    assert not started.exists() or "world_size" not in started.read_text()


def test_a_rank_that_does_not_see_the_launchers_folder_says_what_to_bind(apptainer, sif, tmp_path):
    """With --contain the image has a /tmp of its own."""
    own = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    in_image = [apptainer.command[-1], "--quiet", "exec", "--userns", "--contain", str(sif), "python", "-m"]
    done = subprocess.run(
        [
            _system_mpirun(),
            "--oversubscribe",
            "-np",
            "2",
            *in_image,
            "cerebellar_models.on_node.preflight",
            "2",
        ],
        env=apptainer.environment | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "bind it with --bind" in done.stdout
