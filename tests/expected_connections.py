"""Expected connections beside those of a compiled circuit."""

import numpy as np
from circuit_file import CircuitFile

from cerebellar_models.circuits.counting.size import CircuitSize

SCATTER = 4.0  # standard deviations of a count


def counted(circuit: CircuitFile) -> dict[str, tuple[int, int]]:
    """Connected pairs of cells, and contacts, of each set of connections."""
    return {
        name: (len(np.unique((before[:, 0].astype(np.int64) << 32) | after[:, 0])), len(before))
        for name, (before, after) in circuit.connections.items()
    }


def missed(expected: CircuitSize, circuit: CircuitFile, tolerance: float) -> dict[str, tuple]:
    """Projections whose pairs or contacts are further off than that."""
    found = {}
    for name, (pairs, contacts) in counted(circuit).items():
        projection = expected.projections[name]
        allowed = tolerance + SCATTER / np.sqrt(projection.pairs)
        if max(abs(pairs / projection.pairs - 1), abs(contacts / projection.contacts - 1)) > allowed:
            found[name] = (pairs, round(projection.pairs), contacts, round(projection.contacts))
    return found
