"""Whether this system loads a built module, and why not: NEST's loader says "file not found" of whatever it refuses."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from cerebellar_models.builders.nest_module import MODULE, ModelBuildError, nest_installation

# NEST's library alone: importing nest would start its kernel, and MPI.
_LOAD = """
import ctypes, os, sys
for library in sys.argv[1:]:
    try:
        ctypes.CDLL(library, os.RTLD_NOW | os.RTLD_GLOBAL)
    except OSError as error:
        sys.exit(str(error))
"""


def check_loadable(module: Path) -> None:
    """Loads a module as NEST does, in a process of its own.

    :raises ModelBuildError: the system refuses it, or NEST itself; one line that names the file and says what to do.
    """
    nest = nest_installation()
    libraries = [module] if nest is None else [nest.library, module]
    loaded = subprocess.run(
        [sys.executable, "-c", _LOAD, *map(str, libraries)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if loaded.returncode != 0:
        said = (loaded.stderr.strip().splitlines() or [f"status {loaded.returncode}"])[-1]
        raise ModelBuildError(_sentence(module, said))


def why_not_loaded(module: Path) -> str | None:
    """Why the system refuses a module in this process, which has loaded NEST; None if it does not."""
    try:
        ctypes.CDLL(str(module), os.RTLD_NOW)
    except OSError as error:
        return _sentence(module, str(error))
    return None


def _sentence(module: Path, said: str) -> str:
    reason = said.removeprefix(f"{module}: ")
    if module.exists() and os.statvfs(module).f_flag & os.ST_NOEXEC:
        reason = "its file system is mounted noexec"
    advice = ": set XDG_CACHE_HOME to a folder elsewhere" if module.stem == MODULE else ""
    return f"the NEST module {module} cannot be loaded ({reason}){advice}"
