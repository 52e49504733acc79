"""What the NEST of this Python can be extended with, found without importing it.

Importing ``nest`` starts its kernel, and aborts the process under ``mpirun`` if NEST has no MPI.
"""

import importlib.util
import mmap
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from cerebellar_models.errors import RunError
from cerebellar_models.installation import packages_hint, system_hint


class ModelBuildError(RunError):
    """A model cannot be built here; the message is one line that says what is missing and how to get it."""


@dataclass(frozen=True)
class NestInstallation:
    """NEST as far as an extension module depends on it."""

    version: str
    package: Path
    """folder of the Python package ``nest``"""
    library: Path
    """the extension of Python that is NEST's kernel"""
    include: Path
    """folder of NEST's C++ headers"""
    has_mpi: bool
    cxx11_abi: bool
    """whether its ``std::string`` is ``std::__cxx11::basic_string``; manylinux2014 wheels have the other"""


@cache
def nest_installation() -> NestInstallation | None:
    """NEST of this Python, or None if it is not installed.

    :raises ModelBuildError: what Python finds as ``nest`` is no NEST for it, or has no headers.
    """
    package = _package()
    if package is None:
        return None
    library = _kernel_library(package)
    include = _include_folder(package)
    config = (include / "config.h").read_text(encoding="utf-8", errors="replace")
    version = re.search(r'^#define NEST_VERSION "(.+)"', config, re.MULTILINE)
    if version is None:
        raise ModelBuildError(f"{include / 'config.h'} names no NEST version; reinstall nest-simulator")
    return NestInstallation(
        version=version[1],
        package=package,
        library=library,
        include=include,
        has_mpi=re.search(r"^#define HAVE_MPI\b", config, re.MULTILINE) is not None,
        cxx11_abi=uses_cxx11_abi(library),
    )


def uses_cxx11_abi(library: Path) -> bool:
    """Whether the functions of ``nest::`` in a shared library take strings of the newer C++ ABI.

    Only NEST's own symbols count: a wheel with the older ABI holds ``__cxx11`` symbols too, from the part of
    the standard library that is linked into it.
    """
    newer = re.compile(rb"\0_ZNK?4nest[\w]*NSt7__cxx1112basic_string")
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as symbols:
        # One function that NEST has had since version 3.0 decides fast: its name ends in the argument.
        if symbols.find(b"write_to_dumpERKSs\0") >= 0:
            return False
        return symbols.find(b"write_to_dumpERKNSt7__cxx11") >= 0 or newer.search(symbols) is not None


def mpi_compile_flags() -> list[str]:
    """Flags that find the headers of MPI, as its compiler wrapper tells them.

    :raises ModelBuildError: there is no wrapper.
    """
    wrapper = shutil.which("mpicxx") or shutil.which("mpic++")
    # Open MPI knows the first option, MPICH and its derivatives the second.
    for option in ("--showme:compile", "-compile_info"):
        if wrapper is None:
            break
        answer = subprocess.run(
            [wrapper, option], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        if answer.returncode == 0:
            words = shlex.split(answer.stdout)
            return [word for word in words if word.startswith(("-I", "-D"))]
    raise ModelBuildError(
        "NEST was built with MPI, but mpicxx is missing to find MPI's headers: "
        + system_hint("libopenmpi-dev", "load the MPI module of this cluster")
    )


def boost_include() -> Path | None:
    """Folder to add for the Boost headers, None if the compiler finds them by itself.

    :raises ModelBuildError: there are none.
    """
    package = importlib.util.find_spec("boost_headers")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "include"
        if (folder / "boost").is_dir():
            return folder
    for prefix in (Path("/usr"), Path("/usr/local")):
        if (prefix / "include" / "boost").is_dir():
            return None
    raise ModelBuildError(f"the Boost headers that NEST needs are missing: {packages_hint('boost-headers')}")


def _package() -> Path | None:
    """Folder of what Python would import as ``nest``, or its file; a folder without ``__init__.py`` does not count."""
    found = importlib.util.find_spec("nest")
    if found is None or found.origin is None:
        return None
    origin = Path(found.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _kernel_library(package: Path) -> Path:
    for suffix in EXTENSION_SUFFIXES:
        library = package / f"nestkernel_api{suffix}"
        if library.is_file() and library.stat().st_size > 0:
            return library
    others = sorted(package.glob("nestkernel_api*.so"))
    reason = "has no nestkernel_api*.so"
    if others:
        state = "of another Python" if others[0].stat().st_size else "empty"
        reason = f"has a {others[0].name} that is {state}"
    raise ModelBuildError(f"{package} is what Python imports as nest, but {reason}: {_way_out(package)}")


def _way_out(package: Path) -> str:
    folder = package.parent
    added = [Path(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if folder in (path.absolute() for path in added):
        return f"take {folder} off PYTHONPATH"
    if folder == Path.cwd():
        return f"rename {package.name}, or start in another folder"
    return f"move it elsewhere, then {packages_hint('nest-simulator')}"


def _include_folder(package: Path) -> Path:
    # The wheel has its headers inside the package; a source build has them under its prefix, some levels up.
    candidates = [folder / "include" / "nest" for folder in (package, *package.parents[:6])]
    for folder in [*candidates, *_nest_config_includes()]:
        if (folder / "config.h").is_file() and (folder / "ring_buffer.h").is_file():
            return folder
    raise ModelBuildError(
        f"NEST in {package} has no C++ headers, which its extension modules need: {packages_hint('nest-simulator')}"
    )


def _nest_config_includes() -> list[Path]:
    """Asked last: the wheel's ``nest-config`` names the folders of the machine it was built on."""
    command = shutil.which("nest-config")
    if command is None:
        return []
    answer = subprocess.run(
        [command, "--includes"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return [Path(word[2:]) for word in shlex.split(answer.stdout) if word.startswith("-I")]
