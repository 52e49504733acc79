"""The morphology rule against stock ``bsb.connectivity.VoxelIntersection``, on the same cells."""

import copy

import numpy as np
import pytest
from bsb import Configuration, Scaffold

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest

OURS = "cerebellar_models.connectome.voxel_overlap.VoxelOverlap"
STOCK = "bsb.connectivity.VoxelIntersection"
MORPHOLOGY_RULES = {
    name: rule
    for name, rule in load_species("mouse").circuit["connectivity"].items()
    if rule["strategy"] == OURS
}
CELLS = {"granule_cell": (18, 0, 130), "golgi_cell": (7, 0, 130), "purkinje_cell": (6, 130, 145)} | {
    "basket_cell": (8, 145, 195),
    "stellate_cell": (9, 195, 295),
}


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Builds a network of fixed cells with the rules given, connected."""
    monkeypatch.chdir(tmp_path)

    def build(rules: dict, seed: int = 1, tilted: bool = False, cells: dict | None = None) -> Scaffold:
        rng = np.random.default_rng(seed)
        species = load_species("mouse").circuit
        counts = cells or CELLS
        used = {
            name
            for rule in rules.values()
            for side in ("presynaptic", "postsynaptic")
            for name in rule[side]["cell_types"]
        }
        places = {
            name: rng.uniform((0, 0, low), (200, 200, high), (count, 3)).tolist()
            for name, (count, low, high) in counts.items()
            if name in used
        }
        placement = {
            name: {
                "strategy": "bsb.placement.FixedPositions",
                "cell_types": [name],
                "partitions": ["block"],
                "positions": positions,
            }
            | ({"distribute": {"rotations": {"strategy": "random"}}} if tilted else {})
            for name, positions in places.items()
        }
        scaffold = Scaffold(
            Configuration(
                storage={"engine": "hdf5", "root": f"{seed}.hdf5"},
                rng={"seed": seed},
                network={"x": 200, "y": 200, "z": 295, "chunk_size": [100, 100, 100]},
                partitions={"block": {"type": "layer", "thickness": 295}},
                regions={"all": {"type": "group", "children": ["block"]}},
                morphologies=[copy.deepcopy(entry["bsb"]) for entry in morphology_manifest().values()],
                cell_types={name: copy.deepcopy(species["cell_types"][name]) for name in places},
                placement=placement,
                connectivity=rules,
            )
        )
        scaffold.run_placement()
        scaffold.run_connectivity(pipelines=False)
        return scaffold

    return build


def both(name: str, **changes) -> dict:
    """The rule twice: stock, and ours with the published behaviour."""
    rule = copy.deepcopy(MORPHOLOGY_RULES[name]) | {"affinity": 1, "contacts": 1} | changes
    return {
        "stock": rule | {"strategy": STOCK},
        "ours": copy.deepcopy(rule) | {"strategy": OURS, "self_connections": True},
    }


def contacts(scaffold: Scaffold, name: str) -> tuple[np.ndarray, np.ndarray]:
    return scaffold.get_connectivity_set(name).load_connections().as_globals().all()


def pairs(scaffold: Scaffold, name: str) -> set:
    before, after = contacts(scaffold, name)
    return set(zip(before[:, 0].tolist(), after[:, 0].tolist(), strict=True))


@pytest.mark.parametrize("name", MORPHOLOGY_RULES)
def test_same_pairs_as_stock(network, name):
    scaffold = network(both(name))
    assert pairs(scaffold, "ours") == pairs(scaffold, "stock")
    assert pairs(scaffold, "stock")


@pytest.mark.parametrize(
    "changes", [{"favor_cache": "post"}, {"voxels_pre": 50, "voxels_post": 120}], ids=str
)
def test_same_pairs_as_stock_with_other_settings(network, changes):
    scaffold = network(both("stellate_to_purkinje", **changes))
    assert pairs(scaffold, "ours") == pairs(scaffold, "stock")


def test_same_pairs_as_stock_where_cells_are_rotated(network):
    scaffold = network(both("golgi_to_golgi"), tilted=True)
    angles = np.asarray(scaffold.get_placement_set("golgi_cell").load_rotations())
    assert np.any(angles)
    assert pairs(scaffold, "ours") == pairs(scaffold, "stock")


def test_contacts_lie_where_stock_puts_them(network):
    """Many contacts per pair: each point's share of the contacts agrees with stock within sampling error."""
    many = 3000
    scaffold = network(
        both("stellate_to_purkinje", contacts=many),
        cells={"stellate_cell": (3, 195, 200), "purkinje_cell": (2, 130, 145)},
    )
    assert pairs(scaffold, "ours") == pairs(scaffold, "stock")
    for side in (0, 1):
        ours, stock = contacts(scaffold, "ours")[side], contacts(scaffold, "stock")[side]
        assert len(ours) == len(stock)
        branches = np.unique(np.concatenate((ours[:, :2], stock[:, :2])), axis=0, return_inverse=True)[
            1
        ].ravel()
        counts = [np.bincount(part, minlength=branches.max() + 1) for part in np.split(branches, [len(ours)])]
        chi_squared = np.sum((counts[0] - counts[1]) ** 2 / (counts[0] + counts[1]))
        freedom = len(counts[0]) - 1
        assert chi_squared < freedom + 4 * np.sqrt(2 * freedom)


def test_counts_agree_with_stock_under_affinity_and_contacts(network):
    """Summed over seeds, connected pairs and contacts per pair agree within sampling error."""
    changes = {"affinity": 0.4, "contacts": {"distribution": "norm", "loc": 20, "scale": 2}}
    totals = {"ours": [], "stock": []}
    for seed in range(1, 6):
        scaffold = network(
            both("basket_to_basket", **changes), seed=seed, cells={"basket_cell": (14, 145, 195)}
        )
        for kind, numbers in totals.items():
            numbers.append((len(pairs(scaffold, kind)), len(contacts(scaffold, kind)[0])))
    ours, stock = np.sum(totals["ours"], axis=0), np.sum(totals["stock"], axis=0)
    assert abs(ours[0] - stock[0]) < 4 * np.sqrt(ours[0] + stock[0])
    assert ours[1] / ours[0] == pytest.approx(stock[1] / stock[0], rel=0.03)


def test_no_cell_contacts_itself_unless_asked(network):
    rules = both("golgi_to_golgi")
    rules["default"] = {**copy.deepcopy(rules["ours"]), "self_connections": False}
    scaffold = network(rules)
    published, default = pairs(scaffold, "ours"), pairs(scaffold, "default")
    own = {pair for pair in published if pair[0] == pair[1]}
    assert own
    assert default == published - own


def test_contacts_differ_between_chunk_pairs(network):
    """Stock repeats the same contact draws in every chunk pair; ours are keyed on the chunks."""
    rules = both("basket_to_basket", contacts={"distribution": "norm", "loc": 200, "scale": 30})
    scaffold = network(rules, cells={"basket_cell": (16, 145, 195)})
    before, after = contacts(scaffold, "ours")
    per_pair = np.unique(np.column_stack((before[:, 0], after[:, 0])), axis=0, return_counts=True)[1]
    assert len(np.unique(per_pair)) > 0.3 * len(per_pair)
