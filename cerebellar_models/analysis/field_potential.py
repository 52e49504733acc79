"""Proxies of the local field potential, from synaptic currents that a multimeter read in point neurons. Pure.

Point neurons have no extracellular field. Two proxies stand in for it, both means over the recorded cells:

- the sum of the synaptic currents (AMPA, NMDA, GABA), inward negative, as the potential is near a sink. A granule cell
  is electrically compact (dendrites of 15 µm), so that the field near it follows its currents at once;
- the reference weighted sum of Mazzoni et al. 2015 (doi:10.1371/journal.pcbi.1004584), |AMPA| 6 ms late plus 1.65
  times |GABA|. It was fitted to pyramidal cells, whose two kinds of synapse lie apart; delay and factor need not hold
  for granule cells, and it knows no NMDA. It is here to be compared with other models.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.analysis.data import Activity, Trace
from cerebellar_models.circuits.devices import is_recorder
from cerebellar_models.tree import Tree

# Names under which a neuron model lets its synaptic currents be recorded, positive where they depolarise.
AMPA, NMDA, GABA = "I_syn_ampa", "I_syn_nmda", "I_syn_gaba"
SUMMED_CURRENTS = "sum of synaptic currents"
REFERENCE_WEIGHTED_SUM = "reference weighted sum"
RWS_AMPA_DELAY = 6.0  # ms, Mazzoni et al. 2015
RWS_GABA_FACTOR = 1.65  # Mazzoni et al. 2015

_BEFORE, _AFTER = 50.0, 250.0  # ms around the stimulus, the part that is shown
_MOST_POINTS = 1500


@dataclass(frozen=True)
class Response:
    """The largest deflection of a proxy after the stimulus, from its mean over the time shown before."""

    proxy: str
    baseline: float
    peak_ms: float  # from the start of the simulation
    latency_ms: float | None  # from the stimulus; None without one
    amplitude: float  # signed
    half_width_ms: float | None  # time above half the amplitude; None where the end cuts it off


@dataclass(frozen=True)
class FieldPotential:
    """The proxies of one multimeter. ``courses`` holds them and the currents they are made of, by name."""

    recorder: str
    cell_type: str
    cells: int
    unit: str
    stimulus_ms: float | None  # when the first stimulus reaches its targets
    responses: tuple[Response, ...]
    start_ms: float  # of the time courses
    step_ms: float
    courses: dict[str, tuple[float, ...]]


def field_potentials(activity: Activity) -> tuple[FieldPotential, ...]:
    """One for each recorder and cell type of which AMPA and GABA currents were recorded."""
    recorded: dict[tuple[str, str], dict[str, Trace]] = {}
    for trace in activity.traces:
        recorded.setdefault((trace.recorder, trace.cell_type), {})[trace.quantity] = trace
    onset = stimulus_onset(activity.configuration)
    return tuple(
        field_potential(currents, onset) for currents in recorded.values() if {AMPA, GABA} <= set(currents)
    )


def field_potential(currents: Mapping[str, Trace], onset: float | None) -> FieldPotential:
    """
    :param currents: by quantity, of the same cells and samples.
    :param onset: of the stimulus, ms; without one the deflection is sought everywhere.
    """
    ampa = currents[AMPA]
    means = {name: currents[name].values.mean(axis=1) for name in (AMPA, NMDA, GABA) if name in currents}
    proxies = {
        SUMMED_CURRENTS: -np.sum(list(means.values()), axis=0),
        REFERENCE_WEIGHTED_SUM: reference_weighted_sum(ampa.values, currents[GABA].values, ampa.step),
    }
    times = ampa.start + ampa.step * np.arange(1, len(ampa.values) + 1)
    shown = np.ones(len(times), bool)
    if onset is not None and times[0] < onset < times[-1]:
        shown = (times >= onset - _BEFORE) & (times < onset + _AFTER)
    else:
        onset = None
    every = -(-np.count_nonzero(shown) // _MOST_POINTS)
    return FieldPotential(
        recorder=ampa.recorder,
        cell_type=ampa.cell_type,
        cells=len(ampa.cells),
        unit=ampa.unit,
        stimulus_ms=onset,
        responses=tuple(
            response(name, times[shown], course[shown], onset) for name, course in proxies.items()
        ),
        start_ms=float(times[shown][0]),
        step_ms=ampa.step * every,
        courses={name: tuple(course[shown][::every].tolist()) for name, course in (proxies | means).items()},
    )


def reference_weighted_sum(ampa: NDArray[Any], gaba: NDArray[Any], step: float) -> NDArray[np.float64]:
    """:param ampa, gaba: currents (samples, cells). Before the first delayed AMPA current there is none."""
    delay = round(RWS_AMPA_DELAY / step)
    late = np.zeros(len(ampa))
    late[delay:] = np.abs(ampa).mean(axis=1)[: max(len(ampa) - delay, 0)]
    total: NDArray[np.float64] = late + RWS_GABA_FACTOR * np.abs(gaba).mean(axis=1)
    return total


def response(proxy: str, times: NDArray[Any], course: NDArray[Any], onset: float | None) -> Response:
    after = np.flatnonzero(times >= onset) if onset is not None else np.arange(len(times))
    baseline = float(course[: after[0]].mean()) if after[0] else float(np.median(course))
    deflection = course - baseline
    peak = int(after[np.argmax(np.abs(deflection[after]))])
    amplitude = float(deflection[peak])
    return Response(
        proxy=proxy,
        baseline=baseline,
        peak_ms=float(times[peak]),
        latency_ms=float(times[peak] - onset) if onset is not None else None,
        amplitude=amplitude,
        half_width_ms=_half_width(times, deflection / amplitude, peak) if amplitude else None,
    )


def stimulus_onset(simulation: Tree) -> float | None:
    """When the first stimulus that does not last from the start reaches its targets, ms; None without any."""
    return min(_onsets(simulation.get("devices", {}).values()), default=None)


def _onsets(devices: Iterable[Tree]) -> Iterable[float]:
    for device in devices:
        if is_recorder(device):
            continue
        times = [device.get("start", 0), *(device.get("constants") or {}).get("spike_times", ())]
        delay = float(device.get("delay") or 0)
        yield from (float(time) + delay for time in times if isinstance(time, int | float) and time > 0)


def _half_width(times: NDArray[Any], relative: NDArray[Any], peak: int) -> float | None:
    """How long the deflection stays above half its peak around it, ms; interpolated linearly between samples."""
    below = np.flatnonzero(relative < 0.5)
    before, after = below[below < peak], below[below > peak]
    if not len(before) or not len(after):
        return None
    edges = []
    for inner, outer in ((before[-1] + 1, before[-1]), (after[0] - 1, after[0])):
        share = (relative[inner] - 0.5) / (relative[inner] - relative[outer])
        edges.append(times[inner] + share * (times[outer] - times[inner]))
    return float(edges[1] - edges[0])
