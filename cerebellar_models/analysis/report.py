"""The report on a circuit and its simulations: one page that opens offline, and the same numbers as JSON."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from cerebellar_models.analysis import figures
from cerebellar_models.analysis.activity import ActivityNumbers, activity_numbers
from cerebellar_models.analysis.data import Activity, CircuitData
from cerebellar_models.analysis.field_potential import RWS_AMPA_DELAY, RWS_GABA_FACTOR
from cerebellar_models.analysis.omissions import omissions
from cerebellar_models.analysis.read import read_activity, read_circuit
from cerebellar_models.analysis.reference import Reference, load_reference, other_conditions
from cerebellar_models.analysis.structure import Structure, structure
from cerebellar_models.errors import RunError

_TEMPLATE = "report.html.j2"
_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
_NONE = "\N{EN DASH}"
# Plotly 7 offers to send a figure to its makers' server unless told not to.
_PLOTLY_CONFIG = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": "", "responsive": True}


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written."""

    html: Path
    json: Path


@dataclass(frozen=True)
class Report:
    """Every number of a report. ``omitted`` and ``conditions`` go by the title of a simulation."""

    name: str
    about: dict[str, str]
    structure: Structure
    simulations: tuple[ActivityNumbers, ...]
    omitted: dict[str, tuple[str, ...]]
    conditions: dict[str, tuple[str, ...]]
    tolerance: float | None


def write_report(
    folder: Path,
    circuit: Path,
    activities: Mapping[str, Path | list[Path]],
    about: Mapping[str, str],
    name: str = "report",
) -> ReportFiles:
    """Writes ``<name>.html`` and ``<name>.json`` into ``folder``; both appear complete or not at all.

    :param activities: recordings by the title of their simulation; several files are shares of one run.
    :param about: what stands under the title, in this order: versions, seed, date. Its ``species`` and
      ``state`` select the published figures to compare with.
    :raises UserError: a file does not exist, or the recordings of one title are not of one run.
    :raises RunError: a file is damaged or unfinished, or the report cannot be written.
    """
    compiled = read_circuit(circuit)
    recorded = {title: read_activity(files) for title, files in activities.items()}
    reference = load_reference(about["species"]) if about.get("species") else None
    report = build_report(compiled, recorded, dict(about), reference)
    page = render_page(report, compiled, recorded)
    numbers = json.dumps(asdict(report), indent=1, ensure_ascii=False, allow_nan=False)
    files = ReportFiles(folder / f"{name}.html", folder / f"{name}.json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace_together({files.json: numbers, files.html: page})
    except OSError as error:
        raise RunError(f"{folder}: cannot write the report: {error.strerror}") from error
    return files


def build_report(
    circuit: CircuitData,
    activities: Mapping[str, Activity],
    about: dict[str, str],
    reference: Reference | None,
) -> Report:
    """All numbers. A circuit without activity is told what its configured simulations would leave out."""
    numbers = structure(circuit)
    state = about.get("state")
    trees = {title: activity.configuration for title, activity in activities.items()}
    compared = {
        title: activity
        for title, activity in activities.items()
        if reference and state and reference.rates(state, activity.simulation)
    }
    return Report(
        name=str(circuit.configuration.get("name", "circuit")),
        about=about,
        structure=numbers,
        simulations=tuple(
            activity_numbers(title, activity, state, reference) for title, activity in activities.items()
        ),
        omitted={
            title: omissions(tree, numbers.projections)
            for title, tree in (trees or circuit.configuration.get("simulations", {})).items()
        },
        conditions={
            title: other_conditions(reference, activity, circuit.configuration)
            for title, activity in compared.items()
            if reference
        },
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
    environment.filters |= {"number": number, "percent": percent, "readable": figures.readable}
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
        rws_ampa_delay=RWS_AMPA_DELAY,
        rws_gaba_factor=RWS_GABA_FACTOR,
        plotly=get_plotlyjs(),
    )


def number(value: float | None, digits: int = 3) -> str:
    """For a table: whole numbers in full, others to ``digits`` significant digits, thousands apart."""
    if value is None:
        return _NONE
    if isinstance(value, int) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace(",", _THIN_SPACE)
    return f"{value:#.{digits}g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"


def percent(value: float | None) -> str:
    """A relative deviation, with its sign."""
    if value is None:
        return _NONE
    text = f"{100 * value:+.1f}{_THIN_SPACE}%".replace("-0.0", "+0.0")
    return text.replace("-", "\N{MINUS SIGN}")


def _by_content(sentences: dict[str, tuple[str, ...]]) -> list[tuple[str, tuple[str, ...]]]:
    """Simulations that leave out the same are told once."""
    titles: dict[tuple[str, ...], list[str]] = {}
    for title, content in sentences.items():
        titles.setdefault(content, []).append(title)
    return [(", ".join(names), content) for content, names in titles.items()]


def _embedded(figure: go.Figure, name: str) -> str:
    return figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=_PLOTLY_CONFIG)


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
