"""Glomeruli onto granule cells: each dendrite in a glomerulus of another fibre."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bsb import CellType, Chunk, ConnectionStrategy, ConnectivityError, config, pool_cache
from bsb.connectivity.strategy import HemitypeCollection, roi_key
from bsb.mixins import InvertedRoI
from scipy.spatial import cKDTree

from cerebellar_models.connectome.contradictions import CheckedRule, require_paths
from cerebellar_models.connectome.kernels import compiled
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
class _Glomeruli:
    """All glomeruli: positions (n, 3) µm, the fibre (n,) each belongs to, and the first row of each cell type."""

    positions: np.ndarray
    fibres: np.ndarray
    first: np.ndarray
    tree: cKDTree


@config.node
class ConnectomeGlomerulusGranule(CheckedRule, InvertedRoI, ConnectionStrategy, classmap_entry="glom_gran"):  # type: ignore[call-arg]
    """Gives each granule cell ``convergence`` glomeruli of as many different fibres, one for each dendrite.

    Fibres come in random order; each that has glomeruli within ``radius`` gives one of them, drawn uniformly. If
    too few fibres reach the cell, the remaining fibres in turn give their nearest glomerulus. The contact lies on
    the tip of the dendrite.

    Source: Houston 2017, doi:10.1038/srep46147.

    :raises ConnectivityError: there are fewer fibres, or dendrites, than ``convergence``.
    """

    named_rules = ("pre_glom_strats",)

    radius: float = config.attr(type=length, required=True)
    """Reach of a dendrite, soma to glomerulus, µm."""
    convergence: int = config.attr(type=count, required=True)
    """Number of glomeruli of a granule cell."""
    pre_glom_strats: Sequence[ConnectionStrategy] = earlier_rules()
    """Rules that gave the glomeruli their fibres."""
    pre_cell_types = named_cell_types()
    """Cell types of these fibres."""

    def check(self) -> None:
        fibres, glomeruli = list(self.pre_cell_types), list(self.presynaptic.cell_types)
        require_paths(self, "pre_glom_strats", fibres, glomeruli, only_these=True)
        super().check()

    def get_region_of_interest(self, chunk: Chunk) -> list[Chunk] | None:
        return None  # a fibre's nearest glomerulus may be anywhere

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        glomeruli = self._glomeruli()
        for granule_type in self.postsynaptic.cell_types:
            cells = granule_type.get_placement_set(chunks=post.roi, labels=self.postsynaptic.labels)
            rng = self.get_rng(key=("connectivity", self.name, granule_type.name, roi_key(post)))
            chosen = self._choose(glomeruli, cells.load_positions(), rng)
            tips = self._tips(granule_type)
            dendrites = np.argsort(rng.random((len(cells), len(tips))), axis=1)[:, : self.convergence]
            target = np.column_stack(
                (np.repeat(np.arange(len(cells)), self.convergence), tips[dendrites.ravel()])
            )
            source = chosen.ravel()
            for kind, glomerulus_type in enumerate(self.presynaptic.cell_types):
                mine = (source >= glomeruli.first[kind]) & (source < glomeruli.first[kind + 1])
                if np.any(mine):
                    rows = np.full((np.count_nonzero(mine), 3), -1)
                    rows[:, 0] = source[mine] - glomeruli.first[kind]
                    self.connect_cells(glomerulus_type.get_placement_set(), cells, rows, target[mine])

    def _choose(self, glomeruli: _Glomeruli, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Glomeruli (cells, convergence), the dendrites' order being of no account."""
        near = glomeruli.tree.query_ball_point(cells, self.radius, return_sorted=True)
        counts = np.array([len(row) for row in near], dtype=np.int64)
        first = np.concatenate(([0], np.cumsum(counts)))
        candidates = np.concatenate([*near, []]).astype(np.int64)
        chosen, found = _draw_of_different_fibres(
            first,
            candidates,
            glomeruli.fibres[candidates],
            rng.random((len(candidates), 2)),
            self.convergence,
        )
        for cell in np.flatnonzero(found < self.convergence):
            self._reach_further(glomeruli, cells[cell], chosen[cell], found[cell], rng)
        return chosen

    def _reach_further(
        self,
        glomeruli: _Glomeruli,
        cell: np.ndarray,
        chosen: np.ndarray,
        found: int,
        rng: np.random.Generator,
    ) -> None:
        remaining = np.setdiff1d(glomeruli.fibres[glomeruli.fibres >= 0], glomeruli.fibres[chosen[:found]])
        for slot, fibre in enumerate(rng.permutation(remaining)[: self.convergence - found], start=found):
            own = np.flatnonzero(glomeruli.fibres == fibre)
            chosen[slot] = own[np.argmin(np.linalg.norm(glomeruli.positions[own] - cell, axis=1))]

    @pool_cache
    def _glomeruli(self) -> _Glomeruli:
        kinds = list(self.presynaptic.cell_types)
        positions, first = positions_of(kinds)
        fibres = np.full(len(positions), -1, dtype=np.int64)
        fibre_first = dict(zip(self.pre_cell_types, positions_of(list(self.pre_cell_types))[1], strict=False))
        for fibre_type, glomerulus_type, source, target in connections_from(
            self.scaffold, [rule.name for rule in self.pre_glom_strats]
        ):
            if glomerulus_type in kinds:
                mine = first[kinds.index(glomerulus_type)] + target[:, 0]
                fibres[mine] = fibre_first[fibre_type] + source[:, 0]
        known = len(np.unique(fibres[fibres >= 0]))
        if known < self.convergence:
            raise ConnectivityError(
                f"{self.name}: {known} fibres with glomeruli, but each cell needs {self.convergence} different ones"
            )
        # A glomerulus without a fibre excites nothing.
        owned = np.where(fibres[:, np.newaxis] >= 0, positions, np.inf)
        return _Glomeruli(positions, fibres, first, cKDTree(np.where(np.isinf(owned), 1e12, owned)))

    @pool_cache
    def _tips(self, granule_type: CellType) -> np.ndarray:
        tips = tips_of(first_morphology(granule_type), self.postsynaptic.morphology_labels)[1]
        if len(tips) < self.convergence:
            raise ConnectivityError(
                f"{self.name}: {granule_type.name} has {len(tips)} dendrites, not {self.convergence}"
            )
        return tips


@compiled
def _draw_of_different_fibres(
    first: np.ndarray, candidates: np.ndarray, fibres: np.ndarray, uniforms: np.ndarray, wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """Up to ``wanted`` candidates of each cell, of different fibres in random order; -1 where fibres run out.

    A fibre's place in the order is the first uniform of its first candidate; of its candidates, the one with the
    smallest second uniform is taken.
    """
    cells = len(first) - 1
    chosen = np.full((cells, wanted), -1, dtype=np.int64)
    found = np.zeros(cells, dtype=np.int64)
    for cell in range(cells):
        begin, end = first[cell], first[cell + 1]
        names = np.empty(end - begin, dtype=np.int64)
        order = np.empty(end - begin)
        best = np.empty(end - begin)
        pick = np.empty(end - begin, dtype=np.int64)
        known = 0
        for n in range(begin, end):
            at = 0
            while at < known and names[at] != fibres[n]:
                at += 1
            if at == known:
                names[at] = fibres[n]
                order[at] = uniforms[n, 0]
                best[at] = 2.0
                known += 1
            if uniforms[n, 1] < best[at]:
                best[at] = uniforms[n, 1]
                pick[at] = candidates[n]
        found[cell] = min(known, wanted)
        for slot in range(found[cell]):
            next_fibre = 0
            for at in range(1, known):
                if order[at] < order[next_fibre]:
                    next_fibre = at
            chosen[cell, slot] = pick[next_fibre]
            order[next_fibre] = 2.0
    return chosen, found
