"""Nuclei, olive and brush cells, and the cortex beside nuclei and olive, fire at the published rates in canonical
circuits (minutes)."""

import json

import pytest

# Hz, over the cells that fired; an independent copy of the published table. The olive is silent.
CORTEX = {"granule_cell": 3.4, "golgi_cell": 11}
PUBLISHED = {
    "in_vitro": CORTEX
    | {"purkinje_cell": 47, "basket_cell": 16, "stellate_cell": 13, "dcn_p": 11, "dcn_i": 11},
    "awake": CORTEX | {"purkinje_cell": 91, "basket_cell": 21, "stellate_cell": 18, "dcn_p": 45, "dcn_i": 13},
}
PUBLISHED_UBC = 0.21  # in vitro: over 5 s, most of the few cells that fire do so once
TOLERANCE = 0.3


def rates(cli, folder, *choices: str) -> dict[str, float | None]:
    """By cell type, Hz, over the cells that fired; None where none did."""
    done = cli("run", "--preset", "canonical", "--simulation", "basal_activity", *choices, "-o", "run")
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "run" / "report.json").read_text())
    rows = report["simulations"][0]["populations"]
    return {row["cell_type"]: row["rate_firing_hz"]["mean"] for row in rows}


@pytest.mark.scientific
@pytest.mark.parametrize("state", PUBLISHED)
def test_nuclei_olive_and_the_cortex_beside_them(cli, tmp_path, nest_installed, state):
    found = rates(cli, tmp_path, "--part", "io", "--state", state, "--duration", "2000")
    assert not found["io"]
    assert {cell_type: found[cell_type] for cell_type in PUBLISHED[state]} == pytest.approx(
        PUBLISHED[state], rel=TOLERANCE
    )


@pytest.mark.scientific
def test_brush_cells(cli, tmp_path, nest_installed):
    found = rates(cli, tmp_path, "--part", "ubc", "--duration", "5000")
    assert found["unipolar_brush_cell"] == pytest.approx(PUBLISHED_UBC, rel=TOLERANCE)
