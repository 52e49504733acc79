"""The canonical circuit fires at the published rates (minutes)."""

import json

import pytest
from support import command_line

# Hz; an independent copy of the published table, so that an edited reference file cannot hide a change of the model.
PUBLISHED = {
    "in_vitro": {
        "granule_cell": 3.4,
        "golgi_cell": 11,
        "purkinje_cell": 47,
        "basket_cell": 16,
        "stellate_cell": 13,
    },
    "awake": {
        "granule_cell": 3.4,
        "golgi_cell": 11,
        "purkinje_cell": 91,
        "basket_cell": 21,
        "stellate_cell": 18,
    },
}
DURATION = 2000  # ms


@pytest.mark.scientific
@pytest.mark.parametrize("rule", ["published", "default"])
@pytest.mark.parametrize("state", ["in_vitro", "awake"])
def test_basal_rates_are_within_a_quarter_of_the_published(tmp_path, nest_installed, state, rule):
    """Mean over the cells that fired, as published; the default rule leaves out connections of cells to themselves."""
    flags = ["--self-connections"] if rule == "published" else []
    choices = ["--preset", "canonical", "--state", state, "--simulation", "basal_activity", *flags]
    done = command_line("run", *choices, "--duration", str(DURATION), "-o", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    rows = report["simulations"][0]["populations"]
    rates = {row["cell_type"]: row["rate_firing_hz"]["mean"] for row in rows}
    missed = {
        name: rates[name] for name, rate in PUBLISHED[state].items() if abs(rates[name] / rate - 1) > 0.25
    }
    assert missed == {}
