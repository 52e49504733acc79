"""Where a file system has no locks, which HDF5 wants: what is said, and what is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from support import command_line, missing

from cerebellar_models.analysis.read import read_configuration
from cerebellar_models.errors import RunError

SOURCE = Path(__file__).parents[1] / "no_locks.c"
READ = (
    "import sys; from pathlib import Path; from cerebellar_models.analysis.read import read_circuit; "
    "read_circuit(Path(sys.argv[1]))"
)


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory) -> dict[str, str]:
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        missing("no C compiler")
    library = tmp_path_factory.mktemp("no_locks") / "no_locks.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return {"LD_PRELOAD": str(library)}


def test_compiling_names_the_setting_in_one_line(no_locks, tiny_folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bsb", "compile", str(tiny_folder / "circuit.yaml"), "-v1", "--clear"],
        cwd=tmp_path,
        env=os.environ | no_locks,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line]
    assert "HDF5_USE_FILE_LOCKING=FALSE" in lines[-1] and "Traceback" not in done.stderr, done.stderr


def test_a_run_and_doctor_name_it_too(no_locks, tmp_path):
    ran = command_line("run", "--preset", "tiny", "--simulation", "basal_activity", cwd=tmp_path, **no_locks)
    assert ran.returncode == 1 and "HDF5_USE_FILE_LOCKING=FALSE" in ran.stderr, ran.stderr
    doctor = command_line("doctor", cwd=tmp_path, **no_locks)
    assert (
        doctor.returncode == 1
        and f"cannot lock files in {tmp_path}: set HDF5_USE_FILE_LOCKING" in doctor.stdout
    )


def test_reading_says_that_another_writes_only_if_one_does(no_locks, tiny_folder, tmp_path):
    circuit = tmp_path / "c.hdf5"
    shutil.copy(tiny_folder / "cerebellum.hdf5", circuit)
    alone = subprocess.run(
        [sys.executable, "-c", READ, circuit],
        env=os.environ | no_locks,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "HDF5_USE_FILE_LOCKING=FALSE" in alone.stderr.splitlines()[-1]
    assert "another process" not in alone.stderr
    writing = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print(flush=True); input()",
            circuit,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert writing.stdout is not None
        writing.stdout.readline()
        with pytest.raises(RunError, match="another process is writing it"):
            read_configuration(circuit)
    finally:
        writing.communicate(b"\n")
    with h5py.File(circuit, "r"):
        assert read_configuration(circuit)["name"]
