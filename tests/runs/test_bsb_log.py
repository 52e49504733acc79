"""How far a log says that BSB is."""

import pytest

from cerebellar_models.runs.bsb_log import progress


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("[BSB] JobStatus.RUNNING {root}.placement.golgi_layer\nJobStatus.SUCCESS", "placement golgi_layer"),
        (
            "Simulation ['x'] | progress: 45.00 elapsed: 1 s\nSimulation ['x'] | progress: 50.00 el",
            "50 ms simulated",
        ),
        ("", ""),
        ("progress: 90.00 elapsed\n=== simulate-0: job 2 on n1\nnothing yet", ""),
        ("=== simulate-0: job 1 on n1\nprogress: 20.00 elapsed", "20 ms simulated"),
    ],
)
def test_progress(log, told, tmp_path):
    (tmp_path / "simulate-0.log").write_text(log)
    assert progress(tmp_path / "simulate-0.log") == told
