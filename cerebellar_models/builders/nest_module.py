"""Builds the NEST extension module ``cerebmodule`` from the neuron models of the package, once per content.

NESTML generates the C++ of every model and of the module. Where C++ of the same name lies beside a NESTML
file, it replaces the generated one: the NESTML is then the reference that the faster code is tested against.

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

from ..cache import cache_folder
from .nest_installation import (
    ModelBuildError,
    NestInstallation,
    boost_include,
    mpi_compile_flags,
    nest_installation,
)

__all__ = [
    "MODULE",
    "ModelBuildError",
    "NestInstallation",
    "build",
    "is_built",
    "make_loadable",
    "models",
    "module_folder",
    "nest_installation",
]

MODULE = "cerebmodule"
"""name of the module in ``nest.Install``"""

_HERE = Path(__file__).resolve().parent
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
    """Whether the module is in the cache, complete and unaltered. False without NEST."""
    return nest_installation() is not None and _is_complete(module_folder())


def build(report: Report | None = None) -> Path:
    """Path of the module, which is built if the cache does not hold it (about a minute on one core).

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
                    _build_in(folder, tell)
        except OSError as error:
            reason = f"cannot write the NEST module to {folder} ({error.strerror})"
            raise ModelBuildError(f"{reason}: make room there or set XDG_CACHE_HOME") from error
    return folder / f"{MODULE}.so"


def make_loadable() -> None:
    """Make ``nest.Install("cerebmodule")`` find the module, in this process and those it starts.

    NEST's loader reads ``LD_LIBRARY_PATH`` when it is called, not when the process starts.
    """
    folder = str(module_folder())
    before = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    others = [path for path in before if path not in ("", folder)]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([folder, *others])


def _sources() -> list[Path]:
    return sorted(_SOURCES.glob("*.nestml"))


def _own_cpp() -> list[Path]:
    return sorted([*_SOURCES.glob("*.cpp"), *_SOURCES.glob("*.h")])


def _require_nest() -> NestInstallation:
    nest = nest_installation()
    if nest is None:
        raise ModelBuildError("NEST is not installed: pip install 'nest-simulator>=3.10,<3.11'")
    return nest


def _compiler() -> str:
    return os.environ.get("CXX") or "g++"


def _ingredients(nest: NestInstallation) -> Iterator[str]:
    """All that decides the bytes of the module, short of the compiler's version.

    That is left out so that a machine without a compiler, such as a container, can use a module built before.
    """
    try:
        yield importlib.metadata.version("nestml")
    except importlib.metadata.PackageNotFoundError:
        yield "no NESTML"
    yield from (nest.version, str(nest.has_mpi), str(nest.cxx11_abi))
    yield from (_compiler(), platform.machine(), *_FLAGS)
    for source in [*_sources(), *_own_cpp(), *sorted(_HERE.glob("nest*.py"))]:
        yield source.name
        yield source.read_text()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_complete(folder: Path) -> bool:
    try:
        return (folder / "sha256").read_text() == _digest(folder / f"{MODULE}.so")
    except OSError:
        return False


@contextlib.contextmanager
def _lock(folder: Path, tell: Report) -> Iterator[None]:
    """Only one process at a time gets past this; the lock of a process that died is free.

    File systems that cannot lock let all pass: then several build, and the last rename wins.
    """
    with (folder / "lock").open("w") as file:
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
        tell(f"generating C++ of {', '.join(models())} for NEST {nest.version}")
        _generate(nest, work, log)
        tell(f"compiling {MODULE} with {command[0]}")
        _compile(command, work, log)
        product = work / f"{MODULE}.so"
        digest = work / "sha256"
        digest.write_text(_digest(product))
        product.replace(folder / product.name)
        digest.replace(folder / digest.name)
    for leftover in folder.glob("build-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    tell(f"built {folder / product.name}")


def _compile_command(nest: NestInstallation) -> list[str]:
    """Compiler with all flags; looks for everything a build needs before it starts."""
    if importlib.util.find_spec("pynestml") is None:
        raise ModelBuildError("NESTML, which generates C++, is not installed: pip install 'nestml>=9.0,<10'")
    if shutil.which(_compiler()) is None:
        raise ModelBuildError(f"the C++ compiler {_compiler()} is missing: apt install g++ (or set CXX)")
    boost = boost_include()
    return [
        _compiler(),
        *_FLAGS,
        f"-D_GLIBCXX_USE_CXX11_ABI={int(nest.cxx11_abi)}",
        f"-I{nest.include}",
        *([f"-I{boost}"] if boost else []),
        *(mpi_compile_flags() if nest.has_mpi else []),
    ]


def _generate(nest: NestInstallation, work: Path, log: Path) -> None:
    sources = [str(source) for source in _sources()]
    script = str(_HERE / "nestml_to_cpp.py")
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, script, nest.version, MODULE, str(work), *sources],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=work,
            check=False,
        )
    if done.returncode != 0:
        raise ModelBuildError(f"NESTML failed to generate the neuron models: see {log}")
    for replacement in _own_cpp():
        shutil.copy(replacement, work)


def _compile(command: list[str], work: Path, log: Path, module: str = MODULE) -> None:
    """Compile the files in ``work`` side by side, one per core, and link them to ``module``."""
    (work / "stand-in").mkdir()
    (work / "stand-in" / "ltdl.h").write_text(_LTDL_STAND_IN)
    files = sorted(work.glob("*.cpp"))
    places = ["-I.", "-idirafter", "stand-in"]
    with log.open("a") as output:

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
