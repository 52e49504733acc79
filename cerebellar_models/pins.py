"""What happens to a configuration whose ``packages`` name a release of the published cerebellar-models.

BSB warns about each pin that is not met, and again each time it reads the file. Such configurations work
here, so one notice that says so is enough. Importing this module puts it in place.
"""

import functools

from bsb import PackageRequirementWarning, warn
from bsb.config import _make

from cerebellar_models import __version__
from cerebellar_models.circuits.adopt import is_our_pin

_told: set[str] = set()


def _warn_of_pins(warn_missing_packages):
    @functools.wraps(warn_missing_packages)
    def warn_once(packages):
        warn_missing_packages([pin for pin in packages if not is_our_pin(pin)])
        for pin in packages:
            if is_our_pin(pin) and str(pin) not in _told:
                _told.add(str(pin))
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


_make.warn_missing_packages = _warn_of_pins(_make.warn_missing_packages)
