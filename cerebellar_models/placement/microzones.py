"""Divides populations into labelled zones, which projections, recorders and stimuli can then address."""

import abc

import numpy as np
from bsb import AfterPlacementHook, ConfigurationError, config, types

from cerebellar_models.connectome.contradictions import Checked, require_distinct
from cerebellar_models.connectome.lookup import named_cell_types

_AXES = ("x", "y", "z")


def _axis(value: str | int) -> int:
    """x, y, z or their number, as a number."""
    if value in _AXES:
        return _AXES.index(value)
    if value in (0, 1, 2) and not isinstance(value, bool):
        return int(value)
    raise ValueError(f"axis: {value!r} is none of x, y, z")


class _Labelling(Checked, AfterPlacementHook, abc.ABC):
    """Gives each cell of some types exactly one of the labels, each type by itself."""

    def check(self) -> None:
        where = f"after_placement.{self.name}"
        repeated = sorted({label for label in self.labels if list(self.labels).count(label) > 1})
        if repeated:
            raise ConfigurationError(f"{where}.labels: {', '.join(repeated)} is given more than once")
        if not self.labels:
            raise ConfigurationError(f"{where}.labels: give at least one label")
        require_distinct(f"{where}.cell_types", self.cell_types)

    @abc.abstractmethod
    def zones(self, cell_type: str, positions: np.ndarray) -> np.ndarray:
        """Number of the label of each cell, from the positions (n, 3) µm of the population."""

    def postprocess(self) -> None:
        for cell_type in self.cell_types:
            cells = cell_type.get_placement_set()
            zones = self.zones(cell_type.name, cells.load_positions().reshape(-1, 3))
            for number, label in enumerate(self.labels):
                mine = np.flatnonzero(zones == number)
                if len(mine):
                    cells.label([label], mine)


@config.node
class LabelCells(_Labelling):
    """Labels cells at random, in equal numbers if ``same_size`` is on.

    The draw depends on the seed, this hook's name and the cell type, never on the rank.
    """

    cell_types = named_cell_types()
    """Populations to divide."""
    labels: list[str] = config.attr(type=types.list(str), required=True)
    """Names of the zones."""
    same_size: bool = config.attr(type=bool, default=False)  # as in the published package
    """Whether the zones of a population differ by at most one cell; otherwise each cell draws by itself."""

    def zones(self, cell_type: str, positions: np.ndarray) -> np.ndarray:
        rng: np.random.Generator = self.get_rng(key=("after_placement", self.name, cell_type))
        if self.same_size:
            return rng.permutation(equal_zones(len(positions), len(self.labels)))
        return rng.integers(len(self.labels), size=len(positions))


@config.node
class LabelMicrozones(_Labelling):
    """Labels cells by their position along an axis, in the order of the labels.

    The zones hold equal numbers of cells, or with ``same_size`` off divide the extent of the population into
    equal lengths. Nothing is drawn at random.
    """

    cell_types = named_cell_types()
    """Populations to divide."""
    labels: list[str] = config.attr(type=types.list(str), required=True)
    """Names of the zones, from low to high positions."""
    same_size: bool = config.attr(type=bool, default=True)
    """Whether the zones of a population differ by at most one cell."""
    axis: int = config.attr(type=_axis, default=0)
    """Axis along which zones follow one another: x, y, z or 0, 1, 2."""

    def zones(self, cell_type: str, positions: np.ndarray) -> np.ndarray:
        along = positions[:, self.axis]
        if self.same_size:
            zones = np.empty(len(along), dtype=int)
            zones[np.argsort(along, kind="stable")] = equal_zones(len(along), len(self.labels))
            return zones
        ends = np.linspace(along.min(initial=np.inf), along.max(initial=-np.inf), len(self.labels) + 1)
        return np.searchsorted(ends[1:-1], along, side="right")


def equal_zones(cells: int, zones: int) -> np.ndarray:
    """Zone numbers (cells,) in ascending order, the sizes of the zones differing by at most one."""
    return np.arange(cells) * zones // max(cells, 1)
