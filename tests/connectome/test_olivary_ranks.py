"""The divided circuit with nuclei, olive and brush cells does not depend on the number of ranks."""

import subprocess

import numpy as np
import pytest
from circuit_file import CircuitFile
from olivary_circuit import olivary_tree, write
from support import on_ranks_environment

from cerebellar_models.runs import launch


@pytest.mark.mpi
def test_the_circuit_does_not_depend_on_the_ranks(tmp_path, mpi_installed):
    tree = olivary_tree(size=(220, 120), microzones=["plus", "minus"])
    found = {}
    for ranks in (1, 3):
        folder = tmp_path / str(ranks)
        write(tree, folder)
        command = launch.on_ranks(launch.bsb("compile", "circuit.yaml", "-v1", "--clear"), ranks)
        environment = on_ranks_environment()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found[ranks] = CircuitFile(folder / tree["storage"]["root"]).content()
    one, three = found[1], found[3]
    assert one.keys() == three.keys()
    assert [name for name in one if not np.array_equal(one[name], three[name])] == []
