"""A circuit of canonical extent without granule and Golgi cells: quick to compile, and with real numbers."""

from pathlib import Path

import yaml
from bsb import Configuration, Scaffold

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose

_LEFT_OUT = {"granule_cell", "golgi_cell"}
_SLOW_RULES = ("stellate_to_stellate", "basket_to_basket")


def olivary_tree(**choices) -> dict:
    """Cortex with all parts but without granule and Golgi cells, and nothing to simulate."""
    mouse = load_species("mouse")
    tree = compose(mouse, choose(mouse, parts=["io", "ubc"], **choices), morphology_manifest())
    del tree["components"], tree["simulations"]
    tree["cell_types"] = {name: cell for name, cell in tree["cell_types"].items() if name not in _LEFT_OUT}
    for placement in tree["placement"].values():
        placement["cell_types"] = [name for name in placement["cell_types"] if name not in _LEFT_OUT]
    tree["connectivity"] = {
        name: rule
        for name, rule in tree["connectivity"].items()
        if not _LEFT_OUT & {*rule["presynaptic"]["cell_types"], *rule["postsynaptic"]["cell_types"]}
        and name not in _SLOW_RULES
    }
    used = [name for cell in tree["cell_types"].values() for name in cell["spatial"].get("morphologies", ())]
    tree["morphologies"] = [entry for entry in tree["morphologies"] if entry["name"] in used]
    return tree


def build(tree: dict, path: Path) -> Scaffold:
    """Compiles in this process."""
    scaffold = Scaffold(Configuration(**{**tree, "storage": {"engine": "hdf5", "root": str(path)}}))
    scaffold.compile(clear=True)
    return scaffold


def write(tree: dict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "circuit.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
