"""Small circuits and recordings, in memory and as the files BSB writes."""

import json
from pathlib import Path

import h5py
import numpy as np
import quantities as pq
from bsb import multiplex_channels, multiplex_targets
from neo import AnalogSignal, Block, Segment, SpikeTrain
from neo.io import NixIO

from cerebellar_models.analysis.data import CircuitData, Contacts, Recording, Trace

TREE = {
    "name": "two types",
    "network": {"x": 100.0, "y": 50.0, "z": 60.0},
    "partitions": {"low": {"thickness": 40.0}, "high": {"thickness": 20.0}},
    "cell_types": {
        "granule_cell": {"spatial": {"radius": 2, "density": 2.0e-5}},
        "purkinje_cell": {"spatial": {"radius": 5, "planar_density": 4.0e-4}},
        "fibre": {"spatial": {"radius": 1, "count_ratio": 0.5, "relative_to": "granule_cell"}},
    },
    "placement": {
        "below": {"partitions": ["low"], "cell_types": ["granule_cell", "fibre"]},
        "above": {"partitions": ["high"], "cell_types": ["purkinje_cell"]},
    },
    "connectivity": {"granule_to_purkinje": {}, "gap_purkinje": {}},
    "simulations": {
        "basal_activity": {
            "simulator": "nest",
            "duration": 1000.0,
            "connection_models": {"granule_to_purkinje": {"synapses": [{"model": "static_synapse"}]}},
        }
    },
}
COUNTS = {"granule_cell": 5, "purkinje_cell": 2, "fibre": 2}
# Granule cells 0 and 3 contact Purkinje cell 0, the first of them twice; granule cell 4 contacts both.
GRANULE, PURKINJE = [0, 0, 3, 4, 4], [0, 0, 0, 0, 1]


def contacts(pre, post, name="granule_to_purkinje", types=("granule_cell", "purkinje_cell")) -> Contacts:
    presynaptic, postsynaptic = types
    return Contacts(
        name, presynaptic, postsynaptic, np.array(pre, dtype=np.int32), np.array(post, dtype=np.int32)
    )


def circuit() -> CircuitData:
    rng = np.random.default_rng(1)
    return CircuitData(
        configuration=TREE,
        counts=COUNTS,
        positions={name: rng.uniform(0, 50, (count, 3)) for name, count in COUNTS.items()},
        projections=(
            contacts([0], [1], "gap_purkinje", ("purkinje_cell", "purkinje_cell")),
            contacts(GRANULE, PURKINJE),
        ),
    )


def recording(trains: dict[int, list[float]], cell_type="granule_cell") -> Recording:
    """:param trains: spike times in ms by cell; a silent cell has none."""
    fired = [cell for cell, times in trains.items() for _ in times]
    return Recording(
        recorder=f"{cell_type}_record",
        cell_type=cell_type,
        cells=np.array(sorted(trains), dtype=np.int64),
        spike_times=np.array([time for times in trains.values() for time in times], dtype=float),
        spike_cells=np.array(fired, dtype=np.int64),
    )


def write_circuit(
    path: Path,
    tree: dict = TREE,
    purkinje_contacts: int = len(PURKINJE),
    compilation: str | None = None,
) -> Path:
    """The sample circuit in the layout of bsb-hdf5; granule cells 3 and 4 are in another chunk."""
    data = circuit()
    with h5py.File(path, "w") as file:
        if compilation:
            file.attrs["bsb_provenance"] = json.dumps({"storage_id": compilation})
        stored = file.create_dataset("files/a", data=np.array(json.dumps(tree).encode()))
        stored.attrs["meta"] = json.dumps({"active_config": True})
        for name, count in COUNTS.items():
            chunks = {"0": 3, "65536": count - 3} if count > 3 else {"0": count}
            group = file.create_group(f"placement/{name}")
            group.attrs["chunks"] = json.dumps(chunks)
            for chunk, begin in zip(chunks, (0, 3), strict=False):
                group[f"{chunk}/position"] = data.positions[name][begin : begin + chunks[chunk]]
        granule = np.array([0, 0, 0, 1, 1])  # the last three are those of chunk 65536
        runs = {"0": 0, "65536": 2}
        _write_set(file, data.projections[1], {"0": (granule, np.array(PURKINJE), runs)}, purkinje_contacts)
        _write_set(file, data.projections[0], {"0": (np.array([0]), np.array([1]), {"0": 0})}, 1)
    return path


def _write_set(file: h5py.File, projection: Contacts, blocks: dict, length: int) -> None:
    group = file.create_group(f"connectivity/{projection.name}")
    group.attrs.update(
        tag=projection.name, pre=projection.presynaptic, post=projection.postsynaptic, len=length
    )
    for chunk, (pre, post, runs) in blocks.items():
        block = group.create_group(f"inc/{chunk}")
        block["local_locs"] = np.stack([post, post * 0, post * 0], axis=1)
        block["global_locs"] = np.stack([pre, pre * 0, pre * 0], axis=1)
        block.attrs.update(runs | {"chunk_list": [[0, 0, 0]]})


def trace(
    quantity: str,
    values: list[list[float]],
    cells=(0, 1),
    cell_type="granule_cell",
    duration=1000.0,
    start=0.0,
) -> Trace:
    """What a multimeter read in pA; ``values`` has a row for each sample, which share out the duration (ms)."""
    return Trace(
        recorder="multimeter",
        cell_type=cell_type,
        quantity=quantity,
        unit="pA",
        step=duration / len(values),
        cells=np.array(cells, dtype=np.int64),
        values=np.array(values, dtype=float),
        start=start,
    )


def write_recording(path: Path, shares: list[list[Recording | Trace]], *which, **more) -> Path:
    """What `recorded_block` makes, in one file."""
    with NixIO(str(path), mode="ow") as file:
        file.write_block(recorded_block(shares, *which, **more))
    return path


def recorded_block(
    shares: list[list[Recording | Trace]],
    run: str | None = "run-1",
    reached: float = 1000.0,
    duration: float = 1000.0,
    compilation: str | None = None,
    **more: dict,
) -> Block:
    """One simulation. Each share is what one MPI rank recorded; ``more`` is the simulation's own."""
    simulation = TREE["simulations"]["basal_activity"] | {"duration": duration} | more
    notes = {"bsb_simulation_id": run} if run else {}
    if compilation:
        notes["bsb_provenance"] = json.dumps({"scaffold": {"storage_id": compilation}})
    block = Block(name="basal_activity", sim_name="basal_activity", config=json.dumps(simulation), **notes)
    segment = Segment(t_stop_ms=reached, checkpoint_index=0)
    for share in shares:
        segment.spiketrains.extend([_train(each) for each in share if isinstance(each, Recording)])
        segment.analogsignals.extend([_signal(each) for each in share if isinstance(each, Trace)])
    block.segments.append(segment)
    return block


def _targets(recorded: Recording | Trace) -> list[dict]:
    target = {"bsb_recording_kind": "cell", "bsb_direction": "record", "bsb_ps_name": recorded.cell_type}
    return [target | {"bsb_cell_id": int(cell)} for cell in recorded.cells]


def _signal(recorded: Trace) -> AnalogSignal:
    baseline, channels = multiplex_channels(_targets(recorded))
    return AnalogSignal(
        recorded.values,
        units=recorded.unit,
        sampling_period=recorded.step * pq.ms,
        t_start=recorded.start * pq.ms,
        name=recorded.quantity,
        array_annotations=channels,
        bsb_device_name=recorded.recorder,
        **baseline,
    )


def _train(recorded: Recording) -> SpikeTrain:
    order = np.argsort(recorded.spike_times)
    index = np.searchsorted(recorded.cells, recorded.spike_cells)[order]
    return SpikeTrain(
        recorded.spike_times[order],
        units="ms",
        t_stop=1000.0,
        name="spikes",
        array_annotations={"bsb_target_index": index},
        bsb_device_name=recorded.recorder,
        **multiplex_targets(_targets(recorded)),
    )
