"""How many pairs of cells two populations have within reach of each other, from geometry alone.

A rule that connects cells by where they lie says, for each displacement of the second cell from the first, whether
they touch. Cells are spread evenly over boxes, so that the expected number of touching pairs is the integral over all
displacements that touch of the volume in which the first cell can lie: no cell has to be placed.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Displacements at which the integral is evaluated. More gain nothing: populations scatter by more.
_SAMPLES = 4096
# Points of a tree closer than this share of a voxel fall into the same voxel nearly always.
_FINENESS = 4
# Of R. Kronecker's sequence in three dimensions, which fills a box evenly (Roberts 2018).
_PLASTIC = 1.2207440846057596


@dataclass(frozen=True)
class Box:
    """A box of tissue, µm, and how many cells are spread evenly over it."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    cells: float

    @property
    def volume(self) -> float:
        return float(np.prod(np.subtract(self.high, self.low)))


Touches = Callable[[np.ndarray], np.ndarray]
"""Displacements (n, 3) µm in, a mask (n,) out"""


def expected_pairs(
    first: list[Box], second: list[Box], touches: Touches, reach: np.ndarray, same: bool = False
) -> float:
    """Expected number of pairs of a cell of the first and one of the second population that touch.

    :param reach: low and high corner (2, 3) of the displacements at which cells may touch at all, µm.
    :param same: they are one population, of which no cell touches itself.
    """
    return sum(_pairs_of_boxes(one, other, touches, reach, same) for one in first for other in second)


def _pairs_of_boxes(first: Box, second: Box, touches: Touches, reach: np.ndarray, same: bool) -> float:
    low = np.maximum(reach[0], np.subtract(second.low, first.high))
    high = np.minimum(reach[1], np.subtract(second.high, first.low))
    others = second.cells * max(0.0, 1 - 1 / first.cells) if same and first.cells else second.cells
    if np.any(high <= low) or not first.volume or not second.volume:
        return 0.0
    displacements = low + (high - low) * _even(_SAMPLES)
    room = np.prod(
        np.maximum(
            np.minimum(first.high, second.high - displacements)
            - np.maximum(first.low, second.low - displacements),
            0.0,
        ),
        axis=1,
    )
    measure = float(np.mean(room * touches(displacements)) * np.prod(high - low))
    return first.cells / first.volume * others / second.volume * measure


@functools.cache
def _even(count: int) -> np.ndarray:
    """Points (count, 3) that fill the unit cube evenly, the same ones every time."""
    steps = 1 / _PLASTIC ** np.arange(1, 4)
    return (0.5 + np.outer(np.arange(1, count + 1), steps)) % 1


def sphere(radius: float) -> tuple[Touches, np.ndarray]:
    """Cells within a distance of each other."""
    return (lambda d: np.linalg.norm(d, axis=1) <= radius), np.array([[-radius] * 3, [radius] * 3])


class VoxelisedTrees:
    """Two trees, the first cut into voxels where it lies, the second on the first one's origin's grid.

    As :class:`cerebellar_models.connectome.voxel_overlap.VoxelOverlap` does: two trees touch where the closed
    boxes of any two voxels meet.
    """

    def __init__(
        self, first: np.ndarray, first_size: np.ndarray, second: np.ndarray, second_size: np.ndarray
    ):
        """:param first: points (n, 3) µm, the soma at the origin; ``first_size``: extent (3,) of its voxels."""
        occupied = _places(first, first_size)
        lowest = occupied.min(axis=0)
        grid = np.zeros(occupied.max(axis=0) - lowest + 1, dtype=np.float32)
        grid[tuple((occupied - lowest).T)] = 1
        spans = [
            _meeting(lowest[axis], grid.shape[axis], first_size[axis], second_size[axis]) for axis in range(3)
        ]
        self._first = np.array([begin for begin, _ in spans])
        meets = np.einsum("abc,ia,jb,kc->ijk", grid, *(table for _, table in spans), optimize=True) > 0
        # An empty rim, for all that lies outside.
        self._meets = np.pad(meets, 1)
        self._size = np.where(second_size > 0, second_size, np.finfo(np.float32).max)
        points = _thinned(second, second_size / _FINENESS).astype(np.float32)
        # A few from everywhere find most of the trees that touch; only the others are looked at point by point.
        points = np.random.default_rng(0).permutation(points)
        self._second = np.split(points, [len(points) // 16, len(points) // 4])
        high = (self._first + meets.shape) * np.where(second_size > 0, second_size, 0.0)
        low = self._first * np.where(second_size > 0, second_size, 0.0)
        self.reach = np.array([low - second.max(axis=0), high - second.min(axis=0)])

    def touch(self, displacements: np.ndarray) -> np.ndarray:
        """Whether the trees touch at displacements (n, 3) of the second from the first."""
        result = np.zeros(len(displacements), dtype=bool)
        left = np.arange(len(displacements))
        for points in self._second:
            touching = self._meet(displacements[left], points)
            result[left[touching]] = True
            left = left[~touching]
        return result

    def _meet(self, displacements: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Whether any of these points (m, 3) of the second tree is in a voxel that meets the first's: (n,)."""
        shape = np.array(self._meets.shape)
        result = np.zeros(len(displacements), dtype=bool)
        # In pieces that stay in the processor's cache.
        step = max(1, 40_000 // max(1, len(points)))
        for begin in range(0, len(displacements), step):
            some = displacements[begin : begin + step].astype(np.float32)
            index = np.zeros((len(some), len(points)), dtype=np.int32)
            for axis in range(3):
                place = np.floor((some[:, axis, None] + points[:, axis]) / np.float32(self._size[axis]))
                place -= self._first[axis] - 1
                np.clip(place, 0, shape[axis] - 1, out=place)
                index *= shape[axis]
                index += place.astype(np.int32)
            result[begin : begin + step] = self._meets.reshape(-1)[index].any(axis=1)
        return result


def voxel_size(extent: np.ndarray, count: int) -> np.ndarray:
    """Extent (3,) µm of the voxels into which BSB cuts a cell of this extent (2, 3): about ``count`` of them."""
    sides = extent[1] - extent[0]
    size: np.ndarray = sides / _divisions(sides, count)
    return size


def _divisions(sides: np.ndarray, count: float) -> np.ndarray:
    """How often BSB divides each side (``bsb.voxels._eq_sides``)."""
    flat = np.isclose(sides, 0)
    if flat.all():
        return np.ones(len(sides))
    if flat.any():
        divisions: np.ndarray = np.ones(len(sides))
        divisions[~flat] = _divisions(sides[~flat], count)
        return divisions
    if len(sides) == 1:
        return np.array([count])
    shares = sides / sides.max()
    divisions = np.maximum(np.floor(shares * (count / shares.prod()) ** (1 / len(sides))), 1)
    order = np.argsort(sides)
    if len(sides) > 2:
        divisions[order[1:]] = _divisions(sides[order[1:]], count / divisions[order[0]])
    else:
        divisions[order[1]] = max(1, round(count / divisions[order[0]]))
    return divisions


def _places(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.floor(points / np.where(size > 1e-8, size, np.finfo(float).max)).astype(int)


def _thinned(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """One point of each group that lies within a cell of a grid."""
    places = _places(points, size)
    places -= places.min(axis=0)
    return points[np.unique(np.ravel_multi_index(places.T, places.max(axis=0) + 1), return_index=True)[1]]


def _meeting(lowest: int, count: int, fixed: float, moving: float) -> tuple[int, np.ndarray]:
    """Along one axis: the first voxel of the moving grid that meets a fixed one, and which (m, count) meet."""
    if moving <= 1e-8:  # a flat tree has one voxel, without extent
        return 0, np.ones((1, count), dtype=np.float32)
    edges = (lowest + np.arange(count)) * fixed
    begin = int(np.floor(edges[0] / moving)) - 1
    end = int(np.ceil((edges[-1] + fixed) / moving)) + 1
    low = np.arange(begin, end)[:, None] * moving
    meets = (low <= edges + fixed) & (edges <= low + moving)
    return begin, meets.astype(np.float32)
