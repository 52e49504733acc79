"""A network of two populations of our neurons that compiles in a second and simulates in less."""

from typing import Any

MODEL = "eglif_cond_alpha_multisyn"


def small_network(root: str, **changes: Any) -> dict[str, Any]:
    """Its configuration.

    :param changes: what replaces a value of simulation ``rest``, by its keys joined by ``__``.
    """
    synapse = {"model": "static_synapse", "weight": 1.0, "delay": 1.0, "receptor_type": 1}
    simulation: dict[str, Any] = {
        "simulator": "nest",
        "duration": 10,
        "resolution": 0.1,
        "threads": 2,
        "modules": ["cerebmodule"],
        "cell_models": {
            "golgi": {"model": MODEL, "constants": {"tau_m": 20.0, "C_m": 100.0, "I_e": 100.0}},
            "single": {"model": MODEL},
        },
        "connection_models": {"golgi_to_single": {"synapses": [synapse]}},
        "devices": {
            "record": {"device": "spike_recorder", "delay": 1, "targetting": {"strategy": "all"}},
            "noise": {
                "device": "poisson_generator",
                "rate": 10,
                "weight": 1,
                "delay": 1,
                "receptor_type": 1,
                "targetting": {"strategy": "cell_model", "cell_models": ["golgi"]},
            },
        },
    }
    for keys, value in changes.items():
        *path, last = keys.split("__")
        place = simulation
        for key in path:
            place = place[int(key) if isinstance(place, list) else key]
        place[last] = value
    kinds = {"golgi": 5, "single": 1}
    return {
        "storage": {"engine": "hdf5", "root": root},
        "components": ["cerebellar_models.nest_models"],
        "network": {"x": 100, "y": 100, "z": 100},
        "partitions": {"block": {"type": "layer", "thickness": 100}},
        "regions": {"all": {"type": "group", "children": ["block"]}},
        "cell_types": {name: {"spatial": {"radius": 2, "count": count}} for name, count in kinds.items()},
        "placement": {
            name: {"strategy": "bsb.placement.RandomPlacement", "cell_types": [name], "partitions": ["block"]}
            for name in kinds
        },
        "connectivity": {
            "golgi_to_single": {
                "strategy": "bsb.connectivity.AllToAll",
                "presynaptic": {"cell_types": ["golgi"]},
                "postsynaptic": {"cell_types": ["single"]},
            }
        },
        "simulations": {"rest": simulation},
    }
