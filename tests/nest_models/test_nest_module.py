"""The builder: cache, locks, faults, and the C++ against its NESTML reference."""

import os
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cerebellar_models.builders import nest_installation, nest_module
from cerebellar_models.builders.nest_module import MODULE, ModelBuildError

doctor = import_module("cerebellar_models.cli.doctor")  # its package has the command under this name
pytestmark = pytest.mark.usefixtures("nest_installed")

# A build with a compiler that never ends: what a test can kill in the middle.
ENDLESS_BUILD = """
import cerebellar_models.builders.nest_module as m
m._write_cpp = lambda nest, work, log: (work / "a.cpp").write_text("")
m.build(lambda line: print(line, flush=True))
"""

# As little as NESTML takes for a neuron.
NEURON = """
model {name}:
    state:
        V_m mV = -60 mV

    parameters:
        tau ms = 10 ms

    equations:
        V_m' = -V_m / tau

    input:
        spikes <- spike

    update:
        integrate_odes()
"""


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copied_cache(empty_cache, monkeypatch):
    """A cache of its own that holds a complete module."""
    own = os.environ["XDG_CACHE_HOME"]
    monkeypatch.undo()
    built = nest_module.build()
    monkeypatch.setenv("XDG_CACHE_HOME", own)
    shutil.copytree(built.parent, nest_module.module_folder())
    return nest_module.module_folder()


def change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def compiler_script(folder: Path, body: str) -> str:
    script = folder / "compiler"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return str(script)


def test_abi_is_read_from_nests_own_symbols(tmp_path):
    library = tmp_path / "nestkernel_api.so"
    # Both hold __cxx11 symbols of the standard library, as a manylinux wheel does.
    standard = b"\0_ZNSt7__cxx1112basic_stringIcE6appendEv"
    library.write_bytes(standard + b"\0_ZN4nest13KernelManager13write_to_dumpERKSs\0")
    assert not nest_installation.uses_cxx11_abi(library)
    library.write_bytes(standard + b"\0_ZN4nest4Node8set_nameENSt7__cxx1112basic_stringIcEE\0")
    assert nest_installation.uses_cxx11_abi(library)


def test_installation_is_found_without_importing_nest():
    code = (
        "import sys; from cerebellar_models.builders.nest_module import nest_installation;"
        "n = nest_installation(); assert 'nest' not in sys.modules; print(n.version, n.include)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    version, include = answer.split(maxsplit=1)
    assert version[0].isdigit()
    assert (Path(include.strip()) / "config.h").is_file()


def test_cache_hit_builds_nothing(copied_cache, monkeypatch):
    monkeypatch.setattr(nest_module, "_build_in", lambda *_: pytest.fail("built again"))
    before = (copied_cache / f"{MODULE}.so").stat().st_mtime_ns
    assert nest_module.build() == copied_cache / f"{MODULE}.so"
    assert (copied_cache / f"{MODULE}.so").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["absent", "truncated", "one byte", "unconfirmed"])
def test_damaged_cache_is_built_again(copied_cache, monkeypatch, damage):
    module = copied_cache / f"{MODULE}.so"
    if damage == "absent":
        module.unlink()
    elif damage == "truncated":
        module.write_bytes(module.read_bytes()[:1000])
    elif damage == "one byte":
        change_a_byte(module)
    else:
        (copied_cache / "sha256").unlink()
    assert not nest_module.is_built()
    rebuilt, said = [], []
    monkeypatch.setattr(nest_module, "_build_in", lambda folder, tell: rebuilt.append(folder))
    nest_module.build(said.append)
    assert rebuilt == [copied_cache]
    damaged = (
        f"the NEST module {module} is damaged (it is not the one its checksum tells of), building it anew"
    )
    assert said == ([] if damage == "absent" else [damaged])


def test_a_damaged_module_in_a_cache_that_cannot_be_written_is_named(copied_cache):
    module = copied_cache / f"{MODULE}.so"
    change_a_byte(module)
    (copied_cache / "lock").unlink(missing_ok=True)
    (copied_cache / "lock").mkdir()  # as root may write what is read-only
    with pytest.raises(ModelBuildError) as refusal:
        nest_module.build()
    assert str(refusal.value) == (
        f"the NEST module {module} is damaged (it is not the one its checksum tells of), and cannot be built anew "
        "there (Is a directory): set XDG_CACHE_HOME to a folder that can be written"
    )


def test_folder_depends_on_sources_and_compiler(tmp_path, monkeypatch):
    folder = nest_module.module_folder()
    monkeypatch.setenv("CXX", "another-compiler")
    assert nest_module.module_folder() != folder
    monkeypatch.delenv("CXX")
    shutil.copytree(nest_module._SOURCES, tmp_path / "models")
    monkeypatch.setattr(nest_module, "_SOURCES", tmp_path / "models")
    assert nest_module.module_folder() == folder
    source = next((tmp_path / "models").glob("*.nestml"))
    source.write_text(source.read_text() + "\n# changed\n")
    assert nest_module.module_folder() != folder


def test_folder_depends_on_nestml_only_where_it_generates(tmp_path, monkeypatch):
    def folders() -> set[Path]:
        found = set()
        for version in ("9.0.0", "9.0.1"):
            monkeypatch.setattr(
                nest_module.importlib.metadata, "version", lambda name, version=version: version
            )
            found.add(nest_module.module_folder())
        return found

    assert len(folders()) == 1
    shutil.copytree(nest_module._SOURCES, tmp_path / "models")
    (tmp_path / "models" / "mine.nestml").write_text(NEURON.format(name="mine"))
    monkeypatch.setattr(nest_module, "_SOURCES", tmp_path / "models")
    assert len(folders()) == 2


@pytest.mark.usefixtures("nestml_installed")
def test_a_model_of_ones_own_is_generated_and_registered_beside_one_that_has_cpp(tmp_path, monkeypatch):
    sources = tmp_path / "models"
    sources.mkdir()
    for name in ("mine", "written"):
        (sources / f"{name}.nestml").write_text(NEURON.format(name=name))
    for suffix in ("cpp", "h"):
        (sources / f"written.{suffix}").write_text("// by hand\n")
    monkeypatch.setattr(nest_module, "_SOURCES", sources)
    work, log = tmp_path / "work", tmp_path / "log"
    work.mkdir()
    nest_module._write_cpp(nest_module.nest_installation(), work, log)
    assert (work / "written.cpp").read_text() == (work / "written.h").read_text() == "// by hand\n"
    assert "register_mine" in (work / "mine.cpp").read_text()
    registered = (work / f"{MODULE}.cpp").read_text()
    assert 'register_mine("mine")' in registered and 'register_written("written")' in registered


def test_library_path_is_prepended_once(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    nest_module.make_loadable()
    nest_module.make_loadable()
    assert os.environ["LD_LIBRARY_PATH"] == f"{nest_module.module_folder()}{os.pathsep}/elsewhere"


def test_no_compiler_is_one_clear_error(empty_cache, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelBuildError, match=r"g\+\+ is missing: .*package of g\+\+, or set CXX") as error:
        nest_module.build()
    assert "\n" not in str(error.value)
    assert not nest_module.is_built()


def test_unwritable_cache_is_a_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelBuildError, match="XDG_CACHE_HOME"):
        nest_module.build()


def test_no_nestml_is_a_clear_error_where_a_model_needs_it(empty_cache, tmp_path, monkeypatch):
    find = nest_module.importlib.util.find_spec
    monkeypatch.setattr(
        nest_module.importlib.util, "find_spec", lambda name: None if name == "pynestml" else find(name)
    )
    nest_module.require_nestml()  # not by ours
    shutil.copytree(nest_module._SOURCES, tmp_path / "models")
    (tmp_path / "models" / "mine.nestml").write_text(NEURON.format(name="mine"))
    monkeypatch.setattr(nest_module, "_SOURCES", tmp_path / "models")
    refusal = r"NESTML, which generates the C\+\+ of mine\.nestml, is not installed: .*nestml\b"
    with pytest.raises(ModelBuildError, match=refusal) as error:
        nest_module.build()
    assert "\n" not in str(error.value)
    with pytest.raises(doctor._Broken, match=refusal):
        doctor._nest()


def test_failing_compiler_names_its_log(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", compiler_script(tmp_path, "echo no luck; exit 1"))
    monkeypatch.setattr(nest_module, "_write_cpp", lambda nest, work, log: (work / "a.cpp").write_text(""))
    with pytest.raises(ModelBuildError, match=r"see .*build\.log"):
        nest_module.build()
    assert "no luck" in (nest_module.module_folder() / "build.log").read_text()
    assert not list(nest_module.module_folder().glob("build-*"))


def test_killed_build_leaves_no_module_and_no_lock(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", compiler_script(tmp_path, "exec sleep 60"))
    command = [sys.executable, "-c", ENDLESS_BUILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert any("compiling" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGKILL)
    folder = nest_module.module_folder()
    assert list(folder.glob("build-*"))
    assert not (folder / f"{MODULE}.so").exists()
    assert not nest_module.is_built()
    # Waits for a child that is still dying, but would hang on a lock that outlives its process.
    with nest_module._lock(folder, lambda line: None):
        pass


def test_processes_that_start_together_build_once(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", compiler_script(tmp_path, f'echo "$@" >> {tmp_path}/calls\nexec g++ "$@" -O0'))
    # NESTML has no part in it.
    (tmp_path / "pynestml.py").write_text("raise SystemExit('NESTML was imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    code = "import cerebellar_models.nest_models"
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    linked = [call for call in (tmp_path / "calls").read_text().splitlines() if "-shared" in call]
    assert len(linked) == 1
    assert nest_module.is_built()
    assert not list(nest_module.module_folder().glob("build-*"))
    check = f"{code}, nest; nest.Install('cerebmodule'); nest.Create('{nest_module.models()[0]}')"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)
