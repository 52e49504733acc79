"""A species' files are checked when they are read: each fault is one line with file, key and what would be right."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from toy_species import TOY, write_species

from cerebellar_models.circuits.catalogue import OWN_FOLDERS, SCHEMA, load_species
from cerebellar_models.cli import main
from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder

PUBLISHED = """
    tolerance: 0.2
    conditions: {duration: 100, extent: [100, 100], synapse_model: plain}
    rates: {rest: {noise: {cell: {mean_rate: 3}}}}
"""
STRONGER = """
    description: stronger
    neuron_model: integrator
    extends: plain
    synapses: {rest: {}}
"""
LOUDER = """
    description: louder
    extends: noise
    devices: {noise: , more: {device: poisson_generator, targets: [fibre], rate: 9}}
"""
WHOLE = TOY | {
    "reference.yaml": PUBLISHED,
    "synapses/stronger.yaml": STRONGER,
    "paradigms/louder.yaml": LOUDER,
}

# By file: what stands there, what stands there instead, what is said of it; None: that is no fault
FAULTS: dict[str, list[tuple[str, ...]]] = {
    "species.yaml": [
        ("small: [100, 100]", "small: 100", "presets.small: 100 is not a list"),
        ("[100, 100]", "[100]", "presets.small: [100] is not [x, y], the extent in µm"),
        ("[100, 100]", "[100, -1]", "presets.small[1]: -1 is not a number above 0 and at most 100000 (µm)"),
        ("[100, 100]", "[100, .nan]", "presets.small[1]: nan is not a number"),
        ("{rest: nothing happens}", "{}", "states: is empty; expected at least one, with a line on each"),
        ("rest: nothing", "1: nothing", "states: 1 is not text"),
        (", seed: 3", "", "defaults: has no 'seed'"),
        ("seed: 3", "seed: 3.0", "defaults.seed: 3.0 is not a whole number"),
        ("state: rest", "sate: rest", "defaults: there is no key 'sate'; did you mean 'state'?"),
        (
            "synapse_model: plain",
            "synapse_model: plane",
            "defaults.synapse_model: there is no synapse model 'plane'; did you mean 'plain'?",
        ),
        ("preset: small", "preset: big", "defaults.preset: there is no preset 'big'; known: small"),
    ],
    "circuit.yaml": [
        ("placement:", "placment:", "there is no key 'placment'; did you mean 'placement'?"),
        ("cell_types:\n", "cell_typs:\n", "there is no key 'cell_typs'; did you mean 'cell_types'?"),
        ("chunk_size", "x: 100, chunk_size", "network: there is no key 'x'; known: chunk_size, origin"),
        (
            "{radius: 1, density",
            "{radius: 1, densty",
            "cell_types.fibre.spatial: there is no key 'densty'; did you mean 'density'?",
        ),
        (
            "presynaptic: {cell_types",
            "presynaptic: {cell_type",
            "connectivity.fibre_to_cell.presynaptic: there is no key 'cell_type'; did you mean 'cell_types'?",
        ),
        (
            "partitions: [layer]",
            "partitons: [layer]",
            "placement.all: there is no key 'partitons'; did you mean 'partitions'?",
        ),
        ("{type: layer, thickness: 50}", "{type: layer}", "partitions.layer: has no 'thickness'"),
        ("strategy: bsb.connectivity.AllToAll", "", "connectivity.fibre_to_cell: has no 'strategy'"),
        (
            "partitions: [layer], cell",
            "partitions: [layer], spacing_x: 9, cell",
            "placement.all: has no 'angle'",
        ),
        ("spatial: {radius: 1, ", "spatial: {", None),
        ("partitions: [layer], cell", "partitions: [layer], spacing_x: 9, angle: 70, cell", None),
        (
            "children: [layer]",
            "children: [layr]",
            "regions.sheet.children: there is no layer or region 'layr'; did you mean 'layer'?",
        ),
        (
            "presynaptic: {cell_types: [fibre]}",
            "presynaptic: {cell_types: [fiber]}",
            "connectivity.fibre_to_cell.presynaptic.cell_types: there is no cell type 'fiber'; did you mean 'fibre'?",
        ),
        (
            "{radius: 2, density: 0.0001}",
            "{radius: 2, count_ratio: 2, relative_to: other}",
            "cell_types.cell.spatial.relative_to: there is no cell type 'other'; known: cell, fibre",
        ),
        (
            "{radius: 2, ",
            "{radius: 2, morphologies: [GolgiCel], ",
            "cell_types.cell.spatial.morphologies: there is no morphology 'GolgiCel'; did you mean 'GolgiCell'?",
        ),
        (
            "{chunk_size: [100, 100, 100]}",
            "{chunk_size: &all [*all, *all, *all]}",
            "network.chunk_size[0]: [[...], [...], [...]] is not a number",
        ),
    ],
    "parts/more.yaml": [
        (
            "description:",
            "text:",
            "there is no key 'text'; known: after_connectivity, after_placement, cell_types, connectivity, "
            "description, microzones, partitions, placement, regions, requires",
        ),
        (
            "all: {cell_types",
            "all: {cell_typs",
            "placement.all: there is no key 'cell_typs'; did you mean 'cell_types'?",
        ),
        ("placement: {all:", "placement: {its_own:", "placement.its_own: has no 'strategy'"),
        (
            "[fibre, cell, other]",
            "[fibre, cell, another]",
            "placement.all.cell_types: there is no cell type 'another'; did you mean 'other'?",
        ),
        (
            "description:",
            "requires: [less]\n        description:",
            "requires: there is no part 'less'; known: more",
        ),
        (
            "description:",
            "requires: [more]\n        description:",
            "requires: part: 'more' requires itself: more -> more",
        ),
        (
            "description:",
            "microzones: [cel]\n        description:",
            "microzones: there is no cell type 'cel'; did you mean 'cell'?",
        ),
    ],
    "neurons/integrator.yaml": [
        ("nest_model: iaf_psc_alpha", "", "has no 'nest_model'"),
        ("{rest: {cell", "{awake: {cell", "constants: there is no state 'awake'; known: rest"),
        ("other: {C_m", "othr: {C_m", "constants.rest: there is no cell type 'othr'; did you mean 'other'?"),
    ],
    "synapses/plain.yaml": [
        ("neuron_model: integrator", "", "has no 'neuron_model'"),
        ("weight", "wieght", "synapses.rest.fibre_to_cell: there is no key 'wieght'; did you mean 'weight'?"),
        (
            "weight: 1",
            "weight: heavy",
            "synapses.rest.fibre_to_cell.weight: 'heavy' is not a number or a mapping",
        ),
        (
            "{model: static_synapse",
            "{synapses: [], dealy: 1",
            "synapses.rest.fibre_to_cell.synapses: is empty; expected a list of at least one synapse",
        ),
        (
            "neuron_model: integrator",
            "neuron_model: adder",
            "neuron_model: there is no neuron model 'adder'; known: integrator",
        ),
        (
            "fibre_to_cell",
            "fiber_to_cell",
            "synapses.rest: there is no projection 'fiber_to_cell'; did you mean 'fibre_to_cell'?",
        ),
        ("fibre_to_cell", "fibre_to_cell_fibre_to_other", None),
        (
            "fibre_to_cell",
            "fibre_to_cell_fibre_to_else",
            "synapses.rest: there is no projection 'fibre_to_cell_fibre_to_else'; did you mean 'fibre_to_cell'?",
        ),
        (
            "description:",
            "extends: stronger\n        description:",
            "extends: 'plain' extends itself: plain -> stronger -> plain",
        ),
    ],
    "paradigms/noise.yaml": [
        ("targets: [fibre], ", "", "devices.noise: has no 'targets'"),
        (
            "[fibre], rate",
            "[], rate",
            "devices.noise.targets: is empty; expected a list of at least one cell type",
        ),
        ("duration: 100", "", "has no 'duration'"),
        ("resolution: 0.1", "resolution: 0", "resolution: 0 is not a number above 0 (ms)"),
        ("weight", "weigth", "devices.noise: there is no key 'weigth'; did you mean 'weight'?"),
        (
            "rate: 5",
            "targetting: {}",
            "devices.noise.targetting: {} is not what a device takes here: give its cell types as 'targets'",
        ),
        (
            "relays: [fibre]",
            "relays: [fibres]",
            "relays: there is no cell type 'fibres'; did you mean 'fibre'?",
        ),
        ("relays: [fibre]", "", None),
        (
            "targets: [fibre]",
            "targets: [fibr]",
            "devices.noise.targets: there is no cell type 'fibr'; did you mean 'fibre'?",
        ),
        (
            "rate: 5",
            "sphere: {radius: 5, centre_of: lair}",
            "devices.noise.sphere.centre_of: there is no layer 'lair'; did you mean 'layer'?",
        ),
        ("duration: 100", "duration: &all [*all]", "duration: [[...]] is not a number"),
    ],
    "reference.yaml": [
        (
            "mean_rate",
            "mean_rte",
            "rates.rest.noise.cell: there is no key 'mean_rte'; did you mean 'mean_rate'?",
        ),
        (
            "cell: {mean",
            "cells: {mean",
            "rates.rest.noise: there is no cell type 'cells'; did you mean 'cell'?",
        ),
    ],
    "synapses/stronger.yaml": [
        (
            "extends: plain",
            "extends: nothing",
            "extends: there is no synapse model 'nothing'; known: plain, stronger",
        ),
        ("extends: plain", "extends: stronger", "extends: 'stronger' extends itself: stronger -> stronger"),
    ],
    "paradigms/louder.yaml": [
        (
            "extends: noise",
            "extends: noises",
            "extends: there is no simulation 'noises'; did you mean 'noise'?",
        ),
        (
            "extends:",
            "states: {rest: {noise: {rate: 1}}}\n    extends:",
            "states.rest: there is no device 'noise'; known: more",
        ),
        (
            "extends:",
            "needs: {parts: [mor], reason: so}\n    extends:",
            "needs.parts: there is no part 'mor'; did you mean 'more'?",
        ),
        ("extends: noise", "extends: louder", "extends: 'louder' extends itself: louder -> louder"),
    ],
}
ROWS = [(file, *row) for file, rows in FAULTS.items() for row in rows]


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A user's folder of species."""
    monkeypatch.setenv(OWN_FOLDERS, str(tmp_path))
    return tmp_path


def spoilt(own: Path, file: str, there: str, instead: str) -> Path:
    """A species with one fault; its folder."""
    assert WHOLE[file].count(there) >= 1, f"{file} has no {there}"
    write_species(own, "toy", WHOLE | {file: WHOLE[file].replace(there, instead, 1)})
    return own / "toy"


@pytest.mark.parametrize(
    ("file", "there", "instead", "said"), ROWS, ids=[f"{row[0]}-{row[2].strip()}" for row in ROWS]
)
def test_a_fault_is_told_with_file_and_key_and_what_is_right(own, file, there, instead, said):
    folder = spoilt(own, file, there, instead)
    if said is None:
        load_species("toy")
        return
    with pytest.raises(UserError) as error:
        load_species("toy")
    assert str(error.value) == f"{folder}/{file}: {said}"


@pytest.mark.parametrize(
    "row", [ROWS[0], next(row for row in ROWS if "'plane'" in str(row[3]))], ids=["schema", "name"]
)
def test_nothing_is_written_then(own, monkeypatch, row):
    monkeypatch.chdir(own)
    folder = spoilt(own, *row[:3])
    result = CliRunner().invoke(main, ["configure", "--species", "toy"])
    assert (result.exit_code, result.stderr) == (2, f"cerebellar-models: {folder}/{row[0]}: {row[3]}\n")
    assert [entry.name for entry in own.iterdir()] == ["toy"]


def test_a_file_of_another_ending_is_not_passed_over(own):
    write_species(own, "toy", WHOLE | {"parts/less.yml": TOY["parts/more.yaml"]})
    with pytest.raises(UserError) as error:
        load_species("toy")
    assert str(error.value) == f"{own}/toy/parts/less.yml: is not read; name it less.yaml"


OPEN = {
    "an own strategy's attributes": (
        "circuit.yaml",
        "strategy: bsb.connectivity.AllToAll",
        "strategy: mine.Rule\n            reach: 5",
    ),
    "an own placement's": (
        "circuit.yaml",
        "RandomPlacement,",
        "RandomPlacement, jitter: [1, 2], cell_type: fibre,",
    ),
    "NEST's parameters of a synapse": (
        "synapses/plain.yaml",
        "weight: 1",
        "weight: 1, tau_psc: 2, U: 0.5, Wmax: 3",
    ),
    "drawn weights": (
        "synapses/plain.yaml",
        "weight: 1",
        "weight: {distribution: normal, mean: 1, std: 0.1}",
    ),
    "a projection left out": ("synapses/stronger.yaml", "{rest: {}}", "{rest: {fibre_to_cell: }}"),
    "a list of synapses": (
        "synapses/plain.yaml",
        "{model: static_synapse, weight: 1, delay: 1.0}",
        "[{weight: 1}, {weight: 2}]",
    ),
    "a connection model": (
        "synapses/plain.yaml",
        "{model: static_synapse, weight: 1, delay: 1.0}",
        "{rule: one_to_one, synapses: [{weight: 1}]}",
    ),
    "NEST's parameters of a device": ("paradigms/noise.yaml", "rate: 5", "rate: 5, start: 3, origin: 1"),
    "parameters of cells": (
        "neurons/integrator.yaml",
        "{C_m: 250}",
        "{C_m: {distribution: uniform, min: 1, max: 2}, on: true}",
    ),
    "hooks": (
        "circuit.yaml",
        "connectivity:",
        "after_placement: {mine: {strategy: mine.Hook, shift: 3}}\n        connectivity:",
    ),
    "components": ("circuit.yaml", "name: toy", "name: toy\n        components: [mine]"),
}


@pytest.mark.parametrize("change", OPEN.values(), ids=OPEN)
def test_what_users_may_extend_is_open(own, monkeypatch, change):
    monkeypatch.chdir(own)
    spoilt(own, *change)
    result = CliRunner().invoke(main, ["configure", "--species", "toy"])
    assert (result.exit_code, result.stderr) == (0, ""), result.output


def test_the_schema_is_one():
    Draft202012Validator.check_schema(json.loads((bundle_folder("configurations") / SCHEMA).read_text()))


@pytest.mark.parametrize(
    "species", sorted(path.parent.name for path in bundle_folder("configurations").glob("*/species.yaml"))
)
def test_a_species_that_ships_passes(species):
    assert load_species(species).parts
