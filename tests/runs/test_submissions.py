"""What of a run was submitted, as jobs/submit.sh has written it down."""

import pytest

from cerebellar_models.runs.submissions import expanded, submitted


@pytest.mark.parametrize(("text", "numbers"), [("", []), ("3", [3]), ("0-2,5", [0, 1, 2, 5])])
def test_indices(text, numbers):
    assert expanded(text) == numbers


def test_a_line_that_was_cut_short(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "submitted.tsv").write_text("models\t3\t0\t\t12\ncompile\t1\t0\t\t\nsimulate\t2\t")
    assert [(line.stage, line.job, line.time) for line in submitted(tmp_path)] == [
        ("models", "3", 12),
        ("compile", "1", 0),
    ]
