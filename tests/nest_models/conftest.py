"""What the tests of the NEST models share: one built module, and a fresh kernel for every test."""

import importlib.util
import os
import shutil

import pytest


def _missing() -> str | None:
    """What keeps the module from being built here; None if nothing does."""
    if importlib.util.find_spec("nest") is None:
        return "NEST is not installed"
    if importlib.util.find_spec("pynestml") is None:
        return "NESTML is not installed"
    compiler = os.environ.get("CXX", "g++")
    return None if shutil.which(compiler) else f"the compiler {compiler} is not installed"


@pytest.fixture(scope="session")
def toolchain():
    """Skips the test where the module cannot be built."""
    reason = _missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def nest(toolchain):
    """PyNEST with an empty kernel of 0.1 ms resolution and our module loaded."""
    import cerebellar_models.nest_models  # noqa: F401  (makes the module loadable)

    os.environ["PYNEST_QUIET"] = "1"
    import nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.Install("cerebmodule")
    nest.resolution = 0.1
    return nest
