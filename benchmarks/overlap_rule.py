"""Our morphology rule against stock ``bsb.connectivity.VoxelIntersection``, on the same placement, in one run.

    python benchmarks/overlap_rule.py [--size X Y] [--json FILE]

Places a part of the canonical circuit (full height, published densities; one column of chunks, 100 x 100 of
300 x 200 µm, by default, where stock takes minutes and the whole volume would take it hours) and runs each morphology
rule with its published affinity and contacts, stock and ours. Times are those of BSB's whole connectivity step,
storage included, with the kernels compiled before. The number of candidate pairs grows with the square of the area,
so the ratio grows with it.
"""

import argparse
import copy
import json
import os
import tempfile
import time
from pathlib import Path

from bsb import Configuration, Scaffold, options

from cerebellar_models.bsb_plugin import commands as bsb_commands
from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import choose
from cerebellar_models.circuits.compose import compose

OURS = "cerebellar_models.connectome.voxel_overlap.VoxelOverlap"
STOCK = "bsb.connectivity.VoxelIntersection"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, nargs=2, default=(100.0, 100.0), metavar=("X", "Y"), help="µm")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    output = arguments.json and arguments.json.resolve()
    bsb_commands.enter_compile_mode()
    options.quiet = True
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        network, rules = place(tuple(arguments.size))
        print(
            "| rule | stock (s) | ours (s) | ratio | contacts stock | contacts ours |\n|---|---|---|---|---|---|"
        )
        rows = [measure(network, rule) for rule in rules]
        os.chdir("/")
    stock, ours = (sum(row[key] for row in rows) for key in ("stock_s", "ours_s"))
    print(f"\nall rules: stock {stock:.1f} s, ours {ours:.2f} s, {stock / ours:.0f} times faster")
    if output:
        output.write_text(
            json.dumps({"size_um": arguments.size, "rules": rows, "ratio": stock / ours}, indent=2) + "\n",
            encoding="utf-8",
        )


def place(size: tuple[float, float]) -> tuple[Scaffold, list[str]]:
    """A placed circuit with each morphology rule in it twice, and the rules' names."""
    species = load_species("mouse")
    tree = compose(species, choose(species, size=size, self_connections=True), morphology_manifest())
    tree["simulations"] = {}
    rules = {name: rule for name, rule in tree["connectivity"].items() if rule["strategy"] == OURS}
    tree["connectivity"] = {f"ours {name}": rule for name, rule in rules.items()}
    for name, rule in rules.items():
        stock = {key: copy.deepcopy(value) for key, value in rule.items() if key != "self_connections"}
        tree["connectivity"][f"stock {name}"] = stock | {"strategy": STOCK}
    network = Scaffold(Configuration(tree))
    network.run_pipelines()
    network.run_placement(pipelines=False)
    return network, list(rules)


def measure(network: Scaffold, rule: str) -> dict:
    """Seconds and contacts of one rule, stock and ours."""
    connect(network, f"ours {rule}")  # compiles the kernels
    network.get_connectivity_set(f"ours {rule}").clear()
    stock, stock_contacts = connect(network, f"stock {rule}")
    ours, our_contacts = connect(network, f"ours {rule}")
    print(
        f"| {rule} | {stock:.2f} | {ours:.3f} | {stock / ours:.0f} | {stock_contacts} | {our_contacts} |",
        flush=True,
    )
    return {"rule": rule, "stock_s": stock, "ours_s": ours, "contacts": [stock_contacts, our_contacts]}


def connect(network: Scaffold, name: str) -> tuple[float, int]:
    start = time.perf_counter()
    network.run_connectivity([network.connectivity[name]], pipelines=False)
    return time.perf_counter() - start, len(network.get_connectivity_set(name))


if __name__ == "__main__":
    main()
