"""What a simulation leaves out of the circuit it runs on. Values in, sentences out."""

from collections.abc import Iterable

from cerebellar_models.analysis.data import Tree
from cerebellar_models.analysis.structure import ProjectionNumbers

# Projections of gap junctions, by the names of the configurations.
_ELECTRICAL = "gap_"


def unsimulated(simulation: Tree, projections: Iterable[ProjectionNumbers]) -> tuple[str, ...]:
    """Names of the projections for which the simulation has no connection model."""
    models = set(simulation.get("connection_models", {}))
    return tuple(projection.name for projection in projections if not _modelled(projection, models))


def omissions(simulation: Tree, projections: tuple[ProjectionNumbers, ...]) -> tuple[str, ...]:
    """One sentence for each thing the simulator, or this simulation, ignores.

    :param simulation: the simulation's tree, as it was run.
    """
    left_out = unsimulated(simulation, projections)
    sentences = []
    if simulation.get("simulator") == "nest":
        taken = [projection for projection in projections if projection.name not in left_out]
        contacts = sum(projection.contacts for projection in taken)
        connections = sum(projection.connections for projection in taken)
        sentences += [
            "NEST's neurons are points: where on a cell a contact sits has no effect.",
            "All contacts of a pair of cells become one connection whose weight is their sum: "
            f"{contacts:,} contacts are {connections:,} connections.".replace(
                ",", "\N{NARROW NO-BREAK SPACE}"
            ),
        ]
    for projection in projections:
        if projection.name in left_out:
            electrical = projection.name.startswith(_ELECTRICAL)
            consequence = "electrical coupling is off" if electrical else "it has no effect"
            sentences.append(
                f"{projection.name} has no connection model in this simulation: {consequence} "
                f"({projection.connections} pairs of cells)."
            )
    return tuple(sentences)


def _modelled(projection: ProjectionNumbers, models: set[str]) -> bool:
    """BSB names a model after the projection or one pair of its types, ``<projection>_<pre>_to_<post>``."""
    suffix = f"_{projection.presynaptic}_to_{projection.postsynaptic}"
    return bool(models & {projection.name, projection.name.removesuffix(suffix), projection.name + suffix})
