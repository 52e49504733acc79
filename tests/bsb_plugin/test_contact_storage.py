"""A circuit's file is the same, however its contacts got there."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from small_network import small_network

# Compiles the same circuit as bsb-hdf5 writes it and as it is written here, and connects all cells once more, so that
# rows have to go between others.
BOTH = """
import json, sys
import numpy as np
from bsb import Configuration, Scaffold
from cerebellar_models.bsb_plugin import contact_storage
tree = json.loads(sys.argv[1])
for name in ("bsb.hdf5", "ours.hdf5"):
    if name == "ours.hdf5":
        contact_storage.append_and_count_once()
    tree["storage"]["root"] = name
    network = Scaffold(Configuration(**tree))
    network.compile(clear=True)
    pre, post = (network.get_placement_set(kind) for kind in ("golgi", "single"))
    found = network.get_connectivity_set("golgi_to_single")
    for cells in (range(0, 40, 2), range(40)):
        sources = [[cell, 0, 0] for cell in cells for _ in range(len(post))]
        targets = [[cell, -1, -1] for _ in cells for cell in range(len(post))]
        found.connect(pre, post, np.array(sources), np.array(targets))
    found.connect(pre, post, np.empty((0, 3), int), np.empty((0, 3), int))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, nest_installed):
    folder = tmp_path_factory.mktemp("both")
    tree = small_network("either")
    del tree["simulations"]
    tree["network"] |= {"x": 200, "y": 200, "chunk_size": [100, 100, 100]}
    tree["cell_types"]["golgi"]["spatial"]["count"] = 40
    tree["cell_types"]["single"]["spatial"]["count"] = 12
    done = subprocess.run(
        [sys.executable, "-c", BOTH, json.dumps(tree)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with h5py.File(folder / "bsb.hdf5") as bsb, h5py.File(folder / "ours.hdf5") as ours:
        yield bsb, ours


def test_rows_lie_where_bsb_puts_them(files):
    bsb, ours = (file["connectivity/golgi_to_single"] for file in files)
    assert len(bsb["inc"]) == len(bsb["out"]) == 4
    assert bsb.attrs["len"] == ours.attrs["len"] == 12 * (40 + 20 + 40)
    for direction in ("inc", "out"):
        assert bsb[direction].keys() == ours[direction].keys()
        for chunk, block in bsb[direction].items():
            mine = ours[direction][chunk]
            assert block.attrs.keys() == mine.attrs.keys()
            assert len(block.attrs["chunk_list"]) == 4
            for name, value in block.attrs.items():
                assert np.array_equal(value, mine.attrs[name]), name
                assert np.asarray(value).dtype == np.asarray(mine.attrs[name]).dtype, name
            for name, rows in block.items():
                assert np.array_equal(rows, mine[name]), name
                for kind in ("dtype", "chunks", "maxshape"):
                    assert getattr(rows, kind) == getattr(mine[name], kind)


def test_tables_of_counts_are_those_of_bsb(files):
    bsb, ours = files
    tables = [json.loads(file.attrs["chunks"]) for file in files]
    assert tables[0] == tables[1]
    assert sum(chunk["connections"]["inc"] for chunk in tables[0].values()) == 1200
    path = "connectivity/golgi_to_single"
    assert json.loads(bsb[path].attrs["chunks"]) == json.loads(ours[path].attrs["chunks"])
