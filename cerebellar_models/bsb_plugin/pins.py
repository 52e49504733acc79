"""What happens to a configuration whose ``packages`` name a release of the published cerebellar-models.

BSB warns about each pin that is not met, and again each time it reads the file. Such configurations work
here, so one notice that says so is enough.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from bsb import PackageRequirementWarning, warn
from bsb.config import _make

from cerebellar_models import __version__
from cerebellar_models.circuits.adopting.adopt import is_our_pin


def _warn_of_pins(warn_missing_packages: Callable[[list[Any]], None]) -> Callable[[Iterable[Any]], None]:
    told: set[str] = set()

    @functools.wraps(warn_missing_packages)
    def warn_once(packages: Iterable[Any]) -> None:
        warn_missing_packages([pin for pin in packages if not is_our_pin(pin)])
        for pin in packages:
            if is_our_pin(pin) and str(pin) not in told:
                told.add(str(pin))
                _tell(str(pin))

    return warn_once


def _tell(pin: str) -> None:
    from bsb._package_spec import get_missing_requirement_reason
    from bsb.services import MPI

    if MPI.get_rank() == 0 and get_missing_requirement_reason(pin) is not None:
        warn(
            f"the configuration asks for '{pin}', a release of the published package; "
            f"version {__version__} reads it all the same. "
            "'cerebellar-models configure --adopt' removes the pin.",
            PackageRequirementWarning,
        )


def tell_once() -> None:
    _make.warn_missing_packages = _warn_of_pins(_make.warn_missing_packages)
