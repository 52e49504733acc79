"""What the tests of the NEST models share: one built module, and a fresh kernel for every test."""

import os
from importlib.util import find_spec

import pytest
from support import missing


@pytest.fixture
def nestml_installed(nest_installed):
    """Skips where NESTML, or what compiles its C++, is missing."""
    if find_spec("pynestml") is None:
        missing("pynestml is not installed")


@pytest.fixture
def nest(nest_installed):
    """PyNEST with an empty kernel of 0.1 ms resolution and our module loaded."""
    import cerebellar_models.nest_models  # noqa: F401  (makes the module loadable)

    os.environ["PYNEST_QUIET"] = "1"
    import nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.Install("cerebmodule")
    nest.resolution = 0.1
    return nest
