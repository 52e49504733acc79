"""Glomeruli onto unipolar brush cells: one for each brush."""

import numpy as np
from bsb import CellType, Chunk, ConfigurationError, ConnectionStrategy, ConnectivityError, config, pool_cache
from bsb.connectivity.strategy import HemitypeCollection
from bsb.mixins import InvertedRoI
from scipy.spatial import cKDTree

from cerebellar_models.connectome.contradictions import CheckedRule
from cerebellar_models.connectome.lookup import without_point
from cerebellar_models.connectome.quantities import length, ratio


@config.node
class ConnectomeGlomerulusUBC(CheckedRule, InvertedRoI, ConnectionStrategy, classmap_entry="glom_ubc"):  # type: ignore[call-arg]
    """Gives each unipolar brush cell exactly one glomerulus.

    The share of cells served by a kind of glomerulus is its ratio over the sum of the ratios, within one
    cell; which cells is drawn at random. In random order, each cell takes the nearest glomerulus of its kind
    that none has taken yet; once all are taken, all are free again.

    The assignment depends on the seed and this strategy's name, and is the same on every rank.

    Source: Mugnaini 2011.

    :raises ConnectivityError: cells ask for a kind of glomerulus of which there is none.
    """

    radius: float = config.attr(type=length, required=True)
    """Usual reach of the brush, soma to glomerulus, µm. No cell goes without: where no glomerulus is free
    within reach, the nearest free one beyond serves."""
    ratios_ubc: dict[str, float] = config.dict(type=ratio, required=True)
    """Relative number of cells served, by name of the glomeruli's cell type."""

    def check(self) -> None:
        super().check()
        kinds = {kind.name for kind in self.presynaptic.cell_types}
        if set(self.ratios_ubc) != kinds or not sum(self.ratios_ubc.values()):
            raise ConfigurationError(
                f"connectivity.{self.name}.ratios_ubc: needs a ratio for each of {', '.join(sorted(kinds))}, not all 0"
            )

    def get_region_of_interest(self, chunk: Chunk) -> list[Chunk] | None:
        return None  # the nearest free glomerulus may be anywhere

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        for cells in post.placement:
            numbers = cells.load_ids()
            kinds, glomeruli = (column[numbers] for column in self._assign(cells.cell_type))
            for kind, glomerulus_type in enumerate(self.presynaptic.cell_types):
                mine = np.flatnonzero(kinds == kind)
                if len(mine):
                    self.connect_cells(
                        glomerulus_type.get_placement_set(),
                        cells,
                        without_point(glomeruli[mine]),
                        without_point(mine),
                    )

    @pool_cache
    def _assign(self, cell_type: CellType) -> tuple[np.ndarray, np.ndarray]:
        """For each cell of the population, the kind of its glomerulus and the number within that kind."""
        rng = self.get_rng(key=("connectivity", self.name, cell_type.name))
        cells = cell_type.get_placement_set().load_positions().reshape(-1, 3)
        order = rng.permutation(len(cells))
        kinds, glomeruli = np.empty((2, len(cells)), dtype=int)
        ratios = [self.ratios_ubc[kind.name] for kind in self.presynaptic.cell_types]
        first = 0
        for kind, count in enumerate(shares(ratios, len(cells))):
            mine = order[first : first + count]
            first += count
            if not count:
                continue
            places = self.presynaptic.cell_types[kind].get_placement_set().load_positions().reshape(-1, 3)
            if not len(places):
                raise ConnectivityError(
                    f"{self.name}: no {self.presynaptic.cell_types[kind].name} to serve a brush"
                )
            kinds[mine] = kind
            glomeruli[mine] = nearest_free(cells[mine], places)
        return kinds, glomeruli


def shares(ratios: list[float], total: int) -> list[int]:
    """Whole numbers in the ratio asked for, each within one of its exact share, that add up to the total."""
    ends = np.round(np.cumsum(ratios) / np.sum(ratios) * total).astype(int)
    numbers: list[int] = np.diff(ends, prepend=0).tolist()
    return numbers


def nearest_free(cells: np.ndarray, places: np.ndarray) -> np.ndarray:
    """For each cell in turn, the number of the nearest place that none has taken since all were last free."""
    tree = cKDTree(places)
    taken = np.zeros(len(places), dtype=bool)
    chosen = np.empty(len(cells), dtype=int)
    free = len(places)
    for number, cell in enumerate(cells):
        if not free:
            taken[:] = False
            free = len(places)
        reach = min(16, len(places))
        while True:
            near = np.atleast_1d(tree.query(cell, k=reach)[1])
            untaken = near[~taken[near]]
            if len(untaken):
                break
            reach = min(4 * reach, len(places))
        chosen[number] = untaken[0]
        taken[untaken[0]] = True
        free -= 1
    return chosen
