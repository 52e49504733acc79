"""What a simulation leaves out of the circuit it runs on. Values in, sentences out."""

from collections.abc import Iterable

from cerebellar_models.analysis.structure import ProjectionNumbers
from cerebellar_models.circuits.adopting.adopt import GAP_JUNCTIONS
from cerebellar_models.tree import Tree

# Projections of gap junctions, by the names of the configurations.
_ELECTRICAL = "gap_"


def unsimulated(simulation: Tree, projections: Iterable[ProjectionNumbers]) -> tuple[str, ...]:
    """Names of the projections for which the simulation has no connection model."""
    models = simulation.get("connection_models", {})
    return tuple(projection.name for projection in projections if not _models(projection, models))


def omissions(simulation: Tree, projections: tuple[ProjectionNumbers, ...]) -> tuple[str, ...]:
    """One sentence for each thing the simulator, or this simulation, ignores.

    :param simulation: the simulation's tree, as it was run.
    """
    left_out = unsimulated(simulation, projections)
    sentences = []
    if simulation.get("simulator") == "nest":
        taken = [projection for projection in projections if projection.name not in left_out]
        electrical = _electrical(taken, simulation.get("connection_models", {}))
        chemical = [projection for projection in taken if projection.name not in electrical]
        contacts = sum(projection.contacts for projection in chemical)
        connections = sum(projection.connections for projection in chemical)
        sentences += [
            "NEST's neurons are points: where on a cell a contact sits has no effect.",
            "All contacts of a pair of cells become one connection whose weight is their sum: "
            f"{contacts:,} contacts are {connections:,} connections.".replace(
                ",", "\N{NARROW NO-BREAK SPACE}"
            ),
            *electrical.values(),
        ]
    for projection in projections:
        if projection.name in left_out:
            gap = projection.name.startswith(_ELECTRICAL)
            consequence = "electrical coupling is off" if gap else "it has no effect"
            sentences.append(
                f"{projection.name} has no connection model in this simulation: {consequence} "
                f"({projection.connections} pairs of cells)."
            )
    return tuple(sentences)


def _electrical(projections: Iterable[ProjectionNumbers], models: Tree) -> dict[str, str]:
    """A sentence for each projection that NEST takes as gap junctions, by the projection's name."""
    return {
        projection.name: _coupling(projection, model)
        for projection in projections
        for model in _models(projection, models)
        if any(synapse.get("model") == "gap_junction" for synapse in model.get("synapses") or ())
    }


def _coupling(projection: ProjectionNumbers, model: Tree) -> str:
    """What becomes of the contacts of gap junctions (docs/gap_junctions.md)."""
    name, rule = projection.name, model.get("rule")
    if rule == "one_to_one" and projection.presynaptic == projection.postsynaptic:
        return (
            f"{name} connects each {projection.postsynaptic} to itself alone (one_to_one): "
            f"electrical coupling is off ({projection.connections} pairs of cells)."
        )
    if rule is not None:
        return f"{name} couples cells by NEST's rule {rule}: its contacts have no effect."
    if model.get("model_strategy") != GAP_JUNCTIONS:
        return f"{name} couples each pair of cells in the direction of its contacts, with the sum of their weights."
    weight = (
        "the weight of one contact times their number"
        if model.get("per_contact", True)
        else "one weight however many there are"
    )
    return f"{name} couples each pair of cells both ways, whichever way its contacts go, with {weight}."


def _models(projection: ProjectionNumbers, models: Tree) -> list[Tree]:
    """BSB names a model after the projection or one pair of its types, ``<projection>_<pre>_to_<post>``."""
    suffix = f"_{projection.presynaptic}_to_{projection.postsynaptic}"
    names = {projection.name, projection.name.removesuffix(suffix), projection.name + suffix}
    return [models[name] for name in names & set(models)]
