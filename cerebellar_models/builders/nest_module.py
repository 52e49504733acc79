"""Builds the NEST extension module ``cerebmodule`` from the neuron models of the package, once per content.

A NESTML file defines each model. Where C++ of the same name lies beside it, that is what is compiled, and the
NESTML is the reference that the faster code is tested against. Where none does, NESTML generates it.

The module is kept in ``$XDG_CACHE_HOME/cerebellar-models/nest/<hash>/``, where the hash covers everything it
is made from. A file under its final name is complete: it is written elsewhere, renamed, and confirmed by its
checksum. Any number of processes may ask for it at once; one builds, the others wait.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cerebellar_models.builders.nest_installation import (
    ModelBuildError,
    NestInstallation,
    boost_include,
    mpi_compile_flags,
    nest_installation,
)
from cerebellar_models.builders.nest_registration import registration
from cerebellar_models.files import NO_ROOM
from cerebellar_models.installation import cache_folder, install_hint, system_hint

__all__ = [
    "MODULE",
    "RELAY",
    "ModelBuildError",
    "NestInstallation",
    "build",
    "is_built",
    "make_loadable",
    "models",
    "module_folder",
    "nest_installation",
    "require_nestml",
]

MODULE = "cerebmodule"
"""name of the module in ``nest.Install``"""

RELAY = "relay_neuron"
"""the module's own ``parrot_neuron``; not in it where NESTML generated the module"""

_HERE = Path(__file__).resolve().parent
_GENERATOR = _HERE / "nestml_to_cpp.py"
_SOURCES = _HERE.parent / "nest_models"
# No -march=native: a home folder, and the cache in it, is shared by different kinds of nodes.
_FLAGS = ("-std=c++20", "-O3", "-DNDEBUG", "-fPIC", "-fopenmp")
# NEST's headers name one type of libltdl, whose header the wheel lacks; used if the system has none.
_LTDL_STAND_IN = "#pragma once\ntypedef struct lt__handle* lt_dlhandle;\n"

Report = Callable[[str], None]


def models() -> tuple[str, ...]:
    """Names of the neuron models in the module."""
    return tuple(source.stem for source in _sources())


def module_folder() -> Path:
    """Folder where the module of this package, NEST and compiler is or will be.

    :raises ModelBuildError: NEST is not installed.
    """
    content = hashlib.sha256()
    for part in _ingredients(_require_nest()):
        content.update(part.encode() + b"\0")
    return cache_folder() / "nest" / content.hexdigest()[:20]


def is_built() -> bool:
    """Whether the module is in the cache, complete and unaltered. False without a NEST that it would fit."""
    try:
        return _is_complete(module_folder())
    except ModelBuildError:
        return False


def build(report: Report | None = None) -> Path:
    """Path of the module, which is built if the cache does not hold it (some 40 s on one core).

    :param report: is told in one line each what goes on.
    :raises ModelBuildError: something it needs is missing, or the compiler failed.
    """
    tell = report or (lambda line: None)
    folder = module_folder()
    if not _is_complete(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder, tell):
                if not _is_complete(folder):
                    if (folder / f"{MODULE}.so").exists():
                        tell(f"{_damaged(folder)}, building it anew")
                    _build_in(folder, tell)
        except OSError as error:
            fault = f"cannot write the NEST module to {folder}"
            if (folder / f"{MODULE}.so").exists():
                fault = f"{_damaged(folder)}, and cannot be built anew there"
            room = "make room there or " if error.errno in NO_ROOM else ""
            raise ModelBuildError(
                f"{fault} ({error.strerror}): {room}set XDG_CACHE_HOME to a folder that can be written"
            ) from error
    return folder / f"{MODULE}.so"


def make_loadable() -> None:
    """Make ``nest.Install("cerebmodule")`` find the module, in this process and those it starts.

    NEST's loader reads ``LD_LIBRARY_PATH`` when it is called, not when the process starts.
    """
    folder = str(module_folder())
    before = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    others = [path for path in before if path not in ("", folder)]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([folder, *others])


def require_nestml() -> None:
    """:raises ModelBuildError: a model has no C++, and NESTML, which would generate it, is not installed."""
    if (generated := _without_cpp()) and importlib.util.find_spec("pynestml") is None:
        names = ", ".join(source.name for source in generated)
        raise ModelBuildError(
            f"NESTML, which generates the C++ of {names}, is not installed: {install_hint('nestml')}"
        )


def _sources() -> list[Path]:
    return sorted(_SOURCES.glob("*.nestml"))


def _own_cpp() -> list[Path]:
    return sorted([*_SOURCES.glob("*.cpp"), *_SOURCES.glob("*.h")])


def _without_cpp() -> list[Path]:
    own = {file.name for file in _own_cpp()}
    return [source for source in _sources() if f"{source.stem}.cpp" not in own]


def _require_nest() -> NestInstallation:
    nest = nest_installation()
    if nest is None:
        raise ModelBuildError(f"NEST is not installed: {install_hint('nest')}")
    return nest


def _compiler() -> str:
    return os.environ.get("CXX") or "g++"


def _ingredients(nest: NestInstallation) -> Iterator[str]:
    """All that decides the bytes of the module, short of the compiler's version.

    That is left out so that a machine without a compiler, such as a container, can use a module built before.
    """
    builders = set(_HERE.glob("nest*.py"))
    if _without_cpp():
        try:
            yield importlib.metadata.version("nestml")
        except importlib.metadata.PackageNotFoundError:
            yield "no NESTML"
    else:
        builders.remove(_GENERATOR)
    yield from (nest.version, str(nest.has_mpi), str(nest.cxx11_abi))
    yield from (_compiler(), platform.machine(), *_FLAGS)
    for source in [*_sources(), *_own_cpp(), *sorted(builders)]:
        yield source.name
        yield source.read_text(encoding="utf-8")


def _damaged(folder: Path) -> str:
    return f"the NEST module {folder / f'{MODULE}.so'} is damaged (it is not the one its checksum tells of)"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_complete(folder: Path) -> bool:
    try:
        return (folder / "sha256").read_text(encoding="utf-8") == _digest(folder / f"{MODULE}.so")
    except (OSError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def _lock(folder: Path, tell: Report) -> Iterator[None]:
    """Only one process at a time gets past this; the lock of a process that died is free.

    File systems that cannot lock let all pass: then several build, and the last rename wins.
    """
    with (folder / "lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another process builds the NEST module, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            tell(f"{folder} is on a file system without locks, going on without")
        yield


def _build_in(folder: Path, tell: Report) -> None:
    nest = _require_nest()
    command = _compile_command(nest)
    log = folder / "build.log"
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder, ignore_cleanup_errors=True) as name:
        # NESTML writes a folder beside its target, too.
        work = Path(name) / "cpp"
        work.mkdir()
        log.write_text("", encoding="utf-8")
        if generated := _without_cpp():
            tell(
                f"generating C++ of {', '.join(source.stem for source in generated)} for NEST {nest.version}"
            )
        _write_cpp(nest, work, log)
        tell(f"compiling {MODULE} with {command[0]}")
        _compile(command, work, log)
        product = work / f"{MODULE}.so"
        digest = work / "sha256"
        digest.write_text(_digest(product), encoding="utf-8")
        product.replace(folder / product.name)
        digest.replace(folder / digest.name)
    for leftover in folder.glob("build-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    tell(f"built {folder / product.name}")


def _compile_command(nest: NestInstallation) -> list[str]:
    """Compiler with all flags; looks for everything a build needs before it starts."""
    require_nestml()
    if shutil.which(_compiler()) is None:
        raise ModelBuildError(f"the C++ compiler {_compiler()} is missing: {system_hint('g++', 'set CXX')}")
    boost = boost_include()
    return [
        _compiler(),
        *_FLAGS,
        f"-D_GLIBCXX_USE_CXX11_ABI={int(nest.cxx11_abi)}",
        f"-I{nest.include}",
        *([f"-I{boost}"] if boost else []),
        *(mpi_compile_flags() if nest.has_mpi else []),
    ]


def _write_cpp(nest: NestInstallation, work: Path, log: Path) -> None:
    if _without_cpp():
        _generate(nest, work, log)
    else:
        (work / f"{MODULE}.cpp").write_text(registration(MODULE, [*models(), RELAY]), encoding="utf-8")
    for own in _own_cpp():
        shutil.copy(own, work)


def _generate(nest: NestInstallation, work: Path, log: Path) -> None:
    """Of all models, as NESTML's registration is of those that it was given."""
    sources = [str(source) for source in _sources()]
    with log.open("a", encoding="utf-8") as output:
        done = subprocess.run(
            [sys.executable, str(_GENERATOR), nest.version, MODULE, str(work), *sources],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=work,
            check=False,
        )
    if done.returncode != 0:
        raise ModelBuildError(f"NESTML failed to generate the neuron models: see {log}")


def _compile(command: list[str], work: Path, log: Path, module: str = MODULE) -> None:
    """Compile the files in ``work`` side by side, one per core, and link them to ``module``."""
    (work / "stand-in").mkdir()
    (work / "stand-in" / "ltdl.h").write_text(_LTDL_STAND_IN, encoding="utf-8")
    files = sorted(work.glob("*.cpp"))
    places = ["-I.", "-idirafter", "stand-in"]
    with log.open("a", encoding="utf-8") as output:

        def run(*arguments: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen([*command, *arguments], stdout=output, stderr=subprocess.STDOUT, cwd=work)

        cores = len(os.sched_getaffinity(0))
        codes = []
        for start in range(0, len(files), cores):
            group = files[start : start + cores]
            running = [run(*places, "-c", file.name, "-o", f"{file.stem}.o") for file in group]
            codes += [process.wait() for process in running]
        if not any(codes):
            codes.append(run("-shared", *(f"{file.stem}.o" for file in files), "-o", f"{module}.so").wait())
    if any(codes):
        raise ModelBuildError(f"the C++ compiler failed on the neuron models: see {log}")
