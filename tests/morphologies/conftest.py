"""Runs a test on each morphology in turn."""

import pytest
from morphology_bundle import CELLS


@pytest.fixture(params=sorted(CELLS))
def cell(request: pytest.FixtureRequest) -> dict:
    """The manifest's entry of each cell in turn."""
    return CELLS[request.param]
