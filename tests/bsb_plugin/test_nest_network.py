"""Networks prepared from arrays are those that bsb-nest prepares, pair by pair and number by number."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from small_network import small_network
from support import missing, on_ranks_environment

from cerebellar_models.bsb_plugin import nest_network
from cerebellar_models.runs import launch

# Writes all connections that this rank has, as made by bsb-nest and as made here.
BOTH = """
import json, sys
import numpy as np
from bsb import from_storage
from cerebellar_models.bsb_plugin import mends
network = from_storage("cerebellum.hdf5")
simulation = network.get_simulation("basal_activity")
mends.apply("NEST is asked for")
import nest
from bsb_nest.adapter import NestAdapter
from bsb_nest.connection import NestConnection
ours = NestConnection.create_connections
KEYS = ("source", "target", "weight", "delay", "receptor")
for name, create in (("bsb", ours.__wrapped__), ("ours", ours)):
    NestConnection.create_connections = create
    adapter = NestAdapter()
    adapter.reset_kernel()
    adapter._set_resolution([simulation])
    adapter.prepare(simulation)
    found = nest.GetConnections()
    rows = np.array([found.get(key) for key in KEYS], dtype=float)
    np.save(f"{sys.argv[1]}/{name}-{nest.Rank()}.npy", rows[:, np.lexsort(rows[::-1])])
"""


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.mpi)])
def test_the_connections_are_those_of_bsb(tiny_folder, tmp_path, nest_installed, ranks):
    python = sys.executable if ranks == 1 else os.environ.get("CEREBELLAR_MODELS_MPI_PYTHON", "")
    if not os.access(python, os.X_OK):
        missing("CEREBELLAR_MODELS_MPI_PYTHON names no Python with a NEST that has MPI")
    done = subprocess.run(
        launch.on_ranks([python, "-c", BOTH, str(tmp_path)], ranks),
        cwd=tiny_folder,
        env=on_ranks_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(ranks):
        bsb, ours = (np.load(tmp_path / f"{name}-{rank}.npy") for name in ("bsb", "ours"))
        assert bsb.shape[1] > 10_000
        assert np.array_equal(bsb, ours)


SYNAPSE = "connection_models__golgi_to_single__synapses__0"
LEFT_TO_BSB = {
    "a delay for each distance": {
        f"{SYNAPSE}__delay": {"strategy": "distance_delay", "axon_speed": 10.0},
    },
    "a weight that NEST draws": {
        f"{SYNAPSE}__weight": {"distribution": "uniform", "min": 1.0, "max": 2.0},
        "connection_models__golgi_to_single__rule": "all_to_all",
    },
    "a rule of NEST": {"connection_models__golgi_to_single__rule": "all_to_all"},
}
PREPARE = """
import json, sys
from bsb import Configuration, Scaffold
network = Scaffold(Configuration(**json.loads(sys.argv[1])))
network.compile(clear=True)
import nest
from bsb_nest.adapter import NestAdapter
run = NestAdapter.run
def count(self, *simulations):
    populations = {model.name: nodes for model, nodes in self.simdata[simulations[0]].populations.items()}
    print(len(nest.GetConnections(populations["golgi"], populations["single"])))
    return run(self, *simulations)
NestAdapter.run = count
network.run_simulation("rest", output_filename="rest.nio")
"""


@pytest.mark.parametrize("changes", LEFT_TO_BSB.values(), ids=LEFT_TO_BSB)
def test_what_is_no_plain_number_is_left_to_bsb(tmp_path, nest_installed, changes):
    tree = json.dumps(small_network("network.hdf5", **changes))
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, tree], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == "5"


def test_contacts_of_a_pair_are_counted():
    pre, post = np.array([7, 7, 3, 7, 3]), np.array([90, 12, 12, 90, 12])
    pairs = nest_network._pairs(pre, post)
    assert [column.tolist() for column in pairs] == [[3, 7, 7], [12, 12, 90], [2, 1, 2]]
    assert [len(column) for column in nest_network._pairs(pre[:0], post[:0])] == [0, 0, 0]


@pytest.mark.mpi
def test_a_rank_without_any_target_keeps_up(small_circuit, tmp_path, nest_installed):
    """The only target of the projection is on one of two ranks; the other must not wait for it for ever."""
    python = os.environ.get("CEREBELLAR_MODELS_MPI_PYTHON", "")
    if not os.access(python, os.X_OK):
        missing("CEREBELLAR_MODELS_MPI_PYTHON names no Python with a NEST that has MPI")
    command = [python, "-m", "bsb", "simulate", str(small_circuit), "rest", "-o", "results"]
    done = subprocess.run(
        launch.on_ranks(command, 2),
        cwd=tmp_path,
        env=on_ranks_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "results").glob("*.nio"))
