"""Compiles the kernels of the rules, and keeps them where numba does.

A damaged cache costs the time to compile again, never the circuit: what cannot be read is removed and made anew, what
cannot be written is left unwritten. Any number of ranks may do so at once.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import FunctionCache

_Function = TypeVar("_Function", bound=Callable[..., Any])
_FOLDERS: set[str] = set()


class _HealingCache(FunctionCache):
    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # A cut file fails in whatever way its first missing byte happens to: numba and pickle promise none.
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            self._remove()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:  # a full disk, a quota
            return
        except Exception:  # an index cut since it was read
            self._remove()

    def _remove(self) -> None:
        for file in _kept_in(self._cache_path, self._impl.filename_base):
            with contextlib.suppress(OSError):
                file.unlink()


def kept_files() -> list[Path]:
    """All files in which kernels of this package are kept for this user."""
    return [file for folder in sorted(_FOLDERS) for file in _kept_in(folder)]


def _kept_in(folder: str, name: str = "*") -> list[Path]:
    """An index of each function, and what it refers to."""
    return [file for suffix in ("nbi", "*.nbc") for file in sorted(Path(folder).glob(f"{name}.{suffix}"))]


def compiled(function: _Function) -> _Function:
    """The function compiled by numba at its first call, and kept; where nothing can be kept, compiled every time."""
    kernel: Any = njit(function)
    if hasattr(kernel, "enable_caching"):  # not where NUMBA_DISABLE_JIT leaves it as it is
        with contextlib.suppress(RuntimeError, OSError):  # no folder to keep it in
            kernel._cache = _HealingCache(function)
            _FOLDERS.add(kernel._cache.cache_path)
    called_alike: _Function = kernel
    return called_alike
