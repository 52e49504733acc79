"""Compiled geometry of the morphology rule: which voxelised trees overlap, and where.

A tree is a cloud of labelled points cut into cuboid voxels. The fixed tree of a pair stays at the origin; the
moving tree is placed relative to it and cut on the same origin's grid, so its voxels depend on where it lies.
Two voxels overlap when their closed boxes meet. Lengths are µm throughout.
"""

from typing import NamedTuple

import numpy as np

from cerebellar_models.connectome.kernels import compiled

_FLAT = 1e-8  # µm; a voxel thinner than this is one of a flat tree
_MARGIN = 1e-6  # µm; keeps points that touch a bound up to rounding
_MOST_SLOTS = 2**16
_WEIGHT_BITS = 24  # of a slot; the others are the place that it is the weight of


class Geometry(NamedTuple):
    """A fixed and a moving tree, ready to be placed.

    The fixed tree's occupied voxels are numbered through ``grid`` (-1 where empty), whose first cell has index
    ``grid_origin``; ``members[first[v]:first[v + 1]]`` are the points of voxel ``v``. The moving tree's points are
    sorted along ``axis`` (``sorted`` is that coordinate); ``order`` gives their original numbers. ``slots`` remembers
    how many fixed points lie in voxels that overlap a voxel of the moving tree, by the place of that voxel, one of
    ``places`` from ``first_place`` on. It is filled as places are asked for, and stays from job to job.
    """

    fixed_size: np.ndarray
    grid: np.ndarray
    grid_origin: np.ndarray
    first: np.ndarray
    members: np.ndarray
    low: np.ndarray
    high: np.ndarray
    moving: np.ndarray
    sorted: np.ndarray
    order: np.ndarray
    moving_size: np.ndarray
    axis: int
    slots: np.ndarray
    first_place: np.ndarray
    places: np.ndarray


def prepare(
    fixed: np.ndarray, fixed_size: np.ndarray, moving: np.ndarray, moving_size: np.ndarray
) -> Geometry:
    """Cuts the fixed tree into voxels and sorts the moving one.

    :param fixed: points (n, 3); ``fixed_size``: its voxels' extent (3,), 0 along an axis in which it is flat.
    """
    index = (fixed // _divisor(fixed_size)).astype(np.int64)
    voxels, voxel_of_point = np.unique(index, axis=0, return_inverse=True)
    voxel_of_point = voxel_of_point.reshape(-1)
    grid_origin = voxels.min(axis=0)
    grid = np.full(voxels.max(axis=0) - grid_origin + 1, -1, dtype=np.int64)
    grid[tuple((voxels - grid_origin).T)] = np.arange(len(voxels))
    low = (voxels * fixed_size).min(axis=0)
    high = (voxels * fixed_size + fixed_size).max(axis=0)
    # Points of the moving tree outside the fixed tree's box are skipped fastest along the axis in which the moving
    # tree is long and the box is short.
    axis = int(np.argmax(np.ptp(moving, axis=0) / (high - low + 2 * moving_size + 1e-9)))
    order = np.argsort(moving[:, axis], kind="stable")
    # Of points within reach of the fixed tree's box, and one more on either side; of a flat tree -1 and 0.
    flat = moving_size <= _FLAT
    step, reach = np.where(flat, 1.0, moving_size), moving_size + _MARGIN
    first_place = np.where(flat, -1, np.floor((low - reach) / step) - 1).astype(np.int64)
    places = np.where(flat, 2, np.floor((high + reach) / step) + 2 - first_place).astype(np.int64)
    slots = 2 ** int(np.ceil(np.log2(places.astype(float).prod())))
    if slots > 2 ** (62 - _WEIGHT_BITS):
        raise ValueError(f"voxels of {moving_size} µm are too small for a tree of {high - low} µm")
    return Geometry(
        np.ascontiguousarray(fixed_size, dtype=float),
        grid,
        grid_origin,
        np.concatenate(([0], np.cumsum(np.bincount(voxel_of_point, minlength=len(voxels))))),
        np.argsort(voxel_of_point, kind="stable"),
        low,
        high,
        np.ascontiguousarray(moving[order], dtype=float),
        np.ascontiguousarray(moving[order, axis], dtype=float),
        order,
        np.ascontiguousarray(moving_size, dtype=float),
        axis,
        np.full(min(slots, _MOST_SLOTS), -1, dtype=np.int64),
        first_place,
        places,
    )


def _divisor(size: np.ndarray) -> np.ndarray:
    """A flat axis has one voxel, reached by dividing by something huge."""
    return np.where(np.isclose(size, 0), np.finfo(float).max, size)


@compiled
def sample_per_row(counts: np.ndarray, keep: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Mask (sum of counts,) that keeps ``keep[i]`` of the ``counts[i]`` entries of row i, all choices alike."""
    mask = np.zeros(len(uniforms), dtype=np.bool_)
    at = 0
    for row in range(len(counts)):
        left = counts[row]
        wanted = keep[row]
        for _ in range(counts[row]):
            if uniforms[at] * left < wanted:
                mask[at] = True
                wanted -= 1
            left -= 1
            at += 1
    return mask


def touching(
    geometry: Geometry,
    fixed_positions: np.ndarray,
    fixed_rotations: np.ndarray,
    moving_positions: np.ndarray,
    moving_rotations: np.ndarray,
    pairs: np.ndarray,
) -> np.ndarray:
    """Mask (k,) of the pairs whose placed trees have any two overlapping voxels."""
    return _touching(geometry, fixed_positions, fixed_rotations, moving_positions, moving_rotations, pairs)


def draw_contacts(
    geometry: Geometry,
    fixed_positions: np.ndarray,
    fixed_rotations: np.ndarray,
    moving_positions: np.ndarray,
    moving_rotations: np.ndarray,
    pairs: np.ndarray,
    contacts: np.ndarray,
    uniforms: np.ndarray,
) -> np.ndarray:
    """Point numbers (sum of contacts, 2), fixed and moving, of the contacts of touching pairs.

    Every pair of points in overlapping voxels is equally likely, which is a pair of overlapping voxels weighted by
    the points they hold and then a point of each.
    """
    return _draw_contacts(
        geometry,
        fixed_positions,
        fixed_rotations,
        moving_positions,
        moving_rotations,
        pairs,
        contacts,
        uniforms,
    )


@compiled
def _touching(
    geometry: Geometry,
    fixed_positions: np.ndarray,
    fixed_rotations: np.ndarray,
    moving_positions: np.ndarray,
    moving_rotations: np.ndarray,
    pairs: np.ndarray,
) -> np.ndarray:
    result = np.zeros(len(pairs), dtype=np.bool_)
    weights = np.empty(len(geometry.moving), dtype=np.int64)
    places = np.empty((len(geometry.moving), 3), dtype=np.int64)
    for n in range(len(pairs)):
        shift, turn, turned = _place(
            fixed_positions, fixed_rotations, moving_positions, moving_rotations, pairs[n, 0], pairs[n, 1]
        )
        result[n] = _weigh(geometry, shift, turn, turned, weights, places, True)[2] > 0
    return result


@compiled
def _draw_contacts(
    geometry: Geometry,
    fixed_positions: np.ndarray,
    fixed_rotations: np.ndarray,
    moving_positions: np.ndarray,
    moving_rotations: np.ndarray,
    pairs: np.ndarray,
    contacts: np.ndarray,
    uniforms: np.ndarray,
) -> np.ndarray:
    result = np.empty((len(uniforms), 2), dtype=np.int64)
    weights = np.empty(len(geometry.moving), dtype=np.int64)
    places = np.empty((len(geometry.moving), 3), dtype=np.int64)
    at = 0
    for n in range(len(pairs)):
        if contacts[n] == 0:
            continue
        shift, turn, turned = _place(
            fixed_positions, fixed_rotations, moving_positions, moving_rotations, pairs[n, 0], pairs[n, 1]
        )
        begin, end, total = _weigh(geometry, shift, turn, turned, weights, places, False)
        for point in range(begin + 1, end):
            weights[point] += weights[point - 1]
        for _ in range(contacts[n]):
            ticket = min(int(uniforms[at] * total), total - 1)
            point = begin + _count_below(weights[begin:end], ticket + 1)
            if point > begin:
                ticket -= weights[point - 1]
            result[at, 0] = _member(geometry, places[point], ticket)
            result[at, 1] = geometry.order[point]
            at += 1
    return result


@compiled
def _place(
    fixed_positions: np.ndarray,
    fixed_rotations: np.ndarray,
    moving_positions: np.ndarray,
    moving_rotations: np.ndarray,
    i: int,
    j: int,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Shift and rotation that take the moving tree into the frame of the fixed one."""
    shift = np.empty(3)
    turn = np.zeros((3, 3))
    for k in range(3):
        shift[k] = moving_positions[j, k] - fixed_positions[i, k]
        turn[k, k] = 1.0
    if len(moving_rotations) > 0:
        turn[:] = moving_rotations[j]
    if len(fixed_rotations) > 0:
        # By the inverse, which is the transpose; written out, as a matrix product compiles for seconds.
        forward, offset = turn.copy(), shift.copy()
        for k in range(3):
            shift[k] = 0.0
            for m in range(3):
                shift[k] += fixed_rotations[i, m, k] * offset[m]
                turn[k, m] = 0.0
                for n in range(3):
                    turn[k, m] += fixed_rotations[i, n, k] * forward[n, m]
    turned = len(moving_rotations) > 0 or len(fixed_rotations) > 0
    return shift, turn, turned


@compiled
def _count_below(ascending: np.ndarray, value: float) -> int:
    """How many of the ascending numbers are below ``value``. Written out: ``np.searchsorted`` compiles for seconds."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _voxel_index(coordinate: float, size: float, inverse: float) -> int:
    """``coordinate // size``, by multiplication where the rounding of the product cannot matter."""
    if (
        inverse == 0.0
    ):  # a flat tree's voxel lies at 0 wherever its points are, as in the published voxelisation
        return 0 if coordinate >= 0 else -1
    quotient = coordinate * inverse
    index = np.floor(quotient)
    if quotient - index < 1e-9 or quotient - index > 1 - 1e-9:
        index = coordinate // size
    return int(index)


@compiled
def _weigh(
    geometry: Geometry,
    shift: np.ndarray,
    turn: np.ndarray,
    turned: bool,
    weights: np.ndarray,
    places: np.ndarray,
    any_will_do: bool,
) -> tuple[int, int, int]:
    """Per moving point, the number of fixed points in voxels that overlap its own; their range and their sum.

    ``places`` receives the grid index of the voxel each weighed point lies in.
    """
    size = geometry.moving_size
    moving = geometry.moving
    # A point outside these bounds lies in a voxel that cannot reach the fixed tree's.
    low, high, inverse = np.empty(3), np.empty(3), np.empty(3)
    for k in range(3):
        flat = size[k] <= _FLAT
        inverse[k] = 0.0 if flat else 1 / size[k]
        low[k] = -np.inf if flat else geometry.low[k] - size[k] - _MARGIN
        high[k] = np.inf if flat else geometry.high[k] + size[k] + _MARGIN
    begin, end = 0, len(moving)
    if not turned:
        axis = geometry.axis
        begin = _count_below(geometry.sorted, low[axis] - shift[axis])
        end = _count_below(geometry.sorted, high[axis] - shift[axis])
    slots, first_place, places_along = geometry.slots, geometry.first_place, geometry.places
    total = 0
    for n in range(begin, end):
        weights[n] = 0
        x, y, z = moving[n, 0], moving[n, 1], moving[n, 2]
        if turned:
            x, y, z = (
                turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
                turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
                turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
            )
        z += shift[2]
        if z < low[2] or z > high[2]:
            continue
        x += shift[0]
        if x < low[0] or x > high[0]:
            continue
        y += shift[1]
        if y < low[1] or y > high[1]:
            continue
        places[n, 0] = _voxel_index(x, size[0], inverse[0])
        places[n, 1] = _voxel_index(y, size[1], inverse[1])
        places[n, 2] = _voxel_index(z, size[2], inverse[2])
        number = places[n, 0] - first_place[0]
        number = number * places_along[1] + places[n, 1] - first_place[1]
        number = number * places_along[2] + places[n, 2] - first_place[2]
        slot = number & (len(slots) - 1)
        # One number holds both, so that no thread reads the weight of another place.
        if slots[slot] >> _WEIGHT_BITS != number:
            slots[slot] = number << _WEIGHT_BITS | _weight_of(geometry, places[n])
        weights[n] = slots[slot] & ((1 << _WEIGHT_BITS) - 1)
        total += weights[n]
        if any_will_do and total > 0:
            break
    return begin, end, total


@compiled
def _span(geometry: Geometry, place: np.ndarray, k: int) -> tuple[int, int]:
    """Grid indices of the fixed voxels whose closed box may meet the moving voxel at ``place`` along axis k."""
    size = geometry.fixed_size[k]
    length = geometry.grid.shape[k]
    if size <= _FLAT:
        return 0, length
    low = place[k] * geometry.moving_size[k]
    high = low + geometry.moving_size[k]
    # One voxel more on either side than rounding could move them.
    first = int(np.floor(low / size)) - 1 - geometry.grid_origin[k]
    last = int(np.floor(high / size)) + 2 - geometry.grid_origin[k]
    return max(first, 0), min(last, length)


@compiled
def _meets(geometry: Geometry, place: np.ndarray, k: int, cell: int) -> bool:
    low = place[k] * geometry.moving_size[k]
    fixed_low = (cell + geometry.grid_origin[k]) * geometry.fixed_size[k]
    meets: bool = low <= fixed_low + geometry.fixed_size[k] and fixed_low <= low + geometry.moving_size[k]
    return meets


@compiled
def _weight_of(geometry: Geometry, place: np.ndarray) -> int:
    weight = 0
    x0, x1 = _span(geometry, place, 0)
    y0, y1 = _span(geometry, place, 1)
    z0, z1 = _span(geometry, place, 2)
    for x in range(x0, x1):
        if not _meets(geometry, place, 0, x):
            continue
        for y in range(y0, y1):
            if not _meets(geometry, place, 1, y):
                continue
            for z in range(z0, z1):
                voxel = geometry.grid[x, y, z]
                if voxel >= 0 and _meets(geometry, place, 2, z):
                    weight += geometry.first[voxel + 1] - geometry.first[voxel]
    return weight


@compiled
def _member(geometry: Geometry, place: np.ndarray, ticket: int) -> int:
    """The fixed point number ``ticket`` among those in voxels that overlap the moving voxel at ``place``."""
    x0, x1 = _span(geometry, place, 0)
    y0, y1 = _span(geometry, place, 1)
    z0, z1 = _span(geometry, place, 2)
    for x in range(x0, x1):
        if not _meets(geometry, place, 0, x):
            continue
        for y in range(y0, y1):
            if not _meets(geometry, place, 1, y):
                continue
            for z in range(z0, z1):
                voxel = geometry.grid[x, y, z]
                if voxel >= 0 and _meets(geometry, place, 2, z):
                    held = geometry.first[voxel + 1] - geometry.first[voxel]
                    if ticket < held:
                        member: int = geometry.members[geometry.first[voxel] + ticket]
                        return member
                    ticket -= held
    return -1
