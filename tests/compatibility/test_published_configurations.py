"""Configurations written for the published package 0.13 load and compile with this one, unchanged.

The files beside this test are written from the public names of that package: class paths, short names,
attributes, components, the NEST module and morphologies as plain files.
"""

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from bsb import (
    AfterConnectivityHook,
    AfterSimulationHook,
    ConnectionStrategy,
    parse_configuration_content,
    parse_configuration_file,
)
from circuit_file import CircuitFile

from cerebellar_models.circuits.adopting.adopt import adopt
from cerebellar_models.circuits.catalogue import morphology_manifest
from cerebellar_models.installation import bundle_folder

HERE = Path(__file__).parent
RULES = yaml.safe_load((HERE / "cortex.yaml").read_text())["connectivity"]
# The stock rule takes minutes for the cortex; that it runs is shown by one projection.
SLOW = [
    name
    for name, rule in RULES.items()
    if rule["strategy"].startswith("bsb.") and name != "basket_to_purkinje"
]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A user's folder: the files of this one, and the reconstructions as plain files."""
    for file in (*HERE.glob("*.yaml"), *HERE.glob("*.json")):
        shutil.copy(file, tmp_path)
    (tmp_path / "morphologies").mkdir()
    for file in bundle_folder("morphologies").glob("*.swc"):
        shutil.copy(file, tmp_path / "morphologies")
    return tmp_path


def bsb(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bsb", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "skipped"),
    [("cortex.yaml", SLOW), ("granular_layer.json", ())],
    ids=["class paths", "short names"],
)
def test_stock_bsb_compiles_it_and_warns_once(folder, name, skipped):
    skip = ("--skip", *skipped) if skipped else ()
    compiled = bsb(folder, "compile", name, "-v1", "--clear", *skip)
    assert compiled.returncode == 0, compiled.stderr[-2000:]
    assert compiled.stderr.count("Warning") == 1, compiled.stderr
    assert "cerebellar-models~=0.13.0" in compiled.stderr
    assert "configure --adopt" in compiled.stderr
    circuit = CircuitFile(folder / Path(name).with_suffix(".hdf5"))
    rules = set(yaml.safe_load((folder / name).read_text())["connectivity"]) - set(skipped)
    assert {rule for rule, (rows, _) in circuit.connections.items() if len(rows)} == rules


def test_a_simulation_of_it_loads(folder, monkeypatch, nest_installed):
    monkeypatch.chdir(folder)
    configuration = parse_configuration_file("cortex.yaml")
    simulation = configuration.simulations.basal_activity
    assert simulation.modules == ["cerebmodule"]
    assert simulation.cell_models.golgi_cell.model == "eglif_cond_alpha_multisyn"


def test_an_older_one_loads_once_adopted(nest_installed):
    older = yaml.safe_load((HERE / "older.yaml").read_text())
    tree = adopt(older, morphology_manifest(), seed=1234).tree
    configuration = parse_configuration_content(yaml.safe_dump(tree), parser="yaml")
    assert configuration.simulations.basal_activity.derive_seed() == 7
    (synapse,) = configuration.simulations.basal_activity.connection_models.golgi_to_golgi.synapses
    assert synapse.model == "static_synapse"


@pytest.mark.parametrize(
    "path",
    [
        "connectome.to_glomerulus.ConnectomeMossyGlomerulus",
        "connectome.to_glomerulus.ConnectomeUBCGlomerulus",
        "connectome.glomerulus_granule.ConnectomeGlomerulusGranule",
        "connectome.glomerulus_golgi.ConnectomeGlomerulusGolgi",
        "connectome.golgi_glomerulus.ConnectomeGolgiGlomerulus",
        "connectome.glomerulus_ubc.ConnectomeGlomerulusUBC",
        "connectome.io_molecular.ConnectomeIO_MLI",
        "connectome.io_purkinje.DuplicateSynapses",
        "placement.microzones.LabelCells",
        "placement.microzones.LabelMicrozones",
        "analysis.structure_analysis.RunStructureReport",
        "analysis.spike_plots.RunSimulationReport",
    ],
)
def test_every_public_class_is_where_it_was(path):
    module, _, name = f"cerebellar_models.{path}".rpartition(".")
    assert isinstance(getattr(import_module(module), name), type)


SHORT_NAMES = ["mossy_glom", "ubc_glom", "glom_gran", "glom_golgi", "golgi_glom", "glom_ubc", "io_mli"]


def test_every_short_name_is_known(folder, monkeypatch):
    monkeypatch.chdir(folder)
    parse_configuration_file("granular_layer.json")
    assert set(SHORT_NAMES) <= set(ConnectionStrategy._config_dynamic_classmap)
    assert "struct_report" in AfterConnectivityHook._config_dynamic_classmap
    assert "sim_report" in AfterSimulationHook._config_dynamic_classmap


def test_adopted_it_compiles_without_a_warning_and_without_its_files(folder, cli):
    """With our rule, which is quick enough for all projections; the stock rule's recurrent ones included."""
    assert cli("configure", "--adopt", "cortex.yaml", "-o", "new/cortex.yaml", cwd=folder).returncode == 2
    (folder / "new").mkdir()
    assert cli("configure", "--adopt", "cortex.yaml", "-o", "new/cortex.yaml", cwd=folder).returncode == 0
    compiled = bsb(folder / "new", "compile", "cortex.yaml", "-v1", "--clear")
    assert compiled.returncode == 0, compiled.stderr[-2000:]
    assert "Warning" not in compiled.stderr
    circuit = CircuitFile(folder / "new" / "cortex.hdf5")
    assert {rule for rule, (rows, _) in circuit.connections.items() if len(rows)} == set(RULES)
