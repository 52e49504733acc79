"""A circuit that has everything a digest stands for, and a copy of it that only looks other."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cerebellar_models.circuits.catalogue import morphology_manifest

_SYNAPSE = {"model": "static_synapse", "weight": 1, "delay": 1.0, "receptor_type": 1}
_OVERLAP = "cerebellar_models.connectome.voxel_overlap.VoxelOverlap"


def _simulation(rate: float) -> dict[str, Any]:
    return {
        "simulator": "nest",
        "duration": 100,
        "resolution": 0.1,
        "threads": 1,
        "cell_models": {"granule": {"model": "iaf_cond_alpha", "constants": {"C_m": 7.0, "E_L": -62}}},
        "connection_models": {"granule_to_granule": {"synapses": [dict(_SYNAPSE)]}},
        "devices": {
            "noise": {"device": "poisson_generator", "rate": rate, "targetting": {"strategy": "all"}}
        },
    }


def digested_tree() -> dict[str, Any]:
    """Cells of several chunks with morphologies, rotations and labels, cells without any of it, two simulations."""
    rule = {"presynaptic": {"cell_types": ["granule"]}, "postsynaptic": {"cell_types": ["granule"]}}
    ends = {"presynaptic": "axon", "postsynaptic": "dendrites"}
    overlap = {key: rule[key] | {"morphology_labels": [label]} for key, label in ends.items()}
    placement = {"strategy": "bsb.placement.RandomPlacement", "partitions": ["block"]}
    return {
        "storage": {"engine": "hdf5", "root": "circuit.hdf5"},
        "rng": {"seed": 3},
        "network": {"x": 60, "y": 60, "z": 60, "chunk_size": [40, 40, 60]},
        "partitions": {"block": {"type": "layer", "thickness": 60}},
        "regions": {"all": {"type": "group", "children": ["block"]}},
        "morphologies": [morphology_manifest()["GranuleCell"]["bsb"]],
        "cell_types": {
            "granule": {"spatial": {"radius": 2, "count": 60, "morphologies": ["GranuleCell"]}},
            "fibre": {"spatial": {"radius": 2, "count": 12}},
        },
        "placement": {
            "granules": placement
            | {"cell_types": ["granule"], "distribute": {"rotations": {"strategy": "random"}}},
            "fibres": placement | {"cell_types": ["fibre"]},
        },
        "after_placement": {
            "zones": {
                "strategy": "cerebellar_models.placement.microzones.LabelMicrozones",
                "cell_types": ["granule"],
                "labels": ["plus", "minus"],
            }
        },
        "connectivity": {
            "granule_to_granule": {"strategy": _OVERLAP, **overlap, "affinity": 0.5},
            "fibre_to_granule": rule
            | {
                "strategy": "bsb.connectivity.FixedIndegree",
                "indegree": 2,
                "presynaptic": {"cell_types": ["fibre"]},
            },
        },
        "simulations": {"rest": _simulation(4), "stimulus": _simulation(40.0)},
    }


def rearranged(old: Path, new: Path) -> Path:
    """The same circuit with everything in another order: groups, the rows of each chunk, contacts, label numbers."""
    rng = np.random.default_rng(0)
    with h5py.File(old) as source, h5py.File(new, "w", track_order=True) as file:
        file.attrs.update(source.attrs)
        for name in ("connectivity", "placement"):
            file.create_group(name, track_order=True)
        for name in ("files", "morphologies"):
            source.copy(name, file)
        moved = {}
        for name in reversed(source["placement"]):
            moved[name] = _population(source["placement"][name], file["placement"].create_group(name), rng)
        for name in reversed(source["connectivity"]):
            group = source["connectivity"][name]
            copy = file["connectivity"].create_group(name)
            copy.attrs.update(group.attrs)
            for chunk in reversed(group["inc"]):
                pre, post = moved[group.attrs["pre"]], moved[group.attrs["post"]][chunk]
                _block(group["inc"][chunk], copy.create_group(f"inc/{chunk}"), pre, post, rng)
    return new


def _population(source: h5py.Group, copy: h5py.Group, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """New row of each cell of each chunk."""
    copy.attrs.update(source.attrs)
    copy.attrs["chunks"] = json.dumps(dict(reversed(json.loads(source.attrs["chunks"]).items())))
    sets = json.loads(source.attrs.get("labelsets", '{"0": []}'))
    # 0 is that of cells without labels for BSB.
    numbers = {0: 0} | {int(code): 10 - int(code) for code in sets if code != "0"}
    if "labelsets" in source.attrs:
        renumbered = {numbers[int(code)]: labels for code, labels in sets.items()}
        copy.attrs["labelsets"] = json.dumps(renumbered | {"99": ["of no cell"]})
    rows = {}
    for chunk in reversed(source):
        stored, kept = source[chunk], copy.create_group(chunk)
        order = rng.permutation(len(stored["position"]))
        rows[chunk] = np.argsort(order)
        for name in ("position", "rotation", "morphology", "labels"):
            values = stored[name][()]
            values = values[order] if len(values) else values
            if name == "labels":
                values = np.array([numbers[code] for code in values.tolist()], int)
            if name == "morphology" and len(values):
                values = values + 1  # the first name is another's
            kept.create_dataset(name, data=values, compression="gzip" if len(values) else None)
        if "morphology_loaders" in stored.attrs:
            kept.attrs["morphology_loaders"] = ["Another", *stored.attrs["morphology_loaders"]]
    return rows


def _block(
    source: h5py.Group,
    copy: h5py.Group,
    pre: dict[str, np.ndarray],
    post: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """The runs of rows of each source chunk in the other order, their rows in any."""
    begins = sorted((int(row), chunk) for chunk, row in source.attrs.items() if chunk != "chunk_list")
    ends = [*(row for row, _ in begins[1:]), len(source["local_locs"])]
    local, foreign, first = [], [], 0
    for (begin, chunk), end in reversed(list(zip(begins, ends, strict=True))):
        order = begin + rng.permutation(end - begin)
        targets, sources = source["local_locs"][()][order], source["global_locs"][()][order]
        targets[:, 0], sources[:, 0] = post[targets[:, 0]], pre[chunk][sources[:, 0]]
        local.append(targets)
        foreign.append(sources)
        copy.attrs[chunk] = first
        first += end - begin
    copy.attrs["chunk_list"] = source.attrs["chunk_list"][::-1]
    copy["local_locs"], copy["global_locs"] = np.concatenate(local), np.concatenate(foreign)
