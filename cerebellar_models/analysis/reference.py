"""Published figures a species' circuits are held against (``configurations/<species>/reference.yaml``)."""

from dataclasses import dataclass

from cerebellar_models.analysis.data import Activity, Tree
from cerebellar_models.circuits.catalogue import read_yaml, species_folders
from cerebellar_models.errors import UserError


@dataclass(frozen=True)
class PublishedRate:
    """Over the cells that fired at least once."""

    mean_rate_hz: float
    sd_rate_hz: float | None
    mean_isi_ms: float | None


@dataclass(frozen=True)
class Reference:
    """Rates by state, paradigm and cell type, the conditions they hold for, and a tolerance."""

    tolerance: float  # relative
    duration: float  # ms
    extent: tuple[float, float]  # x and y, µm
    synapse_model: str
    published: dict[str, dict[str, dict[str, PublishedRate]]]

    def rates(self, state: str, paradigm: str) -> dict[str, PublishedRate]:
        """By cell type; nothing where nothing was published."""
        return self.published.get(state, {}).get(paradigm, {})


def load_reference(species: str) -> Reference | None:
    """None for a species for which nothing was published.

    :raises UserError: the file is not readable, or lacks a key.
    """
    folder = species_folders().get(species)
    path = folder / "reference.yaml" if folder else None
    return parse_reference(read_yaml(path), str(path)) if path and path.is_file() else None


def parse_reference(tree: Tree, origin: str) -> Reference:
    """:raises UserError: a key is missing; ``origin`` is named."""
    try:
        conditions = tree["conditions"]
        x, y = conditions["extent"]
        return Reference(
            tolerance=float(tree["tolerance"]),
            duration=float(conditions["duration"]),
            extent=(float(x), float(y)),
            synapse_model=conditions["synapse_model"],
            published={
                state: {
                    paradigm: {cell_type: _rate(row) for cell_type, row in rows.items()}
                    for paradigm, rows in paradigms.items()
                }
                for state, paradigms in tree["rates"].items()
            },
        )
    except KeyError as error:
        raise UserError(f"{origin}: lacks {error.args[0]!r}") from error


def other_conditions(reference: Reference, activity: Activity, circuit: Tree) -> tuple[str, ...]:
    """How a simulation differs from the conditions of the published figures, one sentence each."""
    found = []
    if activity.duration != reference.duration:
        found.append(
            f"Published over {reference.duration:g} ms, simulated for {activity.duration:g} ms: the "
            "shorter the time, the fewer slow cells fire at all, and the higher the rate of those that do."
        )
    network = circuit.get("network", {})
    extent = float(network.get("x", 0)), float(network.get("y", 0))
    if extent != reference.extent:
        found.append(
            f"Published for {reference.extent[0]:g} x {reference.extent[1]:g} µm, simulated in "
            f"{extent[0]:g} x {extent[1]:g} µm: the edges cut axons, so the number of inputs of a cell "
            "depends on the extent."
        )
    models = activity.configuration.get("connection_models", {}).values()
    synapses = [synapse for model in models for synapse in model.get("synapses", ())]
    used = {synapse.get("model", "static_synapse") for synapse in synapses}
    others = sorted(used - {reference.synapse_model})
    if others:
        found.append(f"Published for {reference.synapse_model}, simulated with {', '.join(others)}.")
    return tuple(found)


def _rate(row: Tree) -> PublishedRate:
    return PublishedRate(float(row["mean_rate"]), row.get("sd_rate"), row.get("mean_isi"))
