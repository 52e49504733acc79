"""The many contacts of a climbing fibre on its Purkinje cell."""

import numpy as np
from bsb import AfterConnectivityHook, ConnectionStrategy, config

from cerebellar_models.connectome.contradictions import Checked
from cerebellar_models.connectome.lookup import earlier_rule, output_sets
from cerebellar_models.connectome.quantities import contacts


@config.node
class DuplicateSynapses(Checked, AfterConnectivityHook):
    """Adds contacts to each connected pair of cells up to a number drawn for the pair.

    The added contacts repeat the locations of the pair's own. A pair that has as many contacts already, as
    after a second run of the hook, keeps them all.

    The draws depend on the seed, this hook's name and the cell types, never on the rank.
    """

    named_rules = ("conn_strategy",)

    conn_strategy: ConnectionStrategy = earlier_rule()
    """Rule whose contacts are multiplied."""
    contacts = config.attr(type=contacts(), required=True)
    """Number of contacts of a pair: a number or a distribution."""

    def postprocess(self) -> None:
        for connections in output_sets(self.scaffold, self.conn_strategy):
            pre_type, post_type = connections.pre_type, connections.post_type
            source, target = connections.load_connections().as_globals().all()
            # In an order of their own, not that in which the ranks happened to write them.
            rows = np.column_stack((source, target))
            rows = rows[np.lexsort((*rows[:, [1, 2, 4, 5]].T, rows[:, 3], rows[:, 0]))]
            rng = self.get_rng(key=("after_connectivity", self.name, pre_type.name, post_type.name))
            first, present = np.unique(rows[:, [0, 3]], axis=0, return_index=True, return_counts=True)[1:]
            wanted = np.round(np.asarray(self.contacts.draw(len(first), rng), dtype=float)).astype(int)
            added = np.maximum(wanted - present, 0)
            turn = np.arange(added.sum()) - np.repeat(np.cumsum(added) - added, added)
            copies = rows[np.repeat(first, added) + turn % np.repeat(present, added)]
            if len(copies):
                self.scaffold.connect_cells(
                    pre_type.get_placement_set(),
                    post_type.get_placement_set(),
                    copies[:, :3],
                    copies[:, 3:],
                    connections.tag,
                )
