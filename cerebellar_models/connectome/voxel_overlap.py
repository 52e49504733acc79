"""The published morphology rule: two cells connect where their voxelised morphologies overlap.

Same candidates, overlap test and contact statistics as ``bsb.connectivity.VoxelIntersection``; the geometry runs
in a compiled kernel (:mod:`cerebellar_models.connectome.overlap_kernel`).
"""

import functools
from dataclasses import dataclass

import numpy as np
from bsb import (
    Branch,
    ConnectionStrategy,
    Morphology,
    PlacementSet,
    StoredMorphology,
    config,
    pool_cache,
    types,
)
from bsb.connectivity.detailed.shared import Intersectional
from bsb.connectivity.strategy import Hemitype, HemitypeCollection, roi_key

from cerebellar_models.connectome import overlap_kernel, placed_boxes, quantities
from cerebellar_models.connectome.contradictions import CheckedRule


@dataclass(frozen=True, eq=False)
class _VoxelisedTree:
    """The labelled points of one morphology, and how it is cut into voxels.

    points: (n, 3) µm, soma at the origin; locations: (n, 2) branch and point; voxel_size: (3,) µm.
    """

    points: np.ndarray
    locations: np.ndarray
    voxel_size: np.ndarray


@dataclass(frozen=True)
class _Cells:
    """Cells of one type in some chunks: positions (n, 3) µm, rotation matrices (n, 3, 3) or none, boxes (n, 6)."""

    positions: np.ndarray
    rotations: np.ndarray
    boxes: np.ndarray
    morphologies: np.ndarray
    trees: tuple[_VoxelisedTree, ...]


@functools.lru_cache(maxsize=64)
def _geometry(fixed: _VoxelisedTree, moving: _VoxelisedTree) -> overlap_kernel.Geometry:
    """The same one for all jobs of a rule, which find in it what those before have found out."""
    return overlap_kernel.prepare(fixed.points, fixed.voxel_size, moving.points, moving.voxel_size)


@config.node
class VoxelOverlap(CheckedRule, Intersectional, ConnectionStrategy, classmap_entry="voxel_overlap"):  # type: ignore[call-arg]
    """Connects pairs of cells whose labelled morphologies, cut into voxels, overlap.

    Each morphology is cut into about ``voxels_pre`` or ``voxels_post`` voxels of its own bounding box, on a grid
    anchored at the soma of the favoured side. Candidates are pairs whose bounding boxes meet; each favoured cell
    keeps the fraction ``affinity`` of its candidates, at random. A kept candidate with any two overlapping
    voxels is connected by a number of contacts drawn from ``contacts``; each contact takes a pair of overlapping
    voxels, weighted by the points they hold, and a point from each.

    The draws depend on the seed, this strategy's name, the cell types and the chunks, never on the rank.
    """

    affinity = config.attr(type=quantities.share, default=1)
    """Fraction of the candidates of a favoured cell that it keeps."""
    contacts = config.attr(type=quantities.contacts(), default=1)
    """Number of contacts of a connected pair: a number or a distribution."""
    voxels_pre = config.attr(type=quantities.count, default=50)
    """Number of voxels of a presynaptic morphology."""
    voxels_post = config.attr(type=quantities.count, default=50)
    """Number of voxels of a postsynaptic morphology."""
    cache = config.attr(type=bool, default=True)
    """Accepted from configurations of the stock rule; the compiled kernel has no use for it."""
    favor_cache = config.attr(type=types.in_(["pre", "post"]), default="pre")
    """Side whose voxel grid stays in place and whose cells the affinity counts for."""
    self_connections = config.attr(type=bool, default=False)
    """Whether a cell may contact itself, as in the published rule (2-3 % of recurrent pairs)."""

    def connect(self, pre: HemitypeCollection, post: HemitypeCollection) -> None:
        favour_pre = self.favor_cache == "pre"
        fixed, moving = (pre, post) if favour_pre else (post, pre)
        fixed_voxels, moving_voxels = (
            (self.voxels_pre, self.voxels_post) if favour_pre else (self.voxels_post, self.voxels_pre)
        )
        for fixed_set in self._placement(fixed):
            for moving_set in self._placement(moving):
                rng = self.get_rng(
                    key=(
                        "connectivity",
                        self.name,
                        fixed_set.cell_type.name,
                        moving_set.cell_type.name,
                        roi_key(fixed),
                        roi_key(moving),
                    )
                )
                fixed_cells = self._load(fixed.hemitype, fixed_set, fixed_voxels)
                moving_cells = self._load(moving.hemitype, moving_set, moving_voxels)
                same = fixed_set.cell_type is moving_set.cell_type and not self.self_connections
                locations = self._overlap(fixed_cells, moving_cells, same, rng)
                if len(locations[0]):
                    source, target = locations if favour_pre else reversed(locations)
                    self.connect_cells(
                        *((fixed_set, moving_set) if favour_pre else (moving_set, fixed_set)), source, target
                    )

    def _overlap(
        self, fixed: _Cells, moving: _Cells, exclude_self: bool, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        pairs = placed_boxes.meeting_boxes(fixed.boxes, moving.boxes)
        if exclude_self:
            pairs = pairs[np.any(fixed.positions[pairs[:, 0]] != moving.positions[pairs[:, 1]], axis=1)]
        if self.affinity < 1:
            counts = np.bincount(pairs[:, 0], minlength=len(fixed.positions))
            keep = np.floor(counts * self.affinity + rng.random(len(counts))).astype(np.int64)
            pairs = pairs[overlap_kernel.sample_per_row(counts, keep, rng.random(len(pairs)))]
        blocks = []
        for i, fixed_tree in enumerate(fixed.trees):
            for j, moving_tree in enumerate(moving.trees):
                chosen = pairs[
                    (fixed.morphologies[pairs[:, 0]] == i) & (moving.morphologies[pairs[:, 1]] == j)
                ]
                if len(chosen):
                    blocks.append(self._contacts_of(fixed, moving, fixed_tree, moving_tree, chosen, rng))
        if not blocks:
            nothing = np.empty((0, 3), dtype=np.int64)
            return nothing, nothing
        fixed_locations, moving_locations = zip(*blocks, strict=True)
        return np.concatenate(fixed_locations), np.concatenate(moving_locations)

    def _contacts_of(
        self,
        fixed: _Cells,
        moving: _Cells,
        fixed_tree: _VoxelisedTree,
        moving_tree: _VoxelisedTree,
        pairs: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        geometry = _geometry(fixed_tree, moving_tree)
        placed = (fixed.positions, fixed.rotations, moving.positions, moving.rotations)
        touching = pairs[overlap_kernel.touching(geometry, *placed, pairs)]
        drawn = np.asarray(self.contacts.draw(len(touching), rng), dtype=float)
        contacts = np.maximum(drawn.astype(np.int64), 0)
        points = overlap_kernel.draw_contacts(
            geometry, *placed, touching, contacts, rng.random(int(contacts.sum()))
        )
        cells = np.repeat(touching, contacts, axis=0)
        return tuple(
            np.column_stack((cells[:, side], tree.locations[points[:, side]]))
            for side, tree in enumerate((fixed_tree, moving_tree))
        )

    def _load(self, hemitype: Hemitype, placement_set: PlacementSet, voxels: int) -> _Cells:
        morphologies = hemitype.morpho_loader(placement_set)
        kinds = morphologies.get_indices()
        extents = np.array([(meta["ldc"], meta["mdc"]) for meta in morphologies.iter_meta(unique=True)])
        labels = tuple(hemitype.morphology_labels or ())
        positions = placement_set.load_positions()
        rotations = placed_boxes.rotation_matrices(np.asarray(placement_set.load_rotations()))
        return _Cells(
            positions=positions,
            rotations=rotations,
            boxes=placed_boxes.cell_boxes(positions, rotations, kinds, extents),
            morphologies=kinds,
            trees=tuple(self._voxelise(loader, labels, voxels) for loader in morphologies._loaders),
        )

    @pool_cache
    def _voxelise(self, loader: StoredMorphology, labels: tuple[str, ...], voxels: int) -> _VoxelisedTree:
        morphology = loader.load()
        points, locations = [], []
        for number, branch in enumerate(morphology.branches):
            chosen = np.flatnonzero(branch.get_label_mask(list(labels))) if labels else np.arange(len(branch))
            points.append(branch.points[chosen])
            locations.append(np.column_stack((np.full(len(chosen), number), chosen)))
        # The size of the voxels follows from the extent of the whole cell: one point has it computed all the same.
        one_point = Morphology([Branch(morphology.branches[0].points[:1], np.ones(1))], meta=morphology.meta)
        size = np.asarray(one_point.voxelize(voxels).get_size(), dtype=float)
        return _VoxelisedTree(
            np.concatenate(points), np.concatenate(locations), np.broadcast_to(size, (3,)).copy()
        )

    def _placement(self, collection: HemitypeCollection) -> list[PlacementSet]:
        # Without the morphology labels: the locations below are those of the whole morphology already.
        hemitype = collection.hemitype
        return [
            cell_type.get_placement_set(chunks=collection.roi, labels=hemitype.labels)
            for cell_type in hemitype.cell_types
        ]
