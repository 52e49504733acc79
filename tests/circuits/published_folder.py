"""A folder of configurations that take parts from one another, as releases up to 0.7 were written."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from published_circuit import CELLS, CIRCUIT, morphology, write_morphologies, write_tree

# Components were named by their files then.
BUILDS_MODELS = "cerebellar_models/nest_models/build_models.py"
CIRCUIT_KEYS = ["storage", "network", "regions", "partitions", "cell_types", "placement", "connectivity"]


def taking(file: str, values: list[str]) -> dict[str, Any]:
    return {"ref": file, "values": list(values)}


def _synapse(weight: float) -> dict[str, Any]:
    return {"synapse": {"model": "static_synapse", "weight": weight, "delay": 4, "receptor_type": 2}}


BASAL: dict[str, Any] = {
    "simulator": "nest",
    "resolution": 0.1,
    "duration": 100,
    "seed": 7,
    "modules": ["cerebmodule"],
    "cell_models": {
        name: {"model": "eglif_cond_alpha_multisyn"}
        for name in ("purkinje_cell", "basket_cell", "stellate_cell")
    },
    "connection_models": {"stellate_to_purkinje": _synapse(0.17), "basket_to_purkinje": _synapse(0.5)},
    "devices": {
        "purkinje_record": {
            "device": "spike_recorder",
            "targetting": {"strategy": "cell_model", "cell_models": ["purkinje_cell"]},
            "delay": 1.0,
        }
    },
}

FILES: dict[str, dict[str, Any]] = {
    "morphologies/morphologies.yaml": {"morphologies": [morphology(cell) for cell in CELLS]},
    "configurations/cortex.yaml": {
        **{key: CIRCUIT[key] for key in ("name", "packages", *CIRCUIT_KEYS)},
        "$import": taking("../morphologies/morphologies.yaml#/", ["morphologies"]),
    },
    "configurations/nest/basal activity µ.yaml": {
        "components": [BUILDS_MODELS],
        "simulations": {"basal_activity": BASAL},
        "$import": taking("../cortex.yaml#/", ["packages", "morphologies", *CIRCUIT_KEYS]),
    },
    # A simulation of its own seed, built of the parts of another.
    "configurations/nest/stimulus.yaml": {
        "simulations": {
            "stimulus": {
                "simulator": "nest",
                "resolution": 0.1,
                "duration": 50,
                "seed": 9,
                "modules": ["cerebmodule"],
                "$import": taking(
                    "basal activity µ.yaml#/simulations/basal_activity",
                    ["cell_models", "connection_models", "devices"],
                ),
            }
        },
        "$import": taking(
            "basal activity µ.yaml#/", ["components", "morphologies", *CIRCUIT_KEYS, "simulations"]
        ),
    },
    # What makes it a simulation of NEST, and its seed, stand in the other file only.
    "configurations/nest/stronger.yaml": {
        "simulations": {
            "basal_activity": {"connection_models": {"stellate_to_purkinje": _synapse(0.3)}},
            "again": {
                "$import": taking("basal activity µ.yaml#/simulations/basal_activity", [*BASAL]),
            },
            "$import": taking("basal activity µ.yaml#/simulations", ["basal_activity"]),
        },
        "$import": taking("basal activity µ.yaml#/", ["components", "morphologies", *CIRCUIT_KEYS]),
    },
    # One rule of another file without the key that adopting adds beside it.
    "configurations/one_rule.yaml": {
        "connectivity": {
            "basket_to_purkinje": {
                "$import": taking("cortex.yaml#/connectivity/basket_to_purkinje", ["strategy", "affinity"]),
                "presynaptic": {"cell_types": ["basket_cell"], "morphology_labels": ["axon"]},
                "postsynaptic": {"cell_types": ["purkinje_cell"], "morphology_labels": ["soma"]},
            }
        },
        "$import": taking("cortex.yaml#/", ["morphologies", *CIRCUIT_KEYS[:-1]]),
    },
}


def write_folder(folder: Path, names: Iterable[str] = FILES) -> None:
    write_morphologies(folder)
    for name in names:
        write_tree(folder / name, FILES[name])
