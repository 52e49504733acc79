"""Compiled kernels and their cache: whatever is wrong with it, the rules compile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import on_ranks_environment

from cerebellar_models import installation
from cerebellar_models.runs import launch

# A kernel of its own: importing those of the rules imports BSB and starts MPI, which takes far longer.
KERNEL = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("kernels", sys.argv[1])
kernels = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernels)

@kernels.compiled
def double(number):
    return 2 * number

assert double(3) == 6 and double(1.5) == 3
print(sum(double.stats.cache_hits.values()), len(kernels.kept_files()))
"""
KERNELS = str(installation.__file__).replace("installation.py", "connectome/kernels.py")


def started(cache: Path, **environment: str) -> subprocess.Popen:
    script = cache.parent / "kernel.py"
    script.write_text(KERNEL, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), KERNELS],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(cache: Path, **environment: str) -> str:
    process = started(cache, **environment)
    output, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]
    return output.strip()


@pytest.fixture
def cache(tmp_path) -> Path:
    """A cache of one kernel for two types: an index and two files of code."""
    folder = tmp_path / "cache"
    assert call(folder) == "0 3"
    assert call(folder) == "2 3"
    return folder


def damage(cache: Path, pattern: str, length: int) -> None:
    for file in cache.rglob(pattern):
        os.truncate(file, length)


@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("length", [0, 20, 100])
def test_a_cut_cache_heals_itself(cache, pattern, length):
    damage(cache, pattern, length)
    assert call(cache) == "0 3"
    assert call(cache) == "2 3"


def test_a_cut_cache_heals_for_several_processes_at_once(cache):
    damage(cache, "*.nbi", 0)
    processes = [started(cache) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    call(cache)  # may find what one process has removed while another wrote it
    assert call(cache) == "2 3"


@pytest.mark.mpi
def test_a_cut_cache_heals_on_several_ranks(cache, mpi_installed):
    damage(cache, "*.nb[ic]", 100)
    program = [sys.executable, str(cache.parent / "kernel.py"), KERNELS]
    kept = on_ranks_environment() | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(launch.on_ranks(program, 2), env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    call(cache)  # may find what one rank has removed while another wrote it
    assert call(cache) == "2 3"


def test_where_nothing_can_be_kept_kernels_are_compiled_all_the_same(tmp_path):
    """As in a read-only installation without a home: numba has nowhere to go and says so by an error."""
    (tmp_path / "file").touch()
    only = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert call(tmp_path / "file", **only) == "0 0"


def test_clean_empties_the_cache_of_kernels(tmp_path, cli):
    from cerebellar_models.connectome import overlap_kernel

    source = Path(overlap_kernel.__file__)
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "XDG_CACHE_HOME": str(tmp_path / "models")}
    touch = "import numpy; from cerebellar_models.connectome.overlap_kernel import sample_per_row as s"
    use = f"{touch}; s(numpy.array([1]), numpy.array([1]), numpy.array([0.5]))"
    subprocess.run([sys.executable, "-c", use], env=os.environ | kept, check=True, capture_output=True)
    (folder,) = (tmp_path / "numba").iterdir()
    assert folder.name.startswith(source.parent.name)
    assert "2 files of compiled rules" in cli("clean", **kept).stdout
    assert len(list(folder.iterdir())) == 2
    assert cli("clean", "--yes", **kept).returncode == 0
    assert not list(folder.iterdir())
