"""Settings of the rules that contradict one another are refused before anything is placed."""

import copy
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bsb import BootError, CastError, Configuration, ConfigurationError, ConnectivityWarning, Scaffold
from circuit_file import CircuitFile

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.connectome.contradictions import check_rules

MOUSE = load_species("mouse")


@pytest.fixture(scope="module")
def composed() -> dict:
    choices = choose(MOUSE, parts=["io", "ubc"], microzones=["plus", "minus"])
    tree = compose(MOUSE, choices, morphology_manifest())
    # Nothing is placed, so that morphologies are not looked at.
    return {
        key: value for key, value in tree.items() if key not in ("components", "simulations", "morphologies")
    }


def changed(tree: dict, part: str, name: str, **settings) -> dict:
    tree = copy.deepcopy(tree)
    tree[part][name] |= settings
    return tree


def check(tree: dict, without: tuple[str, ...] = (), hooks_run: bool = True) -> None:
    configuration = Configuration(**copy.deepcopy(tree))
    check_rules(configuration, set(configuration.connectivity) - set(without), hooks_run)


def types(*names: str) -> dict:
    return {"cell_types": list(names)}


CONTRADICTIONS = {
    "interneurons' rule ends elsewhere": (
        ("io_to_mli", {"mli_pc_connectivity": ["basket_to_basket", "stellate_to_purkinje"]}),
        "io_to_mli.mli_pc_connectivity: 'basket_to_basket' leads from basket_cell to basket_cell; "
        "name rules from basket_cell, stellate_cell to purkinje_cell",
    ),
    "interneuron of no rule": (
        ("io_to_mli", {"mli_pc_connectivity": ["basket_to_purkinje"]}),
        "io_to_mli.mli_pc_connectivity: basket_to_purkinje lead not from stellate_cell",
    ),
    "climbing fibres' rule is another": (
        ("io_to_mli", {"io_pc_connectivity": ["io_to_dcn_p_plus"]}),
        "io_to_mli.io_pc_connectivity: 'io_to_dcn_p_plus' leads from io to dcn_p; name rules from io to purkinje",
    ),
    "shared cells are others": (
        ("io_to_mli", {"pre_cell_pc": "golgi_cell"}),
        "io_to_mli.io_pc_connectivity: 'io_to_purkinje_plus' leads from io to purkinje_cell; "
        "name rules from io to golgi_cell",
    ),
    "names no rule": (
        ("io_to_mli", {"io_pc_connectivity": []}),
        "io_to_mli.io_pc_connectivity: is empty; name rules from io to purkinje_cell",
    ),
    "names itself": (
        ("golgi_to_glomerulus", {"glom_post_strats": ["golgi_to_glomerulus", "glomerulus_to_ubc"]}),
        "golgi_to_glomerulus.glom_post_strats: names the rule itself",
    ),
    "Golgi target that no glomerulus reaches": (
        ("golgi_to_glomerulus", {"postsynaptic": types("granule_cell", "purkinje_cell")}),
        "golgi_to_glomerulus.glom_post_strats: glomerulus_to_granule, glomerulus_to_ubc lead not to purkinje_cell",
    ),
    "Golgi glomeruli lack those of a rule": (
        ("golgi_to_glomerulus", {"glom_cell_types": ["glomerulus"]}),
        "golgi_to_glomerulus.glom_post_strats: 'glomerulus_to_granule' leads from glomerulus, ubc_glomerulus",
    ),
    "glomerulus of no fibre": (
        ("glomerulus_to_granule", {"presynaptic": types("glomerulus", "ubc_glomerulus", "golgi_cell")}),
        "glomerulus_to_granule.pre_glom_strats: mossy_fibers_to_glomerulus, ubc_to_ubc_glomerulus "
        "lead not to golgi_cell",
    ),
    "fibre that is not the rule's": (
        ("glomerulus_to_granule", {"pre_cell_types": ["golgi_cell", "unipolar_brush_cell"]}),
        "glomerulus_to_granule.pre_glom_strats: 'mossy_fibers_to_glomerulus' leads from mossy_fibers",
    ),
    "fibre of no rule": (
        ("glomerulus_to_granule", {"pre_cell_types": ["mossy_fibers", "unipolar_brush_cell", "golgi_cell"]}),
        "glomerulus_to_granule.pre_glom_strats: mossy_fibers_to_glomerulus, ubc_to_ubc_glomerulus "
        "lead not from golgi_cell",
    ),
    "circle": (
        ("ubc_to_ubc_glomerulus", {"depends_on": ["glomerulus_to_granule"]}),
        "depends on itself, by way of the rules it names",
    ),
    "cell type twice": (
        ("glomerulus_to_golgi", {"presynaptic": types("glomerulus", "glomerulus")}),
        "glomerulus_to_golgi.presynaptic.cell_types: names glomerulus more than once",
    ),
    "no cell type": (
        ("glomerulus_to_golgi", {"postsynaptic": types()}),
        "glomerulus_to_golgi.postsynaptic.cell_types: names no cell type",
    ),
    "ratios of other glomeruli": (
        ("glomerulus_to_ubc", {"ratios_ubc": {"glomerulus": 1}}),
        "glomerulus_to_ubc.ratios_ubc: needs a ratio for each of glomerulus, ubc_glomerulus",
    ),
}


@pytest.mark.parametrize(("change", "says"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictory_references_are_refused(composed, change, says):
    name, settings = change
    with pytest.raises(ConfigurationError) as refusal:
        check(changed(composed, "connectivity", name, **settings))
    assert says in str(refusal.value)
    assert str(refusal.value).startswith("connectivity.")
    assert "\n" not in str(refusal.value)


def test_what_agrees_is_not_refused(composed):
    check(composed)
    # A rule beside those that serve does no harm, and is not said to.
    check(changed(composed, "connectivity", "golgi_to_glomerulus", postsynaptic=types("granule_cell")))
    check(changed(composed, "connectivity", "glomerulus_to_golgi", presynaptic=types("glomerulus")))


@pytest.mark.parametrize(
    ("without", "hooks_run", "says"),
    [
        (
            "mossy_fibers_to_glomerulus",
            True,
            "connectivity.glomerulus_to_granule.pre_glom_strats: mossy_fibers",
        ),
        (
            "glomerulus_to_ubc",
            True,
            "connectivity.golgi_to_glomerulus.glom_post_strats: glomerulus_to_ubc would",
        ),
        (
            "stellate_to_purkinje",
            True,
            "connectivity.io_to_mli.mli_pc_connectivity: stellate_to_purkinje would",
        ),
        ("stellate_to_purkinje io_to_mli", True, None),
        ("io_to_purkinje_plus io_to_mli", True, "after_connectivity.duplicate_conn_io_pc_plus.conn_strategy"),
        ("io_to_purkinje_plus io_to_mli", False, None),
    ],
)
def test_rules_that_are_skipped_leave_nothing_to_read(composed, without, hooks_run, says):
    if says is None:
        check(composed, tuple(without.split()), hooks_run)
        return
    with pytest.raises(ConfigurationError, match="so that there are no connections to read") as refusal:
        check(composed, tuple(without.split()), hooks_run)
    assert says in str(refusal.value)


LENGTHS = (math.nan, math.inf, -1, 0, "wide", True)
COUNTS = (math.nan, math.inf, -1, 0, 2.5)
CONTACTS = (
    math.nan,
    math.inf,
    -3,
    0,
    {"distribution": "norm", "loc": math.nan, "scale": 1},
    {"distribution": "norm", "loc": -50, "scale": 1},
)
NUMBERS = [
    *(
        (rule, "radius", LENGTHS)
        for rule in ("glomerulus_to_granule", "glomerulus_to_golgi", "glomerulus_to_ubc")
    ),
    *((rule, "radius", LENGTHS) for rule in ("golgi_to_glomerulus", "ubc_to_ubc_glomerulus")),
    *(("mossy_fibers_to_glomerulus", key, LENGTHS) for key in ("x_length", "y_length")),
    ("glomerulus_to_granule", "convergence", COUNTS),
    ("golgi_to_glomerulus", "divergence", COUNTS),
    ("basket_to_basket", "affinity", (math.nan, math.inf, -0.1, 1.1)),
    ("basket_to_basket", "contacts", CONTACTS),
    ("basket_to_basket", "voxels_pre", COUNTS),
    ("basket_to_basket", "voxels_post", COUNTS),
]


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [(name, key, value) for name, key, values in NUMBERS for value in values],
    ids=str,
)
def test_numbers_without_sense_are_refused(composed, name, key, value):
    with pytest.raises(CastError) as refusal:
        check(changed(composed, "connectivity", name, **{key: value}))
    assert f"connectivity.{name}.{key}" in str(refusal.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1])
def test_ratios_without_sense_are_refused(composed, value):
    ratios = {"glomerulus": value, "ubc_glomerulus": 1}
    with pytest.raises(CastError, match=r"ratios_ubc\.glomerulus"):
        check(changed(composed, "connectivity", "glomerulus_to_ubc", ratios_ubc=ratios))


@pytest.mark.parametrize(
    ("part", "name", "settings", "says"),
    [
        ("after_connectivity", "duplicate_conn_io_pc_plus", {"contacts": math.nan}, "not finite"),
        ("after_connectivity", "duplicate_conn_io_pc_plus", {"contacts": -1}, "no pair a contact"),
        ("after_placement", "label_microzones", {"cell_types": []}, "names no cell type"),
        ("after_placement", "label_microzones", {"cell_types": ["io", "io"]}, "names io more than once"),
    ],
)
def test_hooks_without_sense_are_refused(composed, part, name, settings, says):
    with pytest.raises(ConfigurationError, match=says) as refusal:
        check(changed(composed, part, name, **settings))
    assert f"{part}.{name}" in str(refusal.value)


def bsb(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bsb", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({"postsynaptic": types("purkinje_cell")}, (), "lead not to purkinje_cell"),
        ({"radius": math.nan}, (), "nan is no finite number in connectivity.golgi_to_glomerulus.radius"),
        ({"glom_post_strats": ["nothing"]}, (), "nothing"),
        ({}, ("--skip", "glomerulus_to_granule"), "glomerulus_to_granule would be skipped"),
        ({}, ("--only", "golgi_to_glomerulus"), "glomerulus_to_granule would be skipped"),
        ({}, ("--skip-connectivity", "--skip", "golgi_to_glomerulus"), None),
    ],
    ids=str,
)
def test_compiling_refuses_in_one_line_and_writes_nothing(tmp_path, tiny_tree, change, options, says):
    tree = changed(tiny_tree, "connectivity", "golgi_to_glomerulus", **change)
    (tmp_path / "circuit.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    done = bsb(tmp_path, "compile", "circuit.yaml", "--clear", *options)
    if says is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("bsb compile: circuit.yaml: ")
    assert says in line
    assert [file.name for file in tmp_path.iterdir()] == ["circuit.yaml"]


@pytest.fixture
def tiny(tmp_path, tiny_tree):
    """The tiny circuit's rules between glomeruli and granule cells, in Python."""

    def build(**changes) -> Scaffold:
        tree = {key: value for key, value in tiny_tree.items() if key not in ("components", "simulations")}
        kept = ("mossy_fibers_to_glomerulus", "glomerulus_to_granule", "glomerulus_to_golgi")
        tree["connectivity"] = {name: tiny_tree["connectivity"][name] for name in kept}
        for name, settings in changes.items():
            tree = changed(tree, "connectivity", name, **settings)
        tree["storage"] = {"engine": "hdf5", "root": str(tmp_path / "circuit.hdf5")}
        return Scaffold(Configuration(**copy.deepcopy(tree)))

    return build


def test_python_is_told_too(tiny):
    with pytest.raises(BootError, match=r"pre_glom_strats: .* lead not from golgi_cell"):
        tiny(glomerulus_to_granule={"pre_cell_types": ["mossy_fibers", "golgi_cell"]})


def test_a_rule_that_finds_nothing_is_named(tiny, tmp_path):
    scaffold = tiny(glomerulus_to_golgi={"radius": 1e-6})
    with pytest.warns(ConnectivityWarning) as told:
        scaffold.compile(clear=True)
    assert [str(warning.message) for warning in told if warning.category is ConnectivityWarning] == [
        "glomerulus_to_golgi connected no cell of glomerulus to any of golgi_cell"
    ]
    assert "glomerulus_to_golgi" not in CircuitFile(tmp_path / "circuit.hdf5").connections
