"""Adding a species is adding a folder: a toy one, dropped in, appears, composes and loads in BSB."""

from pathlib import Path

import pytest
import yaml
from bsb import parse_configuration_content
from click.testing import CliRunner
from toy_species import write_species

from cerebellar_models.circuits.catalogue import OWN_FOLDERS, load_species, species_names
from cerebellar_models.circuits.offers import combinations
from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.cli import main
from cerebellar_models.cli.shared.listing import rows_of
from cerebellar_models.errors import UserError


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


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(OWN_FOLDERS, str(tmp_path / "gone"))
    with pytest.raises(UserError, match="there is no folder"):
        species_names()
