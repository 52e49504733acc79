"""Glomeruli onto the basal dendrites of Golgi cells."""

import numpy as np
from bsb import CellType, Chunk, ConnectionStrategy, config, pool_cache
from bsb.connectivity.strategy import HemitypeCollection, roi_key
from bsb.mixins import InvertedRoI
from scipy.spatial import cKDTree

from cerebellar_models.connectome.contradictions import CheckedRule
from cerebellar_models.connectome.lookup import first_morphology, tips_of, without_point
from cerebellar_models.connectome.placed_boxes import rotation_matrices
from cerebellar_models.connectome.quantities import length

# The tip is of rank floor(n x) by distance, x exponential of this scale and cut at this value.
_RANK_SCALE = 0.03
_RANK_CUT = 0.15


@config.node
class ConnectomeGlomerulusGolgi(CheckedRule, InvertedRoI, ConnectionStrategy, classmap_entry="glom_golgi"):  # type: ignore[call-arg]
    """Connects every glomerulus within ``radius`` of a Golgi soma to it, once.

    The contact lies on the tip of a dendrite near the glomerulus: with the n tips sorted by their distance to the
    glomerulus, the one of rank floor(n x), x exponential of scale 0.03 cut at 0.15.

    Source: Kanichay & Silver 2008, doi:10.1523/JNEUROSCI.5469-07.2008, of the contacts on basal dendrites; scale and
    cut are those of the published circuit, for which no measurement is known.
    """

    radius: float = config.attr(type=length, required=True)
    """Reach of the dendrites, soma to glomerulus, µm."""

    def get_region_of_interest(self, chunk: Chunk) -> list[Chunk] | None:
        reach = np.ceil(self.radius / chunk.dimensions).astype(int)
        near = {
            other
            for kind in self.presynaptic.cell_types
            for other in kind.get_placement_set().get_all_chunks()
            if np.all(np.abs(np.asarray(other, dtype=int) - np.asarray(chunk, dtype=int)) <= reach)
        }
        return sorted(near)

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        for golgi_type in self.postsynaptic.cell_types:
            cells = golgi_type.get_placement_set(chunks=post.roi, labels=self.postsynaptic.labels)
            turns = rotation_matrices(np.asarray(cells.load_rotations()))
            for glomeruli in pre.placement:
                rng = self.get_rng(
                    key=("connectivity", self.name, glomeruli.cell_type.name, golgi_type.name, roi_key(post))
                )
                tips, locations = self._tips(golgi_type)
                source, target = connect_to_tips(
                    glomeruli.load_positions(),
                    cells.load_positions(),
                    turns,
                    self.radius,
                    tips,
                    locations,
                    rng,
                )
                if len(source):
                    self.connect_cells(glomeruli, cells, source, target)

    @pool_cache
    def _tips(self, golgi_type: CellType) -> tuple[np.ndarray, np.ndarray]:
        return tips_of(first_morphology(golgi_type), self.postsynaptic.morphology_labels)


def connect_to_tips(
    glomeruli: np.ndarray,
    somata: np.ndarray,
    turns: np.ndarray,
    radius: float,
    tips: np.ndarray,
    locations: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Locations before and after the synapse (n, 3) of every glomerulus within ``radius`` µm of a soma.

    :param turns: rotation matrices (somata, 3, 3) of the cells, or none if no cell is rotated.
    :param tips: ends of the dendrites (m, 3) relative to an unrotated soma, µm; ``locations`` (m, 2) of them.
    """
    near = cKDTree(glomeruli).query_ball_point(somata, radius, return_sorted=True)
    source = np.concatenate([*near, []]).astype(int)
    cells = np.repeat(np.arange(len(somata)), [len(row) for row in near])
    turned = np.einsum("nij,mj->nmi", turns[cells], tips) if len(turns) else tips[np.newaxis]
    offsets = (glomeruli[source] - somata[cells])[:, np.newaxis]
    distances = np.linalg.norm(offsets - turned, axis=2)
    share = -_RANK_SCALE * np.log1p(rng.random(len(source)) * np.expm1(-_RANK_CUT / _RANK_SCALE))
    rank = (share * len(tips)).astype(int)
    tip = np.argsort(distances, axis=1)[np.arange(len(source)), rank]
    return without_point(source), np.column_stack((cells, locations[tip]))
