"""The smallest species there is, and a folder of a user's that holds it."""

from pathlib import Path

TOY = {
    "species.yaml": """
        description: a sheet of fibres on relays
        states: {rest: nothing happens}
        presets: {small: [100, 100]}
        defaults: {state: rest, preset: small, neuron_model: integrator, synapse_model: plain, seed: 3}
    """,
    "circuit.yaml": """
        name: toy
        network: {chunk_size: [100, 100, 100]}
        regions: {sheet: {type: stack, children: [layer]}}
        partitions: {layer: {type: layer, thickness: 50}}
        cell_types:
          fibre: {spatial: {radius: 1, density: 0.0001}}
          cell: {spatial: {radius: 2, density: 0.0001}}
        placement:
          all: {strategy: bsb.placement.RandomPlacement, partitions: [layer], cell_types: [fibre, cell]}
        connectivity:
          fibre_to_cell:
            strategy: bsb.connectivity.AllToAll
            presynaptic: {cell_types: [fibre]}
            postsynaptic: {cell_types: [cell]}
    """,
    "parts/more.yaml": """
        description: a second kind of cell
        cell_types: {other: {spatial: {radius: 2, density: 0.0001}}}
        placement: {all: {cell_types: [fibre, cell, other]}}
    """,
    "neurons/integrator.yaml": """
        description: integrate and fire
        nest_model: iaf_psc_alpha
        nest_modules: []
        constants: {rest: {cell: {C_m: 250}, other: {C_m: 200}}}
    """,
    "synapses/plain.yaml": """
        description: the same everywhere
        neuron_model: integrator
        synapses: {rest: {fibre_to_cell: {model: static_synapse, weight: 1, delay: 1.0}}}
    """,
    "paradigms/noise.yaml": """
        description: noise on the fibres
        duration: 100
        resolution: 0.1
        relays: [fibre]
        devices: {noise: {device: poisson_generator, targets: [fibre], rate: 5, weight: 1, delay: 1.0}}
    """,
}


def write_species(root: Path, name: str, files: dict[str, str] = TOY) -> None:
    for path, text in files.items():
        target = root / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
