"""What the tests of the NEST models share: one built module, and a fresh kernel for every test."""

import os

import pytest


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
