"""A launcher that does not know the MPI of the image is found out, with what to change, before MPI starts."""

import os
import shutil
import subprocess
import sys

import pytest
from support import missing

from cerebellar_models.mpi_series import series_mismatch
from cerebellar_models.on_node.preflight import mismatch, mismatch_on_host

DEBIAN = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4"
NEWER = "Open MPI v5.0.11, package: x"
# What mpirun 4.1.4, mpirun 5.0.11, srun with and without PMIx, and Hydra leave a rank of two.
MPIRUN4 = {
    "PMIX_NAMESPACE": "1250426881",
    "PMIX_RANK": "0",
    "PMIX_SERVER_URI2": "1250426880.0;tcp4://127.0.0.1:1",
    "PMIX_SERVER_TMPDIR": "/tmp/ompi.vm.0/pid.9846",
    "OMPI_COMM_WORLD_SIZE": "2",
}
MPIRUN5 = MPIRUN4 | {"PMIX_NAMESPACE": "prterun-vm-1@1", "OMPI_VERSION": "5.0.11"}
SRUN = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}
SRUN_PMIX = {name: value for name, value in (SRUN | MPIRUN4).items() if not name.startswith("OMPI")}
HYDRA = {"PMI_RANK": "0", "PMI_SIZE": "2", "PMI_FD": "7"}


@pytest.mark.parametrize(
    ("environment", "library"),
    [
        (MPIRUN4, DEBIAN),
        (MPIRUN4, NEWER),
        (MPIRUN5, NEWER),
        (SRUN_PMIX, DEBIAN),
        (HYDRA, "MPICH Version: 4.2"),
    ],
)
def test_what_connects_is_let_pass(environment, library):
    assert mismatch(environment, 2, library, folder_exists=lambda path: True) is None


def test_one_rank_needs_no_launcher():
    assert mismatch({}, 1, DEBIAN) is None


@pytest.mark.parametrize(
    ("environment", "change"),
    [
        ({}, "mpirun, or with srun --mpi=pmix"),
        (HYDRA, "not Open MPI's"),
        (SRUN, "give it --mpi=pmix"),
        (SRUN | {"SLURM_MPI_TYPE": "pmi2"}, "(--mpi=pmi2)"),
        (MPIRUN5, "load a module of Open MPI 4"),
        (MPIRUN4 | {"OMPI_COMM_WORLD_SIZE": "3"}, "-np 2"),
        ({name: MPIRUN4[name] for name in ("PMIX_NAMESPACE", "PMIX_RANK")}, "series 1"),
    ],
)
def test_what_does_not_connect_is_refused_with_what_to_change(environment, change):
    reason = mismatch(environment, 2, DEBIAN, folder_exists=lambda path: True)
    assert reason is not None and change in reason and "\n" not in reason


def test_a_launchers_folder_that_the_image_does_not_see_is_named():
    reason = mismatch(MPIRUN4, 2, DEBIAN, folder_exists=lambda path: False)
    assert reason is not None and "/tmp/ompi.vm.0/pid.9846" in reason and "--bind" in reason


@pytest.mark.parametrize(
    ("outside", "inside", "says"),
    [
        ("mpirun (Open MPI) 4.1.4", "mpirun (Open MPI) 4.1.4", None),
        ("mpirun (Open MPI) 4.0.2", "mpirun (Open MPI) 4.1.4", None),
        ("mpirun (Open MPI) 4.1.4", "mpirun (Open MPI) 5.0.11", None),
        ("mpirun (Open MPI) 5.0.3", "mpirun (Open MPI) 4.1.4", "Open MPI 5.0.3"),
        ("mpirun (Open MPI) 3.1.6", "mpirun (Open MPI) 4.1.4", "Open MPI 3.1.6"),
        ("HYDRA build details:", "mpirun (Open MPI) 4.1.4", "MPICH or Intel MPI"),
        ("Intel(R) MPI Library for Linux* OS", "mpirun (Open MPI) 4.1.4", "MPICH or Intel MPI"),
        ("slurm 23.02.7", "mpirun (Open MPI) 4.1.4", None),
    ],
)
def test_series_of_the_launcher_and_of_the_image(outside, inside, says):
    reason = series_mismatch(outside, inside)
    assert reason is None if says is None else reason is not None and says in reason


def test_started_without_a_launcher_it_fails_and_starts_no_mpi(mpi_installed):
    done = subprocess.run(
        [sys.executable, "-m", "cerebellar_models.on_node.preflight", "2"],
        env={
            name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI", "SLURM"))
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1 and "would be alone" in done.stdout


@pytest.mark.parametrize(
    ("environment", "library", "says"),
    [
        (MPIRUN4, DEBIAN, None),
        (MPIRUN4, NEWER, None),
        (MPIRUN5, NEWER, None),
        (MPIRUN5, DEBIAN, "put the mpirun of Open MPI 4 first on PATH"),
        (SRUN, DEBIAN, None),  # an Open MPI that was built for this SLURM's own PMI
        (HYDRA, "MPICH Version: 4.2", None),
        ({}, DEBIAN, None),
    ],
)
def test_without_an_image_only_the_series_speaks_against_a_launcher(environment, library, says):
    reason = mismatch_on_host(environment, library)
    assert reason is None if says is None else reason is not None and says in reason and "\n" not in reason


@pytest.fixture
def stub(tmp_path):
    """``stub(*arguments, ...)`` asks the module, with packages of one's own before those of this Python."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "cerebellar_models.on_node.preflight", "1", *arguments],
            env=os.environ | {"PYTHONPATH": str(tmp_path)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_nest_that_needs_another_mpi_is_found_out_before_it_simulates(stub, tmp_path, mpi_installed):
    """As the C++ part of Open MPI 4 where Open MPI 5 has put its libraries first: MPI starts, a symbol is missing."""
    compiler = shutil.which("g++")
    if compiler is None:
        missing("no C++ compiler")
    kernel = tmp_path / "nest/nestkernel_api.cpython-311-x86_64-linux-gnu.so"
    kernel.parent.mkdir()
    (kernel.parent / "__init__.py").write_text("raise SystemExit('NEST was started')")
    (tmp_path / "kernel.cpp").write_text('extern "C" void of_series_4(); void f() { of_series_4(); }')
    subprocess.run([str(compiler), "-shared", "-fPIC", "-o", kernel, tmp_path / "kernel.cpp"], check=True)
    compiling = stub("--on-host", "--stage", "compile")
    assert (compiling.returncode, compiling.stdout) == (0, ""), "compiling needs no NEST"
    for where in (["--on-host"], []):
        done = stub(*where, "--stage", "simulate")
        assert done.returncode == 1 and done.stdout.count("\n") == 1
        assert "NEST does not load: " in done.stdout and "of_series_4" in done.stdout
        assert "libmpi" in done.stdout and "put the mpirun that NEST was built with first" in done.stdout


def test_a_nest_that_fits_is_let_pass_and_not_started(stub, nest_installed, mpi_installed):
    done = stub("--on-host", "--stage", "simulate")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_mpi_that_is_not_there_is_one_line(stub, tmp_path):
    package = tmp_path / "mpi4py"
    package.mkdir()
    (package / "__init__.py").write_text("class rc: pass\n")
    (package / "MPI.py").write_text(
        "raise RuntimeError('cannot load MPI library\\nlibmpi.so: cannot open')\n"
    )
    done = stub("--on-host")
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.startswith(
        "mpi4py does not load: cannot load MPI library libmpi.so: cannot open: load the module"
    )
    assert done.stdout.count("\n") == 1
