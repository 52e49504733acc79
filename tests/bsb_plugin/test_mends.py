"""Each mend of another package has a fault to mend: once upstream has mended it itself, the test of its row fails."""

import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from packaging.specifiers import SpecifierSet

from cerebellar_models.bsb_plugin import mends
from cerebellar_models.bsb_plugin.mends import MENDS, Mend

FAULTS = {
    "tell_once": """
import warnings
from bsb.config import _make
unmended = getattr(_make.warn_missing_packages, "__wrapped__", _make.warn_missing_packages)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        unmended(["no-such-distribution~=1.0"])
assert len(caught) == 2, caught
""",
    "leave_simulators_unloaded": """
import sys
from bsb import plugins
plugins.discover("simulation_backends")
assert "nest" in sys.modules
""",
    "load_nest_seeds_alone": """
import sys
import bsb_nest.rng
assert "nest" in sys.modules
""",
    "end_steps_with_simulation": """
from types import SimpleNamespace
from bsb.simulation.adapter import FixedStepProgressController
adapter = SimpleNamespace(_duration=100.0, current_checkpoint=0, comm=SimpleNamespace(get_rank=lambda: 1))
controller = FixedStepProgressController([], adapter, 30.0)
reached = 0.0
while reached < adapter._duration:
    adapter.current_checkpoint = reached = controller.get_next_checkpoint()
    controller.run_checkpoint()
assert reached > adapter._duration, reached
""",
    "check_first_and_honour_threads": """
import inspect, bsb_nest.adapter, bsb_nest.simulation
read, used = (inspect.getsource(module) for module in (bsb_nest.simulation, bsb_nest.adapter))
assert "threads" in read and "local_num_threads" not in used
""",
    "name_modules_that_do_not_load": """
import nest
try:
    nest.Install("nosuchmodule")
except Exception as error:
    assert not hasattr(error, "errorname"), error.errorname
import inspect, bsb_nest.adapter
assert "e.errorname" in inspect.getsource(bsb_nest.adapter)
""",
    "record_single_cells": """
import nest
assert nest.Create("parrot_neuron").local is True
assert len(nest.Create("parrot_neuron", 2).local) == 2
""",
    "append_and_count_once": """
import inspect
from bsb_hdf5.connectivity_set import ConnectivitySet
insert, track = (inspect.getsource(getattr(ConnectivitySet, name)) for name in ("_insert", "_track_add"))
assert insert.count("lcl_ds[") == 4 and "json.dumps" in track
""",
    "connect_by_blocks": """
import inspect, bsb_nest.connection
source = inspect.getsource(bsb_nest.connection.NestConnection)
assert "[prel[x] for x in cell_pairs[:, 0]]" in source and "as_globals().all()" in source
""",
    "count_nodes_by_ranges": """
import inspect, nest
assert 'self.get("global_id")' in inspect.getsource(nest.NodeCollection.tolist)
""",
    "record_without_connections": """
import nest
nest.Create("parrot_neuron", 2000)
recorder = nest.Create("spike_recorder")
before = nest.memory_size
nest.Connect(nest.NodeCollection(range(1, 2001)), recorder)
nest.Simulate(1.0)
assert nest.memory_size - before > 2000 * 20, (before, nest.memory_size)  # kB
""",
    "unlock_before_nest_ends": """
import atexit
order, register = [], atexit.register
atexit.register = lambda call, *rest, **more: (order.append(call.__module__), register(call, *rest, **more))[1]
import mpilock, nest
# What was registered first is called last.
assert order.index("mpilock") < next(i for i, name in enumerate(order) if name.startswith("nest")), order
""",
}


@pytest.mark.parametrize("mend", MENDS, ids=lambda mend: mend.apply.__name__)
def test_the_fault_is_still_there(mend, nest_installed, mpi_installed):
    done = subprocess.run(
        [sys.executable, "-c", FAULTS[mend.apply.__name__]],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, (
        f"{mend.package} {version(mend.package)} may have mended it: {done.stderr[-1500:]}"
    )


@pytest.mark.parametrize("mend", MENDS, ids=lambda mend: mend.apply.__name__)
def test_what_is_installed_is_of_the_versions_that_have_it(mend, nest_installed, mpi_installed):
    assert SpecifierSet(mend.versions).contains(version(mend.package))


@pytest.fixture
def one_row(monkeypatch):
    """``one_row(package, versions)``: a table of one mend, which counts how often it is applied."""
    monkeypatch.setattr(mends, "_applied", set())

    def table(package: str, versions: str) -> SimpleNamespace:
        counted = SimpleNamespace(times=0)

        def count() -> None:
            counted.times += 1

        monkeypatch.setattr(
            mends, "MENDS", (Mend(package, versions, "falls", "nothing", "compiling", count),)
        )
        return counted

    return table


def test_a_mend_is_applied_once_and_at_its_moment(one_row, recwarn):
    counted = one_row("pytest", ">=8")
    mends.apply("loading")
    assert counted.times == 0
    mends.apply("compiling")
    mends.apply("compiling")
    assert counted.times == 1
    assert not recwarn.list


def test_another_version_is_left_as_it_is_and_told_once(one_row, recwarn):
    counted = one_row("pytest", "<8")
    mends.apply("compiling")
    mends.apply("compiling")
    assert counted.times == 0
    (warning,) = recwarn.list
    assert f"pytest {version('pytest')}: left as it is, though <8 falls" in str(warning.message)


def test_what_is_not_installed_needs_no_mend(one_row, recwarn):
    counted = one_row("no-such-distribution", ">=0")
    mends.apply("compiling")
    assert counted.times == 0 and not recwarn.list
