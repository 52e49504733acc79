"""Climbing fibres onto molecular interneurons, through the Purkinje cells both reach."""

from collections.abc import Sequence

import numpy as np
from bsb import CellType, Chunk, ConnectionStrategy, config, pool_cache
from bsb.connectivity.strategy import HemitypeCollection

from cerebellar_models.connectome.contradictions import CheckedRule, require_paths
from cerebellar_models.connectome.lookup import (
    connections_from,
    earlier_rules,
    named_cell_type,
    without_point,
)


@config.node
class ConnectomeIO_MLI(CheckedRule, ConnectionStrategy, classmap_entry="io_mli"):  # type: ignore[call-arg]
    """Lets each olivary cell excite the interneurons that inhibit its Purkinje cells.

    One contact for each olivary cell, Purkinje cell of its climbing fibre and interneuron that inhibits this
    Purkinje cell, however many contacts these pairs have. The fibre acts by spillover, so contacts have no
    place on the interneuron. Nothing is drawn at random.

    Source: Geminiani et al. 2024, doi:10.1371/journal.pcbi.1011277.
    """

    named_rules = ("io_pc_connectivity", "mli_pc_connectivity")

    io_pc_connectivity: Sequence[ConnectionStrategy] = earlier_rules()
    """Rules that connected the olive to the Purkinje cells."""
    mli_pc_connectivity: Sequence[ConnectionStrategy] = earlier_rules()
    """Rules that connected the interneurons to the Purkinje cells."""
    pre_cell_pc = named_cell_type()
    """Cell type of the Purkinje cells."""

    def check(self) -> None:
        purkinje = [self.pre_cell_pc]
        require_paths(self, "io_pc_connectivity", list(self.presynaptic.cell_types), purkinje)
        require_paths(self, "mli_pc_connectivity", list(self.postsynaptic.cell_types), purkinje)
        super().check()

    def get_region_of_interest(self, chunk: Chunk) -> list[Chunk] | None:
        return None  # a fibre's Purkinje cells may be anywhere

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        for olive in pre.placement:
            numbers = olive.load_ids()
            fibres = self._pairs_with_purkinje("io_pc_connectivity", olive.cell_type)
            local = np.full(numbers.max(initial=-1) + 1, -1)
            local[numbers] = np.arange(len(numbers))
            fibres = fibres[np.isin(fibres[:, 0], numbers)]
            for interneuron_type in post:
                inhibition = self._pairs_with_purkinje("mli_pc_connectivity", interneuron_type)
                source, target = join_on_second(fibres, inhibition)
                if len(source):
                    self.connect_cells(
                        olive,
                        interneuron_type.get_placement_set(),
                        without_point(local[source]),
                        without_point(target),
                    )

    @pool_cache
    def _pairs_with_purkinje(self, rules: str, source_type: CellType) -> np.ndarray:
        """Pairs (n, 2) of a cell of this type and a Purkinje cell it contacts, each once, sorted."""
        pairs = [np.empty((0, 2), dtype=int)]
        for pre_type, post_type, source, target in connections_from(
            self.scaffold, [rule.name for rule in getattr(self, rules)]
        ):
            if pre_type is source_type and post_type is self.pre_cell_pc:
                pairs.append(np.column_stack((source[:, 0], target[:, 0])))
        return np.unique(np.concatenate(pairs), axis=0)


def join_on_second(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For all rows of both that agree in their second column, the values of their first columns."""
    order = np.argsort(second[:, 1], kind="stable")
    keys = second[order, 1]
    begin, end = (np.searchsorted(keys, first[:, 1], side=side) for side in ("left", "right"))
    matches = end - begin
    within = np.arange(matches.sum()) - np.repeat(np.cumsum(matches) - matches, matches)
    return np.repeat(first[:, 0], matches), second[order[np.repeat(begin, matches) + within], 0]
