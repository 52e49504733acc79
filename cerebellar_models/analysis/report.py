"""The report on a circuit and its simulations: one page that opens offline, and the same numbers as JSON."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from cerebellar_models.analysis import figures
from cerebellar_models.analysis.activity import ActivityNumbers, activity_numbers
from cerebellar_models.analysis.belonging import against_circuit
from cerebellar_models.analysis.data import Activity, CircuitData
from cerebellar_models.analysis.field_potential import RWS_AMPA_DELAY, RWS_GABA_FACTOR
from cerebellar_models.analysis.omissions import omissions
from cerebellar_models.analysis.read import read_activity, read_circuit
from cerebellar_models.analysis.reference import Conditions, Reference, differences, in_words, load_reference
from cerebellar_models.analysis.structure import Structure, structure
from cerebellar_models.analysis.words import number, percent, plain
from cerebellar_models.errors import RunError, UserError

_TEMPLATE = "report.html.j2"
# Plotly 7 offers to send a figure to its makers' server unless told not to.
_PLOTLY_CONFIG = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": "", "responsive": True}

FORMAT = 1
"""of report.json; later versions of one format only add keys"""


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written, and a line for each thing that is missing in it."""

    html: Path
    json: Path
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Every number of a report. ``omitted`` and ``conditions`` go by the title of a simulation.

    ``conditions`` says how a simulation that is compared differs from ``published_conditions``.
    ``digests`` are what identifies the circuit and its simulations, as `FileDigests.record` has them.
    ``missing`` has a line for each simulation without results and each thing among the results that is no recording.
    """

    name: str
    about: dict[str, str]
    structure: Structure
    simulations: tuple[ActivityNumbers, ...]
    omitted: dict[str, tuple[str, ...]]
    conditions: dict[str, tuple[str, ...]]
    published_conditions: Conditions | None
    tolerance: float | None
    missing: tuple[str, ...] = ()
    digests: dict[str, Any] | None = None


def write_report(
    folder: Path,
    circuit: Path,
    activities: Mapping[str, Path | list[Path] | Any],
    about: Mapping[str, str],
    name: str = "report",
    unread: tuple[str, ...] | None = None,
    species: str | None = None,
    state: str | None = None,
    digests: dict[str, Any] | None = None,
) -> ReportFiles:
    """Writes ``<name>.html`` and ``<name>.json`` into ``folder``; both appear complete or not at all.

    :param activities: recordings by the title of their simulation, as `read_activity` takes them.
    :param about: what stands under the title, in this order: versions, seed, date.
    :param unread: lines about results that are no recordings; None where the report is of a part of a run on purpose,
      which lacks nothing.
    :param species: of which, and of its ``state``, published figures are compared with; None: with none.
    :param digests: of the circuit and its simulations, where they are known.
    :raises UserError: a file does not exist, or the recordings of one title are not of one run, or of another circuit.
    :raises RunError: a file is damaged or unfinished, or the report cannot be written.
    """
    compiled = read_circuit(circuit)
    recorded = {title: _read(given, compiled, circuit) for title, given in activities.items()}
    reference = load_reference(species) if species else None
    report = replace(build_report(compiled, recorded, dict(about), reference, state), digests=digests)
    if unread is not None:
        report = replace(report, missing=unread + _without_results(compiled, recorded))
    page = render_page(report, compiled, recorded)
    numbers = json.dumps({"format": FORMAT} | asdict(report), indent=1, ensure_ascii=False, allow_nan=False)
    files = ReportFiles(folder / f"{name}.html", folder / f"{name}.json", report.missing)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace_together({files.json: numbers, files.html: page})
    except OSError as error:
        raise RunError(f"{folder}: cannot write the report: {error.strerror}") from error
    return files


def _read(recorded: Path | list[Path] | Any, compiled: CircuitData, circuit: Path) -> Activity:
    """:raises UserError: the recordings are not of this circuit; RunError: they cannot be read."""
    try:
        activity = read_activity(recorded)
    except RunError as error:
        raise RunError(f"{error}; move it elsewhere and run again") from error
    if reason := against_circuit(activity, compiled):
        first = recorded[0] if isinstance(recorded, list) else recorded
        where = first if isinstance(first, Path) else f"simulation {activity.simulation}"
        raise UserError(f"{where}: not of {circuit}: {reason}; move it elsewhere and run again")
    return activity


def _without_results(circuit: CircuitData, activities: Mapping[str, Activity]) -> tuple[str, ...]:
    simulated = {activity.simulation for activity in activities.values()}
    return tuple(
        f"{name}: has no results; run again to simulate it"
        for name in circuit.configuration.get("simulations", {})
        if name not in simulated
    )


def build_report(
    circuit: CircuitData,
    activities: Mapping[str, Activity],
    about: dict[str, str],
    reference: Reference | None,
    state: str | None,
) -> Report:
    """All numbers. A circuit without activity is told what its configured simulations would leave out."""
    numbers = structure(circuit)
    trees = {title: activity.configuration for title, activity in activities.items()}
    compared = {
        title: activity
        for title, activity in activities.items()
        if reference and state and reference.rates(state, activity.simulation)
    }
    other = {
        title: differences(reference.conditions, activity, circuit.configuration)
        for title, activity in compared.items()
        if reference
    }
    return Report(
        name=str(circuit.configuration.get("name", "circuit")),
        about=about,
        structure=numbers,
        simulations=tuple(
            activity_numbers(title, activity, state, reference, other.get(title, ()))
            for title, activity in activities.items()
        ),
        omitted={
            title: omissions(tree, numbers.projections)
            for title, tree in (trees or circuit.configuration.get("simulations", {})).items()
        },
        conditions={title: tuple(each.sentence for each in found) for title, found in other.items()},
        published_conditions=reference.conditions if reference and compared else None,
        tolerance=reference.tolerance if reference else None,
    )


def render_page(report: Report, circuit: CircuitData, activities: Mapping[str, Activity]) -> str:
    """The page: every style, script and figure is inside it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cerebellar_models.analysis", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "plain": plain,
        "readable": figures.readable,
    }
    drawn = [
        {
            "raster": _embedded(figures.raster(activities[simulation.title]), f"raster-{rank}"),
            "rates": _embedded(
                figures.rate_histogram(activities[simulation.title], simulation.populations), f"rates-{rank}"
            ),
            "potentials": [
                _embedded(figures.field_potential(potential), f"field-{rank}-{number}")
                for number, potential in enumerate(simulation.field_potentials)
            ],
        }
        for rank, simulation in enumerate(report.simulations)
    ]
    return environment.get_template(_TEMPLATE).render(
        report=report,
        omitted=_by_content(report.omitted),
        somata=_embedded(figures.soma_positions(circuit), "somata") if circuit.positions else "",
        drawn=drawn,
        published_for=in_words(report.published_conditions) if report.published_conditions else (),
        rws_ampa_delay=RWS_AMPA_DELAY,
        rws_gaba_factor=RWS_GABA_FACTOR,
        plotly=get_plotlyjs(),
    )


def _by_content(sentences: dict[str, tuple[str, ...]]) -> list[tuple[str, tuple[str, ...]]]:
    """Simulations that leave out the same are told once."""
    titles: dict[tuple[str, ...], list[str]] = {}
    for title, content in sentences.items():
        titles.setdefault(content, []).append(title)
    return [(", ".join(names), content) for content, names in titles.items()]


def _embedded(figure: go.Figure, name: str) -> str:
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=_PLOTLY_CONFIG)
    return html


def _replace_together(contents: dict[Path, str]) -> None:
    """Writes all files under temporary names beside their own; only when all are complete, renames them."""
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in contents}
    try:
        for path, text in contents.items():
            temporary[path].write_text(text, encoding="utf-8")
        for path in contents:
            temporary[path].replace(path)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
