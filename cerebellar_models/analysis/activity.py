"""Numbers of one simulation: rates and intervals per population, beside published ones. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerebellar_models.analysis.data import Activity, Recording
from cerebellar_models.analysis.field_potential import FieldPotential, field_potentials
from cerebellar_models.analysis.reference import Difference, PublishedRate, Reference
from cerebellar_models.analysis.structure import Spread, spread

_SHORTEST_BIN = 5.0  # ms
_MOST_BINS = 1000
_MS_PER_S = 1000.0


@dataclass(frozen=True)
class Histogram:
    """Population rate over time: spikes per cell and second in bins of equal width from 0 ms."""

    bin_ms: float
    rates_hz: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """Against the published figures, which count only the cells that fired. Deviations are relative.

    Where the simulation used other models than the published one, ``other_conditions`` names them and there is no
    verdict: what the tolerance was chosen for is the model that was published.
    """

    published: PublishedRate
    rate_deviation: float | None
    isi_deviation: float | None
    within_tolerance: bool | None
    other_conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class PopulationNumbers:
    """One recorded population.

    The rate comes in two definitions: over all recorded cells, and over those that fired at least once
    (the published one). Intervals exist only in cells with two spikes or more, so the interval figures
    are the same in both: the mean interval of a cell, averaged over cells, and the coefficient of
    variation of a cell's intervals (from three spikes on), averaged over cells.
    """

    recorder: str
    cell_type: str
    recorded_cells: int
    silent_cells: int
    spikes: int
    rate_all_hz: Spread
    rate_firing_hz: Spread
    mean_isi_ms: float | None
    cv_isi: float | None
    histogram: Histogram
    comparison: Comparison | None


@dataclass(frozen=True)
class ActivityNumbers:
    """One simulation; ``title`` is what the caller calls it, ``simulation`` its name in the configuration."""

    title: str
    simulation: str
    simulator: str
    duration_ms: float
    populations: tuple[PopulationNumbers, ...]
    field_potentials: tuple[FieldPotential, ...] = ()


def activity_numbers(
    title: str,
    activity: Activity,
    state: str | None,
    reference: Reference | None,
    other: tuple[Difference, ...] = (),
) -> ActivityNumbers:
    """
    :param state: the circuit's state, which selects the published figures; None compares with none.
    :param other: in what the simulation differs from the published conditions.
    """
    published = reference.rates(state, activity.simulation) if reference and state else {}
    tolerance = reference.tolerance if reference else 0.0
    return ActivityNumbers(
        title=title,
        simulation=activity.simulation,
        simulator=str(activity.configuration.get("simulator", "")),
        duration_ms=activity.duration,
        populations=tuple(
            population_numbers(
                recording,
                activity.duration,
                published.get(recording.cell_type),
                tolerance,
                tuple(each.label for each in other if each.in_kind and each.not_for != recording.cell_type),
            )
            for recording in activity.recordings
        ),
        field_potentials=field_potentials(activity),
    )


def population_numbers(
    recording: Recording,
    duration: float,
    published: PublishedRate | None = None,
    tolerance: float = 0.0,
    other_conditions: tuple[str, ...] = (),
) -> PopulationNumbers:
    """
    :param duration: ms.
    :param tolerance: largest relative deviation of the rate that counts as agreement.
    :param other_conditions: models other than the published one's.
    """
    index = np.searchsorted(recording.cells, recording.spike_cells)
    spikes = np.bincount(index, minlength=len(recording.cells))
    rates = spikes * _MS_PER_S / duration
    firing = spread(rates[spikes > 0])
    means, cvs = _intervals(recording.spike_cells, recording.spike_times)
    mean_isi = spread(means).mean
    return PopulationNumbers(
        recorder=recording.recorder,
        cell_type=recording.cell_type,
        recorded_cells=len(recording.cells),
        silent_cells=int(np.count_nonzero(spikes == 0)),
        spikes=len(recording.spike_times),
        rate_all_hz=spread(rates),
        rate_firing_hz=firing,
        mean_isi_ms=mean_isi,
        cv_isi=spread(cvs).mean,
        histogram=_histogram(recording, duration),
        comparison=_compare(firing.mean, mean_isi, published, tolerance, other_conditions)
        if published
        else None,
    )


def _intervals(cells: NDArray[np.int64], times: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean interval (ms) of each cell with two spikes or more, CV of each with three or more."""
    order = np.lexsort((times, cells))
    same_cell = np.diff(cells[order]) == 0
    intervals = np.diff(times[order])[same_cell]
    _, owner, number = np.unique(cells[order][1:][same_cell], return_inverse=True, return_counts=True)
    mean = np.bincount(owner, intervals, len(number)) / number
    variance = np.bincount(owner, (intervals - mean[owner]) ** 2, len(number)) / number
    varied = number >= 2
    return mean, np.sqrt(variance[varied]) / mean[varied]


def _histogram(recording: Recording, duration: float) -> Histogram:
    """The last bin may reach past the end; its rate is over the time that was simulated."""
    width = max(_SHORTEST_BIN, _SHORTEST_BIN * np.ceil(duration / _MOST_BINS / _SHORTEST_BIN))
    edges = np.append(np.arange(0.0, duration, width), duration)
    counts, _ = np.histogram(recording.spike_times, edges)
    rates = counts * _MS_PER_S / np.diff(edges) / max(len(recording.cells), 1)
    return Histogram(float(width), tuple(rates.tolist()))


def _compare(
    rate: float | None,
    isi: float | None,
    published: PublishedRate,
    tolerance: float,
    other_conditions: tuple[str, ...],
) -> Comparison:
    within = abs((rate or 0.0) - published.mean_rate_hz) <= tolerance * published.mean_rate_hz
    return Comparison(
        published=published,
        rate_deviation=_deviation(rate or 0.0, published.mean_rate_hz),
        isi_deviation=_deviation(isi, published.mean_isi_ms),
        within_tolerance=None if other_conditions else within,
        other_conditions=other_conditions,
    )


def _deviation(value: float | None, published: float | None) -> float | None:
    return value / published - 1 if value is not None and published else None
