"""The BSB connection model of gap junctions in NEST. Configurations name it as ``model_strategy``."""

from typing import Any

import numpy as np
from bsb import ConfigurationError, config
from bsb_nest.connection import LazySynapseCollection, NestConnection
from numpy.typing import NDArray


@config.node
class GapJunctions(NestConnection):
    """Couples both cells of every pair that has contacts, each to the other.

    The contacts of a projection have a direction, which means nothing here: those of a pair count together,
    whichever way they go. A cell's contacts on itself carry no current and are left out.
    """

    per_contact: bool = config.attr(type=bool, default=True)
    """Whether the weight (nS) is that of one contact, so that a pair has its sum, or that of a pair."""

    def create_connections(self, simdata: Any, pre_nodes: Any, post_nodes: Any, cs: Any, comm: Any) -> Any:
        import nest

        if self.rule is not None:
            raise ConfigurationError(f"{self.name}: gap junctions follow the contacts; leave out 'rule'")
        # Every rank and thread is told of all pairs and takes those that end in it.
        before, after = cs.load_connections().as_globals().all()
        same_population = cs.pre_type is cs.post_type
        pairs, contacts = coupled_pairs(before[:, 0], after[:, 0], same_population)
        pre, post = np.array(pre_nodes.tolist())[pairs[:, 0]], np.array(post_nodes.tolist())[pairs[:, 1]]
        multiple = contacts if self.per_contact else np.ones(len(pairs))
        ends = np.concatenate([pre, post]), np.concatenate([post, pre])
        for spec in self.get_syn_specs():
            if len(pairs):
                spec["weight"] = np.tile(spec["weight"] * multiple, 2)
                nest.Connect(*ends, "one_to_one", spec, return_synapsecollection=False)
        return LazySynapseCollection(pre_nodes, post_nodes)


def coupled_pairs(
    before: NDArray[np.integer], after: NDArray[np.integer], same_population: bool
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The pairs of cells (pairs, 2) that have contacts, and how many each has.

    :param before, after: the cells of each contact.
    :param same_population: the two numberings are one, so that (a, b) and (b, a) are the same pair.
    """
    cells = np.column_stack((before, after))
    if same_population:
        cells = np.sort(cells[cells[:, 0] != cells[:, 1]], axis=1)
    return np.unique(cells, axis=0, return_counts=True)
