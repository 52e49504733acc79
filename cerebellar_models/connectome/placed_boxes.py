"""How cells lie in the volume: their rotations, their bounding boxes, and which boxes of two populations meet."""

import numpy as np
from scipy.spatial.transform import Rotation

from cerebellar_models.connectome.kernels import compiled


def rotation_matrices(angles: np.ndarray) -> np.ndarray:
    """Matrices (n, 3, 3) of Euler angles "xyz" in degrees (n, 3); shape (0, 3, 3) if no cell is rotated."""
    if not np.any(angles):
        return np.empty((0, 3, 3))
    matrices: np.ndarray = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return matrices


def cell_boxes(
    positions: np.ndarray, rotations: np.ndarray, kinds: np.ndarray, extents: np.ndarray
) -> np.ndarray:
    """Bounding boxes (n, 6), low corner then high corner, of cells of some morphologies.

    :param kinds: number (n,) of each cell's morphology in ``extents`` (m, 2, 3), its low and high corner.
    """
    if not len(positions):
        return np.empty((0, 6))
    if not len(rotations):
        return np.concatenate((extents[kinds, 0] + positions, extents[kinds, 1] + positions), axis=1)
    corner = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    corners = extents[kinds][:, corner, [0, 1, 2]]
    turned = np.einsum("nij,nkj->nki", rotations, corners)
    return np.concatenate((turned.min(axis=1) + positions, turned.max(axis=1) + positions), axis=1)


def meeting_boxes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pairs (k, 2) of row numbers whose closed boxes meet, sorted by the first."""
    return _meeting_boxes(np.ascontiguousarray(first), np.ascontiguousarray(second))


@compiled
def _meeting_boxes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    found = 0
    pairs = np.empty((max(len(first), 1024), 2), dtype=np.int64)
    for i in range(len(first)):
        for j in range(len(second)):
            meets = True
            for k in range(3):
                if first[i, k] > second[j, k + 3] or second[j, k] > first[i, k + 3]:
                    meets = False
                    break
            if meets:
                if found == len(pairs):
                    grown = np.empty((2 * len(pairs), 2), dtype=np.int64)
                    grown[:found] = pairs
                    pairs = grown
                pairs[found, 0] = i
                pairs[found, 1] = j
                found += 1
    return pairs[:found].copy()
