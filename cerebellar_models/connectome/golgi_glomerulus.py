"""Golgi cells onto granule cells, through the glomeruli their axons enter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bsb import CellType, Chunk, ConnectionStrategy, config, pool_cache
from bsb.connectivity.strategy import HemitypeCollection, roi_key
from scipy.spatial import cKDTree

from cerebellar_models.connectome.contradictions import CheckedRule, require_paths
from cerebellar_models.connectome.lookup import (
    connections_from,
    earlier_rules,
    first_morphology,
    named_cell_types,
    positions_of,
    tips_of,
)
from cerebellar_models.connectome.quantities import count, length


@dataclass(frozen=True)
class _Contacts:
    """Contacts of glomeruli onto one cell type, sorted by glomerulus: ``rows[first[g]:first[g + 1]]``."""

    first: np.ndarray
    rows: np.ndarray


@config.node
class ConnectomeGolgiGlomerulus(CheckedRule, ConnectionStrategy, classmap_entry="golgi_glom"):  # type: ignore[call-arg]
    """Lets each Golgi cell inhibit every cell that its glomeruli excite.

    A Golgi cell takes up to ``divergence`` of the glomeruli within ``radius`` of its soma, nearest first. Each cell
    these glomeruli contact receives one contact for each glomerulus it shares, where that glomerulus contacts it,
    from a random tip of the Golgi axon.

    Source: Barmack & Yakhnitsa 2008, doi:10.1523/JNEUROSCI.3942-07.2008.
    """

    named_rules = ("glom_post_strats",)

    radius: float = config.attr(type=length, required=True)
    """Reach of the axon, soma to glomerulus, µm."""
    divergence: int = config.attr(type=count, required=True)
    """Most glomeruli of a Golgi cell."""
    glom_post_strats: Sequence[ConnectionStrategy] = earlier_rules()
    """Rules that connected the glomeruli to their cells."""
    glom_cell_types = named_cell_types()
    """Cell types of the glomeruli."""

    def check(self) -> None:
        glomeruli, targets = list(self.glom_cell_types), list(self.postsynaptic.cell_types)
        require_paths(self, "glom_post_strats", glomeruli, targets, only_these=True, may_miss=True)
        super().check()

    def get_region_of_interest(self, chunk: Chunk) -> list[Chunk] | None:
        return None  # a glomerulus may contact a cell far away where fibres are few

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        for golgi_type in self.presynaptic.cell_types:
            cells = golgi_type.get_placement_set(chunks=pre.roi, labels=self.presynaptic.labels)
            near = self._glomeruli_of(cells.load_positions())
            tips = self._axon_tips(golgi_type)
            for target_type in self.postsynaptic.cell_types:
                rng = self.get_rng(
                    key=("connectivity", self.name, golgi_type.name, target_type.name, roi_key(pre))
                )
                contacts = self._contacts(target_type)
                source, target = [], []
                for cell, glomeruli in enumerate(near):
                    rows = np.concatenate(
                        [contacts.rows[contacts.first[g] : contacts.first[g + 1]] for g in glomeruli]
                        or [np.empty((0, 3), dtype=int)]
                    )
                    tip = tips[rng.integers(len(tips), size=len(rows))]
                    source.append(np.column_stack((np.full(len(rows), cell), tip)))
                    target.append(rows)
                if sum(map(len, source)):
                    self.connect_cells(
                        cells, target_type.get_placement_set(), np.concatenate(source), np.concatenate(target)
                    )

    def _glomeruli_of(self, somata: np.ndarray) -> list[np.ndarray]:
        """For each soma, its glomeruli, nearest first."""
        tree = self._glomerulus_tree()
        if not len(somata):
            return []
        distances, glomeruli = tree.query(
            somata, k=min(self.divergence, tree.n), distance_upper_bound=np.nextafter(self.radius, np.inf)
        )
        near = np.isfinite(distances.reshape(len(somata), -1))
        return [row[mask] for row, mask in zip(glomeruli.reshape(len(somata), -1), near, strict=True)]

    @pool_cache
    def _glomerulus_tree(self) -> cKDTree:
        return cKDTree(positions_of(list(self.glom_cell_types))[0])

    @pool_cache
    def _contacts(self, target_type: CellType) -> _Contacts:
        kinds = list(self.glom_cell_types)
        first_of_kind = positions_of(kinds)[1]
        glomeruli, rows = [np.empty(0, dtype=int)], [np.empty((0, 3), dtype=int)]
        for glomerulus_type, post_type, source, target in connections_from(
            self.scaffold, [rule.name for rule in self.glom_post_strats]
        ):
            if post_type is target_type:
                glomeruli.append(first_of_kind[kinds.index(glomerulus_type)] + source[:, 0])
                rows.append(target)
        owner, contacts = np.concatenate(glomeruli), np.concatenate(rows)
        # In an order of their own, not that in which the ranks happened to write them.
        order = np.lexsort((contacts[:, 2], contacts[:, 1], contacts[:, 0], owner))
        counts = np.bincount(owner, minlength=first_of_kind[-1])
        return _Contacts(np.concatenate(([0], np.cumsum(counts))), contacts[order])

    @pool_cache
    def _axon_tips(self, golgi_type: CellType) -> np.ndarray:
        return tips_of(first_morphology(golgi_type), self.presynaptic.morphology_labels)[1]
