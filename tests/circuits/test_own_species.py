"""Adding a species is adding a folder: a toy one, dropped in, appears, composes and loads in BSB."""

from pathlib import Path

import pytest
import yaml
from bsb import parse_configuration_content
from click.testing import CliRunner

from cerebellar_models.circuits.catalogue import OWN_FOLDERS, load_species, species_names
from cerebellar_models.circuits.offers import combinations
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.cli import main
from cerebellar_models.cli.listing import rows_of
from cerebellar_models.errors import UserError

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


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """A user's folder with the toy species, which the environment variable names."""
    write_species(tmp_path, "toy")
    monkeypatch.setenv(OWN_FOLDERS, str(tmp_path))
    return tmp_path


def test_it_appears_beside_the_others(toy):
    assert species_names() == ["mouse", "toy"]
    listed = CliRunner().invoke(main, ["configure", "--list"]).stdout
    for line in (
        "species        toy",
        "state          rest *",
        "preset         small *",
        "part           more",
    ):
        assert line in listed


def test_all_it_offers_loads_in_bsb(toy):
    offered = list(combinations(load_species("toy")))
    assert [offer.parts for offer in offered] == [(), ("more",)]
    for offer in offered:
        choices, tree = resolve("toy", parts=offer.parts, simulations=[offer.paradigm])
        assert choices.seed == 3
        tree["simulations"] = {}
        configuration = parse_configuration_content(yaml.safe_dump(tree), parser="yaml")
        assert set(configuration.cell_types) == {"fibre", "cell", *(["other"] if offer.parts else [])}


def test_the_command_line_takes_it(toy, monkeypatch):
    monkeypatch.chdir(toy)
    result = CliRunner().invoke(main, ["configure", "--species", "toy", "-o", "toy.yaml"])
    assert result.exit_code == 0, result.output
    assert set(yaml.safe_load(Path("toy.yaml").read_text())["simulations"]) == {"noise"}


@pytest.mark.parametrize("folder", ["parts", "neurons", "synapses", "paradigms"])
def test_a_file_more_is_an_offer_more(toy, folder):
    (first,) = (toy / "toy" / folder).iterdir()
    first.with_name("another.yaml").write_text(first.read_text())
    species = load_species("toy")
    assert [row for row in rows_of(species) if row[1] == "another"]
    assert len(list(combinations(species))) > 2 or folder == "neurons"  # no synapses are fitted to them


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: write_species(root, "mouse"), f"{OWN_FOLDERS}: species 'mouse' of"),
        (lambda root: (root / "toy" / "circuit.yaml").unlink(), "circuit.yaml: No such file or directory"),
        (
            lambda root: (root / "toy" / "species.yaml").write_text("states: {}"),
            "species.yaml: has no 'description'",
        ),
        (lambda root: (root / "toy" / "parts" / "bad.yaml").write_text("a: ["), "bad.yaml: not valid YAML"),
    ],
    ids=["name taken", "no circuit", "no description", "bad part"],
)
def test_a_bad_species_is_named(toy, spoil, says):
    spoil(toy)
    with pytest.raises(UserError) as error:
        load_species("toy")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("folder", "file", "kind"),
    [("synapses", "plain", "synapse model"), ("paradigms", "noise", "simulation")],
)
@pytest.mark.parametrize(
    ("extends", "says"),
    [
        ({"{file}": "nowhere"}, "'{file}' extends 'nowhere', of which there is no file"),
        ({"{file}": "{file}"}, "'{file}' extends itself: {file} -> {file}"),
        ({"{file}": "b", "b": "{file}"}, "'{file}' extends itself: {file} -> b -> {file}"),
    ],
    ids=["nothing", "itself", "in a circle"],
)
def test_what_extends_in_a_circle_or_nothing_is_one_line(toy, monkeypatch, folder, file, kind, extends, says):
    monkeypatch.chdir(toy)
    text = (toy / "toy" / folder / f"{file}.yaml").read_text()
    head = text[: len(text) - len(text.lstrip())]
    for name, above in extends.items():
        changed = toy / "toy" / folder / f"{name.format(file=file)}.yaml"
        changed.write_text(f"{head}extends: {above.format(file=file)}{text}")
    result = CliRunner().invoke(main, ["configure", "--species", "toy", "--simulation", "noise"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert f"{kind}: {says.format(file=file)}" in result.stderr
    assert not Path("circuit.yaml").exists()


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(OWN_FOLDERS, str(tmp_path / "gone"))
    with pytest.raises(UserError, match="there is no folder"):
        species_names()
