"""A small circuit as configurations of the published package 0.13 write it, and the files it names.

Its morphologies have y and z exchanged, and a pipeline that exchanges them back. Every rule takes all pairs, so that
what it connects is no matter of chance.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

from cerebellar_models.circuits.catalogue import morphology_manifest
from cerebellar_models.installation import bundle_folder

CELLS = ("GranuleCell", "PurkinjeCell", "BasketCell", "StellateCell")
SWAP = {"func": "swap_axes", "axis1": 1, "axis2": 2}


def exchanged(cell: str) -> str:
    """The bundled reconstruction with y and z exchanged."""
    rows = (bundle_folder("morphologies") / f"{cell}.swc").read_text(encoding="utf-8").splitlines()
    return "".join(f"{_exchange(row)}\n" for row in rows if not row.startswith("#"))


def _exchange(row: str) -> str:
    sample, tag, x, y, z, *rest = row.split()
    return " ".join((sample, tag, x, z, y, *rest))


def morphology(cell: str, pipeline: list[Any] | None = None) -> dict[str, Any]:
    """The entry of a cell, with the published pipeline if none is given."""
    parser = copy.deepcopy(morphology_manifest()[cell]["bsb"]["parser"])
    pipeline = [dict(SWAP)] if pipeline is None else pipeline
    return {"file": f"morphologies/{cell}.swc", "parser": parser, "pipeline": pipeline}


def write_morphologies(folder: Path) -> None:
    (folder / "morphologies").mkdir(parents=True)
    for cell in CELLS:
        (folder / "morphologies" / f"{cell}.swc").write_text(exchanged(cell), encoding="utf-8")


def write_tree(path: Path, tree: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def _overlap(pre: str, pre_label: str, post: str, post_label: str) -> dict[str, Any]:
    return {
        "strategy": "bsb.connectivity.VoxelIntersection",
        "presynaptic": {"cell_types": [pre], "morphology_labels": [pre_label]},
        "postsynaptic": {"cell_types": [post], "morphology_labels": [post_label]},
        "affinity": 1,
        "voxels_pre": 60,
        "voxels_post": 60,
    }


def _placed(layer: str, cell: str, **more: Any) -> dict[str, Any]:
    return {"strategy": "bsb.placement.RandomPlacement", "partitions": [layer], "cell_types": [cell]} | more


CIRCUIT: dict[str, Any] = {
    "name": "part of a cortex",
    "packages": ["cerebellar-models~=0.13.0"],
    "components": ["cerebellar_models.nest_models.build_models"],
    "storage": {"engine": "hdf5", "root": "circuit.hdf5"},
    "rng": {"seed": 1234},
    "network": {"x": 130, "y": 50, "z": 295, "chunk_size": [100, 100, 100]},
    "morphologies": [morphology(cell) for cell in CELLS],
    "regions": {
        "cerebellar_cortex": {
            "type": "stack",
            "children": ["granular_layer", "purkinje_layer", "b_molecular_layer", "t_molecular_layer"],
        }
    },
    "partitions": {
        "granular_layer": {"type": "layer", "thickness": 130},
        "purkinje_layer": {"type": "layer", "thickness": 15},
        "b_molecular_layer": {"type": "layer", "thickness": 50},
        "t_molecular_layer": {"type": "layer", "thickness": 100},
    },
    "cell_types": {
        "granule_cell": {"spatial": {"radius": 2.5, "density": 2e-5, "morphologies": ["GranuleCell"]}},
        "purkinje_cell": {
            "spatial": {"radius": 7.5, "planar_density": 0.001166, "morphologies": ["PurkinjeCell"]}
        },
        "basket_cell": {"spatial": {"radius": 6, "density": 2e-5, "morphologies": ["BasketCell"]}},
        "stellate_cell": {"spatial": {"radius": 4, "density": 2e-5, "morphologies": ["StellateCell"]}},
    },
    "placement": {
        "granular_layer_placement": _placed("granular_layer", "granule_cell"),
        "purkinje_layer_placement": _placed(
            "purkinje_layer",
            "purkinje_cell",
            strategy="bsb.placement.ParallelArrayPlacement",
            spacing_x=130,
            angle=80,
        ),
        "basket_layer_placement": _placed("b_molecular_layer", "basket_cell"),
        "stellate_layer_placement": _placed("t_molecular_layer", "stellate_cell"),
    },
    "connectivity": {
        "parallel_fiber_to_purkinje": _overlap(
            "granule_cell", "parallel_fiber", "purkinje_cell", "pf_targets"
        ),
        "ascending_axon_to_purkinje": _overlap(
            "granule_cell", "ascending_axon", "purkinje_cell", "aa_targets"
        ),
        "parallel_fiber_to_stellate": _overlap(
            "granule_cell", "parallel_fiber", "stellate_cell", "dendrites"
        ),
        "stellate_to_purkinje": _overlap("stellate_cell", "axon", "purkinje_cell", "sc_targets"),
        "basket_to_purkinje": _overlap("basket_cell", "axon", "purkinje_cell", "soma"),
    },
}
