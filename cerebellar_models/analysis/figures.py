"""Plotly figures drawn from values. Bounded in size, whatever the size of the circuit and of its activity."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from cerebellar_models.analysis.activity import PopulationNumbers
from cerebellar_models.analysis.data import Activity, CircuitData, Recording
from cerebellar_models.analysis.field_potential import (
    AMPA,
    GABA,
    NMDA,
    REFERENCE_WEIGHTED_SUM,
    SUMMED_CURRENTS,
    FieldPotential,
)
from cerebellar_models.circuits.devices import is_recorder
from cerebellar_models.tree import Tree

MOST_ROWS = 100  # cells of a population in a raster
MOST_MARKS = 10_000  # spikes of a population in a raster: 16 bytes each on the page
MOST_SOMATA = 400  # cells of a type among the soma positions
_FEWEST_ROWS = 28  # a smaller population gets as much height, so that its label has room
_GAP = 8  # rows between two populations of a raster
_ROW_PX = 1.4

# Colour-blind safe (Okabe & Ito 2008), from the granular layer up.
_COLOURS = {
    "mossy_fibers": "#7f7f7f",
    "glomerulus": "#8c6d46",
    "granule_cell": "#d55e00",
    "golgi_cell": "#0072b2",
    "purkinje_cell": "#009e73",
    "basket_cell": "#b8860b",
    "stellate_cell": "#cc79a7",
}
_OTHER_COLOURS = ("#56b4e9", "#332288", "#882255", "#117733", "#aa4499", "#44aa99")
_COURSE_COLOURS = {
    SUMMED_CURRENTS: "#0072b2",
    REFERENCE_WEIGHTED_SUM: "#d55e00",
    AMPA: "#009e73",
    NMDA: "#b8860b",
    GABA: "#cc79a7",
}
_FONT = {"family": "system-ui, sans-serif", "size": 12, "color": "#222"}
_GRID = "#e6e6e6"
_PX_PER_UM = 1.6


def readable(name: str) -> str:
    return name.replace("_", " ")


def raster(activity: Activity) -> go.Figure:
    """Spikes over time, one row per cell: an even sample of each population's cells, silent ones included.

    The marks of a population are one path, which a browser draws at once; single markers would take seconds.
    """
    figure = go.Figure()
    floor, ticks, labels = 0.0, [], []
    colours = _colours(recording.cell_type for recording in activity.recordings)
    for recording in activity.recordings:
        shown = sampled_cells(recording)
        pitch = max(1.0, _FEWEST_ROWS / max(len(shown), 1))
        path = _marks(recording, shown, floor, pitch)
        if path:
            line = {"color": colours[recording.cell_type], "width": 1.6}
            figure.add_shape(type="path", path=path, line=line, layer="below")
        height = pitch * len(shown) if len(shown) else _FEWEST_ROWS
        ticks.append(floor + height / 2)
        labels.append(f"<b>{readable(recording.cell_type)}</b><br>{len(shown)} of {len(recording.cells)}")
        floor += height + _GAP
    _shade_stimuli(figure, activity.configuration)
    figure.update_layout(**_layout(height=int(100 + _ROW_PX * floor), left=130))
    figure.update_xaxes(title="time (ms)", range=[0, activity.duration], gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(tickvals=ticks, ticktext=labels, range=[floor, -_GAP], showgrid=False, zeroline=False)
    return figure


def rate_histogram(activity: Activity, populations: Sequence[PopulationNumbers]) -> go.Figure:
    """Population rate over time, one panel per population."""
    if not populations:
        return go.Figure()
    rows = len(populations)
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.16 / rows)
    colours = _colours(population.cell_type for population in populations)
    for row, population in enumerate(populations, start=1):
        bins = population.histogram
        edges = np.append(np.arange(len(bins.rates_hz)) * bins.bin_ms, activity.duration)
        figure.add_scatter(
            x=edges.astype(np.float32),
            y=np.append(bins.rates_hz, bins.rates_hz[-1:]).astype(np.float32),
            line={"shape": "hv", "width": 1, "color": colours[population.cell_type]},
            fill="tozeroy",
            mode="lines",
            name=readable(population.cell_type),
            hovertemplate="%{x:.0f} ms: %{y:.1f} Hz",
            row=row,
            col=1,
        )
        title = {"text": f"{readable(population.cell_type)}<br>(Hz)", "font": {"size": 11}}
        figure.update_yaxes(title=title, rangemode="tozero", nticks=4, gridcolor=_GRID, row=row, col=1)
    _shade_stimuli(figure, activity.configuration)
    figure.update_layout(**_layout(height=90 + 105 * len(populations), left=90))
    figure.update_xaxes(range=[0, activity.duration], gridcolor=_GRID, zeroline=False)
    figure.update_xaxes(title="time (ms)", row=len(populations), col=1)
    return figure


def field_potential(potential: FieldPotential) -> go.Figure:
    """The proxies of the field potential, and below them the mean currents they are made of."""
    proxies = [response.proxy for response in potential.responses]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    times = potential.start_ms + potential.step_ms * np.arange(len(potential.courses[proxies[0]]))
    for name, course in potential.courses.items():
        figure.add_scatter(
            x=times.astype(np.float32),
            y=np.asarray(course, dtype=np.float32),
            mode="lines",
            line={"width": 1.5, "color": _COURSE_COLOURS.get(name)},
            name=readable(name),
            row=1 if name in proxies else 2,
            col=1,
        )
    if potential.stimulus_ms is not None:
        figure.add_vline(x=potential.stimulus_ms, line={"color": "#999", "width": 1, "dash": "dot"})
    figure.update_layout(**(_layout(height=460, left=80) | {"showlegend": True}))
    for row, title in ((1, "proxy"), (2, "current")):
        figure.update_yaxes(title=f"{title} ({potential.unit} per cell)", gridcolor=_GRID, row=row, col=1)
    figure.update_xaxes(gridcolor=_GRID, zeroline=False)
    figure.update_xaxes(title="time (ms)", row=2, col=1)
    return figure


def soma_positions(circuit: CircuitData) -> go.Figure:
    """An even sample of the somata, seen along the parallel fibres (x-z) and across them (y-z), to scale."""
    extent = [float(circuit.configuration["network"].get(axis, 0)) or 1.0 for axis in "xyz"]
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        column_widths=[extent[0], extent[1]],
        horizontal_spacing=0.06,
        subplot_titles=("parasagittal (x-z)", "coronal (y-z)"),
    )
    colours = _colours(circuit.positions)
    for cell_type in (name for name in circuit.configuration["cell_types"] if name in circuit.positions):
        positions = circuit.positions[cell_type]
        shown = positions[_evenly(len(positions), MOST_SOMATA)].astype(np.float32)
        for column, axis in ((1, 0), (2, 1)):
            figure.add_scatter(
                x=shown[:, axis],
                y=shown[:, 2],
                mode="markers",
                marker={"size": 4, "color": colours[cell_type], "opacity": 0.75},
                name=f"{readable(cell_type)} ({len(shown)} of {len(positions)})",
                legendgroup=cell_type,
                showlegend=column == 1,
                hoverinfo="skip",
                row=1,
                col=column,
            )
    layout = _layout(height=int(130 + min(560, _PX_PER_UM * extent[2])), left=60)
    layout |= {"showlegend": True, "legend": {"itemsizing": "constant"}, "margin": {"t": 40}}
    figure.update_layout(**layout)
    plain = {"constrain": "domain", "gridcolor": _GRID, "zeroline": False}
    figure.update_xaxes(title="x (µm)", scaleanchor="y", **plain, row=1, col=1)
    figure.update_xaxes(title="y (µm)", scaleanchor="y", **plain, row=1, col=2)
    figure.update_yaxes(title="z (µm)", **plain, row=1, col=1)
    return figure


def sampled_cells(recording: Recording) -> NDArray[np.int64]:
    """An even sample of a recording's cells, small enough for its spikes to fit in a raster."""
    count = min(len(recording.cells), MOST_ROWS)
    while True:
        shown = recording.cells[_evenly(len(recording.cells), count)]
        if count <= 1 or np.count_nonzero(np.isin(recording.spike_cells, shown)) <= MOST_MARKS:
            return shown
        count = count * 2 // 3


def _evenly(total: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, total - 1, min(total, most)).astype(np.int64) if total else np.empty(0, np.int64)


def _marks(recording: Recording, shown: NDArray[np.int64], floor: float, pitch: float) -> str:
    """Vertical strokes, one per spike, as one SVG path in data coordinates."""
    seen = np.isin(recording.spike_cells, shown)
    rows = np.searchsorted(shown, recording.spike_cells[seen])[:MOST_MARKS]
    bottoms = floor + pitch * rows
    strokes = zip(recording.spike_times[seen][:MOST_MARKS], bottoms, bottoms + pitch, strict=True)
    return "".join(f"M{time:.1f},{low:.4g}V{high:.4g}" for time, low, high in strokes)


def _colours(cell_types: Iterable[str]) -> dict[str, str]:
    distinct = dict.fromkeys(cell_types)
    others = [cell_type for cell_type in distinct if cell_type not in _COLOURS]
    return _COLOURS | {name: _OTHER_COLOURS[rank % len(_OTHER_COLOURS)] for rank, name in enumerate(others)}


def _shade_stimuli(figure: go.Figure, simulation: Tree) -> None:
    """A band over the time of every device that is on for a part of the simulation only."""
    for device in simulation.get("devices", {}).values():
        if "start" in device and "stop" in device and not is_recorder(device):
            span = {"x0": float(device["start"]), "x1": float(device["stop"])}
            figure.add_vrect(**span, fillcolor="#999", opacity=0.25, line_width=0, layer="below")


def _layout(height: int, left: int) -> dict[str, Any]:
    margin = {"l": left, "r": 20, "t": 20, "b": 50}
    white = {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    return {"height": height, "font": _FONT, "showlegend": False, "margin": margin, **white}
