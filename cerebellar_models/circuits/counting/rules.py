"""The connection rules that are known: under which names configurations have them, and how each is counted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cerebellar_models.circuits.counting import projections
from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.projections import Counted, Numbers, Pair, Projection


@dataclass(frozen=True)
class Component:
    """A class of BSB or of this package that configurations name."""

    path: str
    short: str
    """by which BSB finds it, too"""

    def is_meant_by(self, name: object) -> bool:
        """Whether a configuration's name is its short one, or a path to it: packages move classes between modules."""
        package, _, rest = str(name).partition(".")
        ours = self.path.split(".")
        return name == self.short or (package == ours[0] and rest.rpartition(".")[2] == ours[-1])


OVERLAP = Component("cerebellar_models.connectome.voxel_overlap.VoxelOverlap", "voxel_overlap")
STOCK_OVERLAP = Component("bsb.connectivity.VoxelIntersection", "voxel_intersection")
MORE_CONTACTS = Component("cerebellar_models.connectome.io_purkinje.DuplicateSynapses", "duplicate_synapses")
"""The hook that multiplies the contacts of a rule"""

Counter = Callable[[Node, Counted], Numbers]
COUNTERS: dict[Component, Counter] = {
    OVERLAP: partial(projections.overlapping_trees, itself=False),
    STOCK_OVERLAP: partial(projections.overlapping_trees, itself=True),
    Component("bsb.connectivity.AllToAll", "all_to_all"): projections.all_to_all,
    Component("bsb.connectivity.FixedIndegree", "fixed_indegree"): projections.fixed_indegree,
    Component("bsb.connectivity.FixedOutdegree", "fixed_outdegree"): projections.fixed_outdegree,
    Component(
        "cerebellar_models.connectome.to_glomerulus.ConnectomeMossyGlomerulus", "mossy_glom"
    ): projections.one_fibre_each,
    Component(
        "cerebellar_models.connectome.to_glomerulus.ConnectomeUBCGlomerulus", "ubc_glom"
    ): projections.one_fibre_each,
    Component(
        "cerebellar_models.connectome.glomerulus_granule.ConnectomeGlomerulusGranule", "glom_gran"
    ): projections.glomeruli_of_granule_cells,
    Component(
        "cerebellar_models.connectome.glomerulus_golgi.ConnectomeGlomerulusGolgi", "glom_golgi"
    ): projections.all_glomeruli_near,
    Component(
        "cerebellar_models.connectome.golgi_glomerulus.ConnectomeGolgiGlomerulus", "golgi_glom"
    ): projections.through_glomeruli,
    Component(
        "cerebellar_models.connectome.glomerulus_ubc.ConnectomeGlomerulusUBC", "glom_ubc"
    ): projections.glomerulus_of_brush_cells,
    Component(
        "cerebellar_models.connectome.io_molecular.ConnectomeIO_MLI", "io_mli"
    ): projections.through_purkinje_cells,
}


def count_rule(name: str, rule: Node, known: Counted) -> dict[Pair, Projection]:
    """Its projections, by source and target.

    :raises Uncounted: nothing is known about this rule, or about what it rests on.
    """
    strategy = rule.get("strategy")
    for component, counter in COUNTERS.items():
        if component.is_meant_by(strategy):
            return {pair: Projection(name, *pair, *numbers) for pair, numbers in counter(rule, known).items()}
    raise Uncounted(f"rule {strategy} is not known")
