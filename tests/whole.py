"""Products with their marks, as finished stages leave them; what is in them is made up."""

from pathlib import Path

from cerebellar_models.runs.completion import prove, write_mark
from cerebellar_models.runs.products import Product, Products
from cerebellar_models.runs.run_folder import RunFolder


def mark(product: Product) -> None:
    """As of now, the product is whole."""
    write_mark(product.mark, prove(product.base, product.files(), product.made_from))


def make_circuit(run: Path, content: bytes = b"cells") -> None:
    folder = RunFolder(run)
    if not folder.configuration.exists():
        folder.configuration.write_text("name: made up\n", encoding="utf-8")
    folder.circuit.write_bytes(content)
    mark(Products(folder).circuit)


def make_results(run: Path, name: str, simulation: str, content: bytes = b"spikes") -> None:
    folder = RunFolder(run)
    (folder.results / name).mkdir(parents=True)
    (folder.results / name / "a.nio").write_bytes(content)
    mark(Products(folder).results(name, simulation))


def make_report(run: Path) -> None:
    product = Products(RunFolder(run)).report
    for name in product.names:
        (run / name).write_text(name, encoding="utf-8")
    mark(product)
