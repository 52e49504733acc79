"""A module that the system refuses to load, or a NEST that is none, is named before anything is computed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import command_line, missing

from cerebellar_models.builders import nest_module
from cerebellar_models.builders.loading import check_loadable
from cerebellar_models.builders.nest_installation import ModelBuildError, nest_installation

pytestmark = pytest.mark.usefixtures("nest_installed")


@pytest.fixture
def noexec_cache(tmp_path) -> Path:
    """A cache on a file system mounted noexec that holds a complete module."""
    if os.geteuid() != 0:
        missing("root, to mount a file system noexec")
    folder = tmp_path / "noexec"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", folder], check=False).returncode:
        missing("a mount of a file system noexec")
    built = nest_module.build().parent
    shutil.copytree(built, folder / built.relative_to(built.parents[2]))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_module_on_a_noexec_mount_is_named_before_a_run_compiles(noexec_cache, tmp_path):
    (module,) = noexec_cache.rglob("*.so")
    says = f"the NEST module {module} cannot be loaded (its file system is mounted noexec): set XDG_CACHE_HOME to"
    cache = {"XDG_CACHE_HOME": str(noexec_cache)}
    built = command_line("models", "build", cwd=tmp_path, **cache)
    assert built.returncode == 1 and says in built.stderr and "Traceback" not in built.stderr
    run = command_line("run", "--preset", "tiny", "-o", "r", cwd=tmp_path, **cache)
    assert run.returncode == 1 and says in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "r" / "cerebellum.hdf5").exists()
    assert not (tmp_path / "r" / "logs" / "compile.log").exists()
    doctor = command_line("doctor", cwd=tmp_path, **cache)
    assert doctor.returncode == 1 and f"!!  NEST: {says}" in doctor.stdout


@pytest.mark.parametrize("length", [0, 100, 20000])
def test_a_module_that_is_no_library_is_named(tmp_path, length):
    module = tmp_path / "cerebmodule.so"
    module.write_bytes(nest_module.build().read_bytes()[:length])
    with pytest.raises(ModelBuildError, match="set XDG_CACHE_HOME to a folder elsewhere") as refusal:
        check_loadable(module)
    assert str(refusal.value).startswith(f"the NEST module {module} cannot be loaded (")
    assert "\n" not in str(refusal.value)


def test_the_module_that_was_built_is_loadable():
    check_loadable(nest_module.build())


@pytest.fixture
def other_nest(tmp_path):
    """``other_nest(**files)``: a folder in which Python finds a ``nest`` of these files."""

    def write(**files: bytes) -> Path:
        (tmp_path / "other" / "nest").mkdir(parents=True)
        for name, content in ({"__init__.py": b""} | files).items():
            (tmp_path / "other" / "nest" / name).write_bytes(content)
        return tmp_path / "other"

    return write


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "has no nestkernel_api*.so"),
        (
            {"nestkernel_api.cpython-27-arm.so": b"x"},
            "has a nestkernel_api.cpython-27-arm.so that is of another Python",
        ),
        ({"nestkernel_api.so": b""}, "has a nestkernel_api.so that is empty"),
    ],
    ids=["without a kernel", "of another Python", "empty"],
)
def test_what_is_no_nest_is_named_with_its_folder(other_nest, monkeypatch, tmp_path, files, reason):
    folder = other_nest(**files)
    monkeypatch.delitem(sys.modules, "nest", raising=False)  # of a test before
    monkeypatch.syspath_prepend(folder)
    nest_installation.cache_clear()
    try:
        with pytest.raises(ModelBuildError) as refusal:
            nest_installation()
        start = f"{folder / 'nest'} is what Python imports as nest, but {reason}: "
        assert str(refusal.value).startswith(f"{start}move it elsewhere, then ")
        monkeypatch.setenv("PYTHONPATH", str(folder))
        with pytest.raises(ModelBuildError) as refusal:
            nest_installation()
        assert str(refusal.value) == f"{start}take {folder} off PYTHONPATH"
        assert not nest_module.is_built()
    finally:
        nest_installation.cache_clear()


@pytest.mark.parametrize(
    "command", [("run", "--preset", "tiny", "-o", "r"), ("models", "build"), ("models", "list"), ("doctor",)]
)
def test_commands_name_the_folder_of_another_nest(other_nest, tmp_path, command):
    folder = other_nest()
    done = command_line(*command, cwd=tmp_path, PYTHONPATH=str(folder))
    assert "Traceback" not in done.stderr
    if command == ("models", "list"):  # which needs no NEST
        assert done.returncode == 0 and "not built" in done.stdout
    else:
        assert done.returncode == 1
        assert f"take {folder} off PYTHONPATH" in done.stdout + done.stderr
    assert not (tmp_path / "r").exists()
