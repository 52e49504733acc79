"""Opens compiled circuits (BSB HDF5) and recordings (Neo NIX), and tells in one line what is wrong with one.

The layouts are those of bsb-hdf5 8.0 and of the multiplexed recordings of BSB 8.0. Both are read directly,
because opening a network with BSB imports the simulator its configuration names.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cerebellar_models import endings
from cerebellar_models.analysis.data import Activity, CircuitData, Contacts, Recording, Trace
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.tree import Tree

# NEST hands over the samples of its last interval of communication too late, which is 1 ms in our circuits.
_UNSAMPLED_END = 10.0  # ms

_Claims = dict[
    tuple[Any, ...], list[tuple[Path | str, NDArray[np.int64]]]
]  # by recorder, cell type, part of the time
Spikes = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]  # watched cells, times, which fired


def read_circuit(path: Path) -> CircuitData:
    """The circuit in a file that ``bsb compile`` wrote.

    :raises UserError: there is no such file.
    :raises RunError: it is cut short, damaged, in use by a writer, or not a compiled circuit.
    """
    with opened_circuit(path) as file:
        tree = active_configuration(path, file)
        check_complete(path, file, tree)
        chunks = {name: cells_per_chunk(group) for name, group in file["placement"].items()}
        provenance = json.loads(file.attrs.get("bsb_provenance", "{}"))
        return CircuitData(
            configuration=tree,
            counts={name: sum(chunks[name].values()) for name in chunks},
            positions=dict(_positions(file["placement"], chunks)),
            projections=tuple(_contacts(path, group, chunks) for group in file["connectivity"].values()),
            compilation=provenance.get("storage_id"),
        )


@contextmanager
def opened_circuit(path: Path) -> Iterator[h5py.File]:
    """A compiled circuit to read from; what goes wrong meanwhile is told in one line.

    :raises UserError: there is no such file.
    :raises RunError: it is cut short, damaged, in use by a writer, or not a compiled circuit.
    """
    with _explained(path, "not a readable circuit"), h5py.File(path, "r") as file:
        for group in ("files", "placement", "connectivity"):
            if group not in file:
                raise RunError(f"{path}: not a compiled circuit: it has no '{group}'")
        yield file


def check_complete(path: Path, file: h5py.File, configuration: Tree) -> None:
    """:raises RunError: a population is missing."""
    missing = [cell_type for cell_type in configuration["cell_types"] if cell_type not in file["placement"]]
    if missing:
        raise RunError(f"{path}: unfinished compilation: no cells of type {', '.join(missing)}")


def read_configuration(path: Path) -> Tree:
    """The configuration stored in a compiled circuit; a file that was cut short is found out without reading it all.

    :raises UserError: there is no such file.
    :raises RunError: it is cut short, damaged, in use by a writer, or not a compiled circuit.
    """
    with _explained(path, "not a readable circuit"), h5py.File(path, "r") as file:
        if "files" not in file:
            raise RunError(f"{path}: not a compiled circuit: it has no 'files'")
        return active_configuration(path, file)


def find_recordings(results: Path) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """The recordings below a folder of results, by simulation, and a line for each entry that holds none.

    Hidden entries are passed over: unfinished results, and what file managers leave.
    """
    found: dict[str, list[Path]] = {}
    without = []
    for entry in sorted(results.iterdir()) if results.is_dir() else ():
        if entry.name.startswith("."):
            continue
        files = [path for path in sorted(entry.glob("*.nio")) if not path.name.startswith(".")]
        if files:
            found[entry.name] = files
        elif entry.is_dir():
            without.append(f"{entry}: holds no recording (.nio); move it elsewhere and run again")
        else:
            without.append(f"{entry}: is no folder of recordings; move it elsewhere")
    return found, tuple(without)


def read_activity(recorded: Path | Any | Iterable[Path]) -> Activity:
    """One simulation's recordings. Several files are shares of the same run, as MPI ranks leave them.

    :param recorded: a file, several, or what BSB has in memory: the Neo block it would write.
    :raises UserError: there is no such file, none is given, or the files come from different runs or repeat a cell.
    :raises RunError: one is cut short, damaged, or of a simulation that did not reach its end.
    """
    blocks = list(_blocks(recorded))
    if not blocks:
        raise UserError("activity: no recording (.nio) is given")
    first, head = blocks[0]
    for path, block in blocks[1:]:
        if block.annotations.get("bsb_simulation_id") != head.annotations.get("bsb_simulation_id"):
            raise UserError(f"{path}: not of the same run as {first}; move one of the two elsewhere")
    with _in_one_line(first, "not a readable recording"):
        tree = json.loads(head.annotations["config"])
        duration = float(tree["duration"])
        simulation = str(head.annotations.get("sim_name") or head.name)
        compilation = _compilation(head)
    shares: dict[tuple[str, str], list[Spikes]] = defaultdict(list)
    sampled: dict[tuple[str, str, str], list[Trace]] = defaultdict(list)
    claims: _Claims = defaultdict(list)
    for path, block in blocks:
        reached = 0.0
        with _in_one_line(path, "not a readable recording"):
            for number, segment in enumerate(block.segments):
                part = int(segment.annotations.get("checkpoint_index", number))
                reached = max(reached, float(segment.annotations.get("t_stop_ms", duration)))
                for train in segment.spiketrains:
                    for key, spikes in _by_cell_type(train):
                        _claim(claims, path, spikes[0], *key, part)
                        shares[key].append(spikes)
                for signal in segment.analogsignals:
                    for trace in _traces(signal):
                        course = trace.recorder, trace.cell_type, trace.quantity
                        _claim(claims, path, trace.cells, *course, part)
                        sampled[course].append(trace)
        if block.segments and reached < duration:
            raise RunError(f"{path}: the simulation stopped at {reached:g} of {duration:g} ms")
    if not shares and not sampled:
        raise RunError(f"{first}: nothing recorded: the simulation did not finish, or has no recorder")
    with _in_one_line(first, "not a readable recording"):
        recordings = tuple(_joined(*key, parts) for key, parts in shares.items())
        traces = tuple(map(_side_by_side, sampled.values()))
    for trace in traces:
        end = trace.start + len(trace.values) * trace.step
        if end < duration - _UNSAMPLED_END:
            raise RunError(
                f"{first}: {trace.recorder} holds {trace.quantity} of {end:g} of {duration:g} ms only"
            )
    return Activity(simulation, duration, tree, recordings, traces, compilation)


def _blocks(recorded: Any) -> Iterator[tuple[Path | str, Any]]:
    """The blocks, each with where it is from."""
    if hasattr(recorded, "segments"):
        yield f"simulation {recorded.name}", recorded
        return
    for path in [recorded] if isinstance(recorded, Path) else dict.fromkeys(recorded):
        yield from ((path, block) for block in _read_blocks(path))


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong while a file is opened and read is told in one line about it."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise RunError(f"{path}: {what}: the file is empty")
    with _in_one_line(path, what):
        yield


@contextmanager
def _in_one_line(path: Path | str, what: str) -> Iterator[None]:
    """:param path: of a file, or what stands for one."""
    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:  # damage surfaces anywhere below: in HDF5, NIX, Neo or the JSON they hold
        text = " ".join(str(error).split())
        if "truncated file" in text:
            reason = "it is cut short, its writer did not finish"
        elif "unable to lock file" in text:
            held = isinstance(error, BlockingIOError)
            reason = "another process is writing it" if held else (endings.reason(1, [text]) or text)
        elif "file signature not found" in text:
            reason = "it is not an HDF5 file"
        else:
            reason = f"it is damaged or of another layout ({type(error).__name__}: {text[:200]})"
        raise RunError(f"{path}: {what}: {reason}") from error


def active_configuration(path: Path, file: h5py.File) -> Tree:
    """The configuration a compiled circuit was made from.

    :raises RunError: it holds none.
    """
    for stored in file["files"].values():
        if json.loads(stored.attrs.get("meta", "{}")).get("active_config"):
            tree: Tree = json.loads(stored[()])
            return tree
    raise RunError(f"{path}: not a compiled circuit: it holds no configuration")


def _in_order(group: h5py.Group) -> list[str]:
    """The chunks in the order in which BSB numbers the cells of a type."""
    return sorted(group, key=int)


def cells_per_chunk(placement: h5py.Group) -> dict[str, int]:
    """Of one type, by chunk, in the order in which BSB numbers its cells."""
    counts = json.loads(placement.attrs.get("chunks", "{}"))
    return {chunk: int(counts.get(chunk, 0)) for chunk in _in_order(placement)}


def _positions(
    placement: h5py.Group, chunks: dict[str, dict[str, int]]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for name, counts in chunks.items():
        blocks = [placement[name][chunk]["position"][()] for chunk in counts]
        positions = np.concatenate([np.empty((0, 3)), *blocks])
        if len(positions) == sum(counts.values()):
            yield name, positions
        elif len(positions):
            raise ValueError(f"{len(positions)} positions for {sum(counts.values())} cells of type {name}")


def _contacts(path: Path, group: h5py.Group, chunks: dict[str, dict[str, int]]) -> Contacts:
    """Reads the incoming half, of which the outgoing half is a copy in another order."""
    name, pre, post = (str(group.attrs[key]) for key in ("tag", "pre", "post"))
    starts = {cell_type: first_cells(chunks[cell_type]) for cell_type in {pre, post}}
    pre_cells: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    post_cells: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    for post_chunk, block in group["inc"].items():
        post_cells.append((block["local_locs"][()][:, 0] + starts[post][post_chunk]).astype(np.int32))
        pre_cells.append(global_cells(block, block["global_locs"][()][:, 0], starts[pre]).astype(np.int32))
    contacts = Contacts(name, pre, post, np.concatenate(pre_cells), np.concatenate(post_cells))
    expected = int(group.attrs.get("len", len(contacts.post_cells)))
    if len(contacts.post_cells) != expected or len(contacts.pre_cells) != expected:
        raise RunError(f"{path}: unfinished compilation: {name} lacks some of its {expected} contacts")
    for cells, cell_type in ((contacts.pre_cells, pre), (contacts.post_cells, post)):
        if len(cells) and not 0 <= cells.min() <= cells.max() < sum(chunks[cell_type].values()):
            raise ValueError(f"{name} names a {cell_type} that does not exist")
    return contacts


def first_cells(counts: dict[str, int]) -> dict[str, int]:
    """Index, within the type, of the first cell of each chunk."""
    totals = np.cumsum([0, *counts.values()])
    return dict(zip(counts, totals.tolist(), strict=False))


def global_cells(block: h5py.Group, local: NDArray[np.int64], starts: dict[str, int]) -> NDArray[np.int64]:
    """Numbers cells through their type in place: the presynaptic ones of a block of contacts, numbered by chunk.

    A block stores each source chunk's contacts as one run of rows.

    The block's attributes name, by chunk, the row where the run begins.
    """
    runs = sorted((int(row), chunk) for chunk, row in block.attrs.items() if chunk != "chunk_list")
    ends = [row for row, _ in runs[1:]] + [len(local)]
    for (begin, chunk), end in zip(runs, ends, strict=True):
        local[begin:end] += starts[chunk]
    return local


def _read_blocks(path: Path) -> list[Any]:
    from neo.io import NixIO  # slow to import, and circuits do not need it

    with _explained(path, "not a readable recording"):
        with NixIO(str(path), mode="ro") as file:
            blocks: list[Any] = file.read_all_blocks()
        if not blocks:
            raise RunError(f"{path}: holds no simulation")
        return blocks


def _claim(claims: _Claims, path: Path | str, cells: NDArray[np.int64], *what: Any) -> None:
    """Notes which file holds the cells. Ranks record cells of their own: a cell of two files is there twice.

    :raises UserError: another file holds one of them.
    """
    for other, theirs in claims[what]:
        if other != path and np.isin(cells, theirs).any():
            raise UserError(
                f"{path}: holds the same cells of {what[1]} as {other}; move one of the two elsewhere"
            )
    claims[what].append((path, cells))


def _compilation(block: Any) -> str | None:
    """BSB's id of the compiled circuit that was simulated."""
    provenance = json.loads(block.annotations.get("bsb_provenance") or "{}")
    return (provenance.get("scaffold") or {}).get("storage_id")


def _by_cell_type(train: Any) -> Iterator[tuple[tuple[str, str], Spikes]]:
    """Splits a spike train that speaks for many cells: ((recorder, cell type), its spikes)."""
    notes = train.annotations
    roster = json.loads(notes["bsb_roster"]) if notes.get("bsb_multiplexed") else notes
    if notes.get("bsb_direction") != "record" or "bsb_cell_id" not in roster:
        return
    cells = np.atleast_1d(np.asarray(roster["bsb_cell_id"], dtype=np.int64))
    types = np.atleast_1d(np.asarray(roster["bsb_ps_name"]))
    times = train.rescale("ms").magnitude.astype(np.float64)
    alone = np.zeros(len(times), dtype=np.int64)
    index = np.atleast_1d(train.array_annotations.get("bsb_target_index", alone)).astype(np.int64)
    if len(index) != len(times):
        raise ValueError(f"{len(times)} spikes of {len(index)} cells")
    for cell_type in np.unique(types):
        fired = types[index] == cell_type
        spikes = cells[types == cell_type], times[fired], cells[index[fired]]
        yield (str(notes["bsb_device_name"]), str(cell_type)), spikes


def _joined(recorder: str, cell_type: str, parts: list[Spikes]) -> Recording:
    cells, times, fired = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Recording(recorder, cell_type, np.unique(cells), times, fired)


def _traces(signal: Any) -> Iterator[Trace]:
    """Splits the channels of a multimeter by cell type."""
    notes, channels = signal.annotations, signal.array_annotations
    if notes.get("bsb_direction") != "record" or "bsb_cell_id" not in channels:
        return
    cells = np.atleast_1d(channels["bsb_cell_id"]).astype(np.int64)
    types = np.atleast_1d(np.asarray(channels["bsb_ps_name"]))
    for cell_type in np.unique(types):
        own = types == cell_type
        yield Trace(
            recorder=str(notes["bsb_device_name"]),
            cell_type=str(cell_type),
            quantity=str(signal.name),
            unit=signal.dimensionality.string,
            step=float(signal.sampling_period.rescale("ms").magnitude),
            cells=cells[own],
            values=signal.magnitude[:, own].astype(np.float64),
            start=float(signal.t_start.rescale("ms").magnitude),
        )


def _side_by_side(parts: list[Trace]) -> Trace:
    """The shares of all ranks: the same samples of other cells."""
    cells = np.concatenate([part.cells for part in parts])
    order = np.argsort(cells)
    values = np.concatenate([part.values for part in parts], axis=1)[:, order]
    return replace(parts[0], cells=cells[order], values=values)
