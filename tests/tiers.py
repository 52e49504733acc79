"""Which tier a test is of: told, in this one place, by its file, by the fixtures it takes and by its marks.

unit         nothing is compiled or simulated, no scheduler or engine is started: `make test-unit`
integration  the real BSB, NEST, MPI, compilers, a SLURM controller that judges scripts
end_to_end   clusters, images, installations, whole runs
scientific   what a simulated circuit does, against published or estimated figures
long         of a part named below, too long for CI; beside its tier: `make test-long PART=…`

The dearest of what a test is by these tables decides.
"""

from pathlib import Path

import pytest

TIERS = ("unit", "integration", "end_to_end", "scientific")
PARTS = ("neuron", "scale", "species", "faults", "reports")
"""of the long tests"""

_TESTS = Path(__file__).parent
# A fixture that takes one of these is meant with it; one that is asked for by name while the test runs is not seen.
FIXTURES = {
    "nest_installed": "integration",
    "mpi_installed": "integration",
    "mpi_python": "integration",
    "tiny_folder": "integration",
    "compiled": "integration",
    "small_with_parts": "integration",
    "refusals": "integration",
    "divided": "integration",
    "network": "integration",
    "original": "integration",
    "no_locks": "integration",
    "latin_1": "integration",
    "cache": "integration",
    "controller": "integration",
    "at": "integration",
    "judge": "integration",
    "tools": "end_to_end",
    "cluster": "end_to_end",
    "sif": "end_to_end",
    "wheel": "end_to_end",
    "wheelhouse": "end_to_end",
}
# Files and folders, and single tests of a file.
FILES = {
    "bsb_plugin": "integration",
    "cli/test_file_locks.py": "integration",
    "cli/test_run.py": "end_to_end",
    "cli/test_templates.py": "integration",
    "compatibility": "integration",
    "connectome/test_olivary_rules.py": "integration",
    "connectome/test_olivary_ranks.py": "integration",
    "costs/test_estimates_measured.py": "integration",
    "jobs/test_local_jobs.py": "end_to_end",
    "placement": "integration",
    "scientific": "scientific",
    "simulation": "end_to_end",
    "analysis/test_analysis_read.py::test_contacts_agree_with_bsb": "integration",
}
MARKS = {"mpi": "integration", "scientific": "scientific"}
# Tests that one worker is to run, since they share what is dear.
GROUPS = {"images": "end_to_end", "cluster": "end_to_end", "installed": "end_to_end"}


def tier(item: pytest.Function) -> str:
    """The name of its mark."""
    names = _names_of_place(item)
    found = [FILES[name] for name in names if name in FILES]
    found += [FIXTURES[name] for name in item.fixturenames if name in FIXTURES]
    found += [MARKS[mark.name] for mark in item.iter_markers() if mark.name in MARKS]
    found += [
        GROUPS[name] for mark in item.iter_markers("xdist_group") for name in mark.args if name in GROUPS
    ]
    return max(found, key=TIERS.index, default="unit")


def _names_of_place(item: pytest.Function) -> list[str]:
    """Its file, the folders that is in, and the test itself, as `FILES` names them."""
    file = item.path.relative_to(_TESTS)
    names = [part.as_posix() for part in (file, *file.parents)]
    return [*names, f"{file.as_posix()}::{item.originalname}"]


def assign(items: list[pytest.Item]) -> None:
    """Gives each test the mark of its tier.

    :raises pytest.UsageError: a long test is of no part there is.
    """
    for item in items:
        if isinstance(item, pytest.Function):
            item.add_marker(getattr(pytest.mark, tier(item)))
            if tier(item) == "unit":  # beyond, BSB and Numba warn on purpose
                item.add_marker(pytest.mark.filterwarnings("error"))
        for mark in item.iter_markers("long"):
            if mark.args or mark.kwargs.get("part") not in PARTS:
                raise pytest.UsageError(
                    f"{item.nodeid}: a long test is of a part: long(part=…), one of {', '.join(PARTS)}"
                )
