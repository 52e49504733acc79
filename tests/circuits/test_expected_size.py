"""Expected cells and connections, beside those of compiled circuits; and what of any configuration they understand."""

import contextlib
import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from circuit_file import CircuitFile
from expected_connections import SCATTER, missed

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.circuits.counting.nodes import Node, Uncounted
from cerebellar_models.circuits.counting.projections import Counted
from cerebellar_models.circuits.counting.rules import COUNTERS, MORE_CONTACTS, count_rule
from cerebellar_models.circuits.counting.size import circuit_size

MOUSE = load_species("mouse")
# Of what a tiny circuit holds, beside the scatter of small numbers.
TOLERANCE = 0.25


def tree(**choices) -> dict:
    return compose(MOUSE, choose(MOUSE, **choices), morphology_manifest())


@pytest.fixture(scope="module")
def small_with_parts(tmp_path_factory) -> tuple[dict, CircuitFile]:
    """Every part, in two microzones."""
    folder = tmp_path_factory.mktemp("parts")
    whole = tree(size=(200, 80), parts=["io", "ubc"], microzones=["plus", "minus"])
    (folder / "circuit.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    command = [sys.executable, "-m", "bsb", "compile", "circuit.yaml", "-v1", "--clear"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return whole, CircuitFile(folder / "cerebellum.hdf5")


def test_connections_of_the_tiny_circuit(tiny_circuit, tiny_tree):
    size = circuit_size(tiny_tree)
    assert set(size.projections) == set(tiny_circuit.connections)
    assert missed(size, tiny_circuit, TOLERANCE) == {}
    assert size.unknown == ()


def test_connections_of_every_part_and_zone(small_with_parts):
    whole, circuit = small_with_parts
    size = circuit_size(whole)
    assert set(circuit.connections) <= set(size.projections)
    assert missed(size, circuit, TOLERANCE) == {}
    assert size.unknown == ()
    nothing = {
        name: size.projections[name].pairs for name in set(size.projections) - set(circuit.connections)
    }
    assert all(pairs < SCATTER for pairs in nothing.values()), nothing


def test_totals_of_the_canonical_circuit():
    """Compiled once, seed 1234: 69 Golgi cells, and these connections."""
    size = circuit_size(tree(preset="canonical"))
    assert size.total_pairs == pytest.approx(723_430, rel=0.05)
    assert size.total_contacts == pytest.approx(1_442_264, rel=0.15)
    published = {
        "glomerulus_to_granule": 121_680,
        "parallel_fiber_to_purkinje": 105_832,
        "parallel_fiber_to_stellate": 156_051,
        "basket_to_purkinje": 804,
        "ascending_axon_to_golgi": 20_386,
        "golgi_to_golgi": 1_018,
    }
    for name, pairs in published.items():
        assert size.projections[name].pairs == pytest.approx(pairs, rel=0.15), name


def test_doubled_extent_has_more_than_four_times_the_connections():
    """Parallel fibres are cut by the slab, so that a wider one has more of each: what densities alone miss."""
    small, large = (circuit_size(tree(size=size)) for size in ((300, 200), (600, 400)))
    pairs = {
        name: large.projections[name].pairs / small.projections[name].pairs for name in small.projections
    }
    assert pairs["glomerulus_to_granule"] == pytest.approx(4, rel=0.01)
    assert pairs["parallel_fiber_to_purkinje"] == pytest.approx(934_972 / 105_832, rel=0.05)
    assert pairs["golgi_to_golgi"] == pytest.approx(6_827 / 1_018, rel=0.1)


def test_a_cell_contacts_itself_where_the_rule_says_so():
    without, with_itself = (
        circuit_size(tree(preset="tiny", self_connections=given)).projections for given in (False, True)
    )
    assert with_itself["golgi_to_golgi"].pairs > without["golgi_to_golgi"].pairs + 1
    assert with_itself["parallel_fiber_to_golgi"] == without["parallel_fiber_to_golgi"]


@pytest.mark.parametrize(
    ("block", "name", "change", "says"),
    [
        ("connectivity", "gap_goc", {"strategy": "my.own.Rule"}, "gap_goc: rule my.own.Rule is not known"),
        ("connectivity", "gap_goc", {"strategy": None}, "gap_goc: rule None is not known"),
        ("connectivity", "glomerulus_to_golgi", {"radius": "far"}, "glomerulus_to_golgi: not understood"),
        (
            "connectivity",
            "gap_goc",
            {"contacts": {"distribution": "unheard_of"}},
            "gap_goc: distribution unheard_of is not known",
        ),
        ("cell_types", "golgi_cell", {"spatial": {"radius": 8}}, "golgi_cell: golgi_cell has no count"),
        (
            "partitions",
            "granular_layer",
            {"type": "nrrd"},
            "golgi_cell lies in granular_layer, which is no layer",
        ),
        (
            "placement",
            "basket_layer_placement",
            {"distribute": {"rotations": {"strategy": "random"}}},
            "basket_to_basket: basket_cell is rotated",
        ),
        (
            "placement",
            "basket_layer_placement",
            {"cell_types": []},
            "basket_cell: basket_cell has 0 placements",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_known_is_named_and_the_rest_counted(block, name, change, says):
    changed = copy.deepcopy(tree(preset="tiny"))
    changed[block][name].update(change)
    size = circuit_size(changed)
    assert any(says in reason for reason in size.unknown), size.unknown
    assert "parallel_fiber_to_stellate" in size.projections or block == "partitions"


@pytest.mark.parametrize("component", COUNTERS, ids=lambda component: component.short)
def test_a_rule_is_known_by_each_of_its_names_and_no_other(component):
    package, name = component.path.partition(".")[0], component.path.rpartition(".")[2]
    for known in (
        component.short,
        component.path,
        f"{package}.{name}",
        f"{package}.an.earlier.module.{name}",
    ):
        assert [each for each in COUNTERS if each.is_meant_by(known)] == [component]
    for other in (f"of.others.{name}", name, f"{component.path}s", f"{package}.{component.short}", "", None):
        assert not any(each.is_meant_by(other) for each in COUNTERS)


def test_contacts_are_multiplied_whichever_way_the_hook_is_named():
    whole = tree(preset="tiny", parts=["io"])
    (name,) = whole["after_connectivity"]
    hook = whole["after_connectivity"][name]
    assert MORE_CONTACTS.is_meant_by(hook["strategy"])
    short = {**whole, "after_connectivity": {name: {**hook, "strategy": MORE_CONTACTS.short}}}
    assert circuit_size(short) == circuit_size(whole) != circuit_size({**whole, "after_connectivity": {}})


def test_rules_that_rest_on_an_unknown_one_are_unknown_too():
    changed = copy.deepcopy(tree(preset="tiny"))
    changed["connectivity"]["glomerulus_to_granule"]["strategy"] = "my.own.Rule"
    size = circuit_size(changed)
    assert any(reason.startswith("golgi_to_glomerulus: glomerulus_to_granule, on") for reason in size.unknown)
    assert "golgi_to_glomerulus" not in size.projections


def test_a_morphology_that_is_not_here_is_named():
    changed = copy.deepcopy(tree(preset="tiny"))
    changed["morphologies"] = [
        {**entry, "file": f"missing/{entry['name']}.swc"} for entry in changed["morphologies"]
    ]
    size = circuit_size(changed)
    assert any("missing/BasketCell.swc: No such file" in reason for reason in size.unknown)
    assert set(size.cells) == set(changed["cell_types"])


def _paths(node: dict, above: tuple = ()):
    for key, value in node.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))


def test_no_missing_key_makes_it_fail():
    """A configuration BSB reads may lack what ours have: any key, one at a time."""
    whole = tree(preset="tiny", parts=["ubc"])
    blocks = ("network", "regions", "partitions", "cell_types", "placement")
    paths = [path for path in _paths(whole) if path[0] in blocks]
    for path in paths:
        lacking = {**whole, "connectivity": {}}
        lacking[path[0]] = copy.deepcopy(whole[path[0]])
        node = lacking
        for key in path[:-1]:
            node = node[key]
        del node[path[-1]]
        circuit_size(lacking)
    for rule in whole["connectivity"].values():
        for key in rule:
            circuit_size({**whole, "connectivity": {"rule": {k: v for k, v in rule.items() if k != key}}})
    assert len(paths) > 50


ODD = ("far", 0, -1, 1e300, float("inf"), None, [], {}, [None], {"a": None})


def test_no_value_of_a_population_makes_it_fail():
    """Nor what BSB refuses, or understands in a way of its own: any value, one at a time."""
    whole = tree(preset="tiny", parts=["ubc"])
    blocks = ("network", "regions", "partitions", "cell_types", "placement")
    for path in [path for path in _paths(whole) if path[0] in blocks]:
        for odd in ODD:
            circuit_size(_with(odd, {**whole, "connectivity": {}}, path))


def test_no_value_of_a_rule_makes_it_fail():
    """One rule of each kind, those that it rests on as they should be."""
    whole = tree(preset="tiny", parts=["io", "ubc"])
    rules, counted = whole["connectivity"], {}
    known = Counted(Node(whole), counted)
    for _ in rules:
        for name in rules.keys() - counted:
            with contextlib.suppress(Uncounted):  # another is to be counted first
                counted[name] = count_rule(name, Node(rules[name]), known)
    of_each_kind = {rule["strategy"]: (name, rule) for name, rule in reversed(rules.items())}
    for name, rule in of_each_kind.values():
        for path in _paths(rule):
            for odd in ODD:
                with contextlib.suppress(Uncounted):
                    count_rule(name, Node(_with(odd, rule, path)), known)
    assert len(of_each_kind) >= 9


def _with(value, node: dict, path: tuple) -> dict:
    """The tree with another value at a path."""
    first, *rest = path
    return {**node, first: _with(value, node[first], tuple(rest)) if rest else value}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("radius", "not understood (connectivity.glomerulus_to_golgi.radius: is missing)"),
        ("presynaptic", "not understood (connectivity.glomerulus_to_golgi.presynaptic: is missing)"),
    ],
)
def test_a_key_that_is_missing_is_named(key, reason):
    whole = tree(preset="tiny")
    del whole["connectivity"]["glomerulus_to_golgi"][key]
    only = {"glomerulus_to_golgi": whole["connectivity"]["glomerulus_to_golgi"]}
    assert circuit_size({**whole, "connectivity": only}).unknown == (f"glomerulus_to_golgi: {reason}",)


def test_a_mistake_of_a_counter_is_not_told_as_one_of_the_configuration(monkeypatch):
    def mistaken(rule, known):
        return {}[rule.path]

    (component,) = (each for each in COUNTERS if each.short == "glom_golgi")
    monkeypatch.setitem(COUNTERS, component, mistaken)
    whole = tree(size=(301, 199))  # of which no other test has a count
    with pytest.raises(KeyError, match=r"connectivity\.glomerulus_to_golgi"):
        circuit_size(whole)


@pytest.mark.parametrize(
    "nothing", [{}, {"network": None}, {"connectivity": []}, {"cell_types": {"a": None}}], ids=str
)
def test_an_empty_configuration_has_nothing(nothing):
    size = circuit_size(nothing)
    assert (size.total_cells, size.total_pairs, size.total_contacts) == (0, 0, 0)


@pytest.mark.parametrize("rule", [3, None, "gap_goc", ["gap_goc"]], ids=str)
def test_a_projection_that_is_no_mapping_is_named(rule):
    whole = tree(preset="tiny")
    size = circuit_size({**whole, "connectivity": {"a": rule, **whole["connectivity"]}})
    assert [reason.partition(":")[0] for reason in size.unknown] == ["a"]
    assert set(size.projections) == set(whole["connectivity"])


def test_published_configurations_are_counted():
    """Older class paths and stock rules; their morphology files are not here, which is said."""
    folder = Path(__file__).parents[1] / "compatibility"
    size = circuit_size(yaml.safe_load((folder / "cortex.yaml").read_text()))
    assert "glomerulus_to_granule" in size.projections
    assert all("morphology" in reason for reason in size.unknown), size.unknown
