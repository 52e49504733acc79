"""Published figures a species' circuits are held against (``configurations/<species>/reference.yaml``)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cerebellar_models import schemas
from cerebellar_models.analysis.data import Activity
from cerebellar_models.analysis.words import plain
from cerebellar_models.circuits.catalogue import REFERENCE, SCHEMA, read_yaml, species_folders
from cerebellar_models.circuits.counting.rules import OVERLAP
from cerebellar_models.installation import bundle_folder
from cerebellar_models.tree import Tree


@dataclass(frozen=True)
class PublishedRate:
    """Over the cells that fired at least once."""

    mean_rate_hz: float
    sd_rate_hz: float | None
    mean_isi_ms: float | None


@dataclass(frozen=True)
class Conditions:
    """What the published figures hold for. None and () where a species' file does not say."""

    duration: float  # ms
    extent: tuple[float, float]  # x and y, µm
    synapse_model: str
    neuron_model: str | None = None
    relay_model: str | None = None
    without: tuple[
        str, ...
    ] = ()  # cell types the circuit had not; a rate of their own is of a circuit with them
    self_connections: bool | None = None  # whether a cell may contact itself


@dataclass(frozen=True)
class Difference:
    """One condition in which a simulation differs from the published ones.

    A difference in kind is another model: a deviation then tells the models apart, and is no disagreement.
    """

    label: str
    sentence: str
    in_kind: bool
    not_for: str | None = None  # the cell type whose rate was published under this very condition


@dataclass(frozen=True)
class Reference:
    """Rates by state, paradigm and cell type, the conditions they hold for, and a tolerance."""

    tolerance: float  # relative
    conditions: Conditions
    published: dict[str, dict[str, dict[str, PublishedRate]]]

    def rates(self, state: str, paradigm: str) -> dict[str, PublishedRate]:
        """By cell type; nothing where nothing was published."""
        return self.published.get(state, {}).get(paradigm, {})


def load_reference(species: str) -> Reference | None:
    """None for a species for which nothing was published.

    :raises UserError: the file is not readable, or not as the schema wants it.
    """
    folder = species_folders().get(species)
    path = folder / REFERENCE if folder else None
    return parse_reference(read_yaml(path), path) if path and path.is_file() else None


def parse_reference(tree: Tree, path: Path) -> Reference:
    """:raises UserError: the content of ``path`` is not as the species' schema wants it."""
    schemas.check(tree, path, bundle_folder("configurations") / SCHEMA, "reference")
    return Reference(
        tolerance=float(tree["tolerance"]),
        conditions=_conditions(tree["conditions"]),
        published={
            state: {
                paradigm: {cell_type: _rate(row) for cell_type, row in rows.items()}
                for paradigm, rows in paradigms.items()
            }
            for state, paradigms in tree["rates"].items()
        },
    )


def _conditions(tree: Tree) -> Conditions:
    x, y = tree["extent"]
    return Conditions(
        duration=float(tree["duration"]),
        extent=(float(x), float(y)),
        synapse_model=tree["synapse_model"],
        neuron_model=tree.get("neuron_model"),
        relay_model=tree.get("relay_model"),
        without=tuple(tree.get("without", ())),
        self_connections=tree.get("self_connections"),
    )


def differences(conditions: Conditions, activity: Activity, circuit: Tree) -> tuple[Difference, ...]:
    """How a simulation differs from the conditions of the published figures."""
    return (
        *_of_models(conditions, activity.configuration, circuit),
        *_of_degree(conditions, activity, circuit),
    )


def _of_models(conditions: Conditions, simulation: Tree, circuit: Tree) -> Iterator[Difference]:
    used = {model.get("model") for model in simulation.get("cell_models", {}).values()}
    if conditions.neuron_model and (others := used - {None, conditions.neuron_model, conditions.relay_model}):
        yield _other_model("neuron model", conditions.neuron_model, others)
    synapses = [
        synapse
        for model in simulation.get("connection_models", {}).values()
        for synapse in model.get("synapses", ())
    ]
    if others := {synapse.get("model", "static_synapse") for synapse in synapses} - {
        conditions.synapse_model
    }:
        yield _other_model("synapse model", conditions.synapse_model, others)
    for cell_type in conditions.without:
        if cell_type in circuit.get("cell_types", {}):
            name = cell_type.replace("_", " ")
            yield Difference(
                f"with {name}",
                f"Published for a circuit without {name}, which act on the others here.",
                in_kind=True,
                not_for=cell_type,
            )


def _other_model(what: str, published: str, others: set[str]) -> Difference:
    used = ", ".join(sorted(others))
    return Difference(
        f"{what} {used}", f"Published for {what} {published}, simulated with {used}.", in_kind=True
    )


def _of_degree(conditions: Conditions, activity: Activity, circuit: Tree) -> Iterator[Difference]:
    if activity.duration != conditions.duration:
        yield Difference(
            "duration",
            f"Published over {plain(conditions.duration)} ms, simulated for {plain(activity.duration)} ms: the "
            "shorter the time, the fewer slow cells fire at all, and the higher the rate of those that do.",
            in_kind=False,
        )
    network = circuit.get("network", {})
    extent = float(network.get("x", 0)), float(network.get("y", 0))
    if extent != conditions.extent:
        yield Difference(
            "extent",
            f"Published for {_extent(conditions.extent)}, simulated in {_extent(extent)}: the edges cut axons, so "
            "the number of inputs of a cell depends on the extent.",
            in_kind=False,
        )
    rules = circuit.get("connectivity", {}).values()
    allowed = {
        bool(rule.get("self_connections")) for rule in rules if OVERLAP.is_meant_by(rule.get("strategy"))
    }
    if conditions.self_connections is not None and allowed - {conditions.self_connections}:
        yield Difference(
            "self-connections",
            "Published with cells that may contact themselves, simulated without."
            if conditions.self_connections
            else "Published without cells that contact themselves, simulated with.",
            in_kind=False,
        )


def _extent(sides: tuple[float, float]) -> str:
    return f"{plain(sides[0])} x {plain(sides[1])} µm"


def in_words(conditions: Conditions) -> tuple[str, ...]:
    """The conditions, for the page."""
    words = [conditions.neuron_model, conditions.synapse_model]
    words += [f"{plain(conditions.duration)} ms", _extent(conditions.extent)]
    words += [f"without {cell_type.replace('_', ' ')}" for cell_type in conditions.without]
    if conditions.self_connections is not None:
        words.append(f"{'with' if conditions.self_connections else 'without'} self-connections")
    return tuple(word for word in words if word)


def _rate(row: Tree) -> PublishedRate:
    return PublishedRate(float(row["mean_rate"]), row.get("sd_rate"), row.get("mean_isi"))
