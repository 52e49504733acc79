"""Which fibre each glomerulus belongs to: mossy fibres branch into glomeruli near them, brush cells likewise."""

import abc

import numpy as np
from bsb import Chunk, ConnectionStrategy, config
from bsb.connectivity.strategy import HemitypeCollection, roi_key
from bsb.mixins import InvertedRoI

from cerebellar_models.connectome.contradictions import CheckedRule
from cerebellar_models.connectome.lookup import without_point
from cerebellar_models.connectome.quantities import length


class _ToGlomerulus(CheckedRule, InvertedRoI, ConnectionStrategy, abc.ABC):
    """Gives each glomerulus exactly one fibre.

    Among the fibres near it, sorted by distance, it takes the one of rank floor(n x) with
    x = (exp(-2r) - exp(-2)) / (1 - exp(-2)), r uniform in [0, 1); the nearest fibre where none is near. The preference
    for near ones is that of the published circuit; no measurement of it is known.
    """

    def get_region_of_interest(self, chunk: Chunk) -> list[Chunk] | None:
        return None  # every fibre may be the nearest

    @abc.abstractmethod
    def near(self, offsets: np.ndarray) -> np.ndarray:
        """Mask (n, m) of the fibres a glomerulus chooses from, given its offsets (n, m, 3) to the fibres in µm."""

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        fibres = [(fibre_set, fibre_set.load_positions()) for fibre_set in pre.placement]
        for glomeruli in post.placement:
            rng = self.get_rng(key=("connectivity", self.name, glomeruli.cell_type.name, roi_key(post)))
            places = glomeruli.load_positions()
            offsets = places[:, np.newaxis] - np.concatenate([positions for _, positions in fibres])
            chosen = _choose(np.linalg.norm(offsets, axis=2), self.near(offsets), rng.random(len(places)))
            first = 0
            for fibre_set, positions in fibres:
                mine = np.flatnonzero((chosen >= first) & (chosen < first + len(positions)))
                if len(mine):
                    self.connect_cells(
                        fibre_set, glomeruli, without_point(chosen[mine] - first), without_point(mine)
                    )
                first += len(positions)


def _choose(distances: np.ndarray, near: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Column chosen for each row."""
    count = near.sum(axis=1)
    share = (np.exp(-2 * uniforms) - np.exp(-2)) / (1 - np.exp(-2))
    rank = np.minimum((count * share).astype(int), np.maximum(count - 1, 0))
    # Fibres that are not near sort last; where none is near, the nearest of all has rank 0.
    sorting = np.where(near | (count == 0)[:, np.newaxis], distances, np.inf)
    chosen: np.ndarray = np.argsort(sorting, axis=1, kind="stable")[np.arange(len(distances)), rank]
    return chosen


@config.node
class ConnectomeMossyGlomerulus(_ToGlomerulus, classmap_entry="mossy_glom"):  # type: ignore[call-arg]
    """One mossy fibre for each glomerulus, from a box around it (see :class:`_ToGlomerulus`).

    Source: Sultan 2001, doi:10.1046/j.0953-816x.2001.01593.x.
    """

    x_length: float = config.attr(type=length, required=True)
    """Half the extent of the box in x, µm."""
    y_length: float = config.attr(type=length, required=True)
    """Half the extent of the box in y, µm."""

    def near(self, offsets: np.ndarray) -> np.ndarray:
        within: np.ndarray = (np.abs(offsets[..., 0]) <= self.x_length) & (
            np.abs(offsets[..., 1]) <= self.y_length
        )
        return within


@config.node
class ConnectomeUBCGlomerulus(_ToGlomerulus, classmap_entry="ubc_glom"):  # type: ignore[call-arg]
    """One unipolar brush cell for each of its glomeruli, from a sphere around it (see :class:`_ToGlomerulus`)."""

    radius: float = config.attr(type=length, required=True)
    """Radius of the sphere, µm."""

    def near(self, offsets: np.ndarray) -> np.ndarray:
        within: np.ndarray = np.linalg.norm(offsets, axis=2) <= self.radius
        return within
