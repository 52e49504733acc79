"""What each stage leaves in a run folder, how it gets its final name, and whether what lies there is whole.

`standing` is asked by all who need to know whether something is done: by a task before and after its work, by `run`,
`jobs status`, `submit` and `resume`, and by the report of what it is made from.
"""

import functools
import glob
import itertools
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cerebellar_models.analysis.digests import FORMAT as DIGEST_FORMAT
from cerebellar_models.analysis.read import find_recordings, read_activity, read_configuration
from cerebellar_models.analysis.read_digests import read_digests
from cerebellar_models.circuits.catalogue import yaml_tree
from cerebellar_models.circuits.compose import CIRCUIT_FILE
from cerebellar_models.circuits.devices import leaves_recording
from cerebellar_models.circuits.threads import threads_of
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.files import read_text
from cerebellar_models.runs.completion import digest, misfit, prove, read_mark, write_mark
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.tree import Tree

FINISHED = "finished"
"""file in a task's scratch folder by which BSB's command says that it has reached its end"""

_CIRCUIT_MARK = "cerebellum.complete.json"
_REPORT_MARK = "report.complete.json"
_RESULTS_MARK = "complete.json"


@dataclass(frozen=True)
class Product:
    """Files that are whole together."""

    base: Path
    mark: Path
    made_from: dict[str, str]
    """what it has to be made from to belong to this run"""
    names: tuple[str, ...] = ()
    """of its files in ``base``; none: it is that folder, with all recordings in it"""
    threads: int | None = None
    """with which it has to be made; None: any will do"""
    configured_threads: int | None = None
    """with which it was made where its mark does not say"""

    @property
    def path(self) -> Path:
        """Where people look for it."""
        return self.base / self.names[0] if self.names else self.base

    def files(self) -> set[str]:
        """Names of its files that are there."""
        if self.names:
            return {name for name in self.names if (self.base / name).exists()}
        return {path.name for path in self.base.glob("*.nio") if not path.name.startswith(".")}


@dataclass(frozen=True)
class Standing:
    """Whole, absent (neither whole nor faulty), faulty, or whole in itself and not what is asked for."""

    whole: bool
    fault: str = ""
    """what is wrong with what is there, and what to do about it"""
    other: str = ""
    """why what is there is to be made again; it is kept until then"""


class Products:
    """The products of one run; what they are made from is read once."""

    def __init__(self, folder: RunFolder):
        self._folder = folder

    @cached_property
    def circuit(self) -> Product:
        path, configuration = self._folder.path, self._folder.configuration
        made_from = {configuration.name: digest(_tree(configuration)) if configuration.exists() else ""}
        return Product(path, path / _CIRCUIT_MARK, made_from, (CIRCUIT_FILE,))

    def results(self, name: str, simulation: str | None = None, threads: int | None = None) -> Product:
        """:param simulation: the one it has to be of, where that is known.
        :param threads: those it has to be simulated with, where that matters.
        """
        base = self._folder.results / name
        of_simulation = {"simulation": simulation} if simulation else {}
        configured = self._configured_threads(simulation) if simulation and threads else None
        made_from = self._of_circuit | of_simulation
        return Product(base, base / _RESULTS_MARK, made_from, threads=threads, configured_threads=configured)

    def _configured_threads(self, simulation: str) -> int:
        simulations = _tree(self._folder.configuration).get("simulations") or {}
        return threads_of({name: each for name, each in simulations.items() if name == simulation})

    @property
    def report(self) -> Product:
        made_from = self._of_circuit | {
            f"results/{name}": checksum_of(self.results(name)) for name in self.activities()
        }
        path, names = self._folder.path, ("report.html", "report.json")
        return Product(path, path / _REPORT_MARK, made_from, names)

    @property
    def _of_circuit(self) -> dict[str, str]:
        return {CIRCUIT_FILE: checksum_of(self.circuit)}

    def activities(self) -> list[str]:
        """Names of the folders of recordings in ``results``."""
        return list(find_recordings(self._folder.results)[0])


def _tree(configuration: Path) -> Tree:
    try:
        text = read_text(configuration)
    except OSError as error:
        raise UserError(f"{configuration}: {error.strerror}") from error
    return _parsed(text, configuration)


_parsed = functools.cache(yaml_tree)  # one process asks for the same again, and parsing takes a while


def checksum_of(product: Product) -> str:
    """Of what its mark says; empty if it has none."""
    try:
        mark = read_mark(product.mark)
    except RunError:
        return ""
    return mark.checksum if mark else ""


def kept_digests(circuit: Product) -> dict[str, Any]:
    """What identifies a whole circuit and its simulations, as its mark says; empty if that is of an earlier version."""
    try:
        mark = read_mark(circuit.mark)
    except RunError:
        return {}
    return mark.digests if mark and mark.digests.get("format") == DIGEST_FORMAT else {}


def kept_threads(results: Product) -> int | None:
    """Of each rank that simulated, as their mark says; None where that is not known."""
    try:
        mark = read_mark(results.mark)
    except RunError:
        return None
    return mark.threads if mark else None


def standing(product: Product, thorough: bool = False) -> Standing:
    """Whether a product is whole.

    :param thorough: every byte is compared with the mark; otherwise sizes and times.
    """
    try:
        mark = read_mark(product.mark)
    except RunError as error:
        return _faulty(product, str(error))
    there = product.files()
    if not there and (product.names or not product.base.exists() or not any(product.base.iterdir())):
        return Standing(False)
    if mark is None:
        return _faulty(product, f"nothing proves that it is whole (there is no {product.mark.name})")
    if strangers := sorted(there - set(mark.files)):
        return _faulty(product, f"{', '.join(strangers)} in it is not of this run's making", "that")
    if fault := misfit(mark, product.mark, product.base, thorough):
        return _faulty(product, fault)
    for name, checksum in product.made_from.items():
        if mark.made_from.get(name) != checksum:
            return _faulty(product, f"it was made from another {name} than that of this run")
    threads = mark.threads or product.configured_threads
    if product.threads not in (None, threads):
        return Standing(False, other=f"its results are of {threads} threads, not {product.threads}")
    return Standing(True)


def _faulty(product: Product, what: str, which: str = "it") -> Standing:
    return Standing(False, f"{product.path}: {what}; move {which} elsewhere, then go on")


def stored_simulation(folder: RunFolder, name: str) -> Tree:
    """Simulation ``name`` as the compiled circuit holds it.

    :raises RunError: the circuit is not whole, or has no such simulation.
    """
    try:
        simulation: Tree = read_configuration(folder.circuit)["simulations"][name]
        return simulation
    except KeyError:
        raise RunError(f"{folder.circuit}: has no simulation '{name}'") from None


def keep_circuit(folder: RunFolder, scratch: Path) -> None:
    """Moves the circuit that was compiled in ``scratch`` to its place, with its mark.

    :raises RunError: the compilation did not reach its end, or left no circuit or half a one.
    """
    compiled, log = scratch / CIRCUIT_FILE, folder.logs / "compile.log"
    if not compiled.exists():
        raise RunError(f"the compilation left no {CIRCUIT_FILE} (see {log})")
    read_configuration(compiled)
    _require_end(scratch, "compilation", log)
    product = Products(folder).circuit
    # The mark first: without the file it says nothing, and the file is never without it.
    proof = prove(scratch, product.names, product.made_from)
    write_mark(product.mark, replace(proof, digests=read_digests(compiled).record()))
    compiled.replace(folder.circuit)


def keep_results(
    folder: RunFolder, scratch: Path, simulation: str, name: str, log: Path, threads: int | None = None
) -> None:
    """Moves the recordings of a simulation from ``scratch/results`` to ``results/<name>``, with their mark.

    Those of other threads that are there give way to them. BSB ends well even if it could not write a recording.
    Recordings that do not pass are kept under a hidden name beside the others, for whoever wants to know why.

    :raises RunError: the simulation did not reach its end, its files cannot be read, or a recorder left nothing.
    """
    recorded = scratch / "results"
    files = sorted(recorded.glob("*.nio"))
    try:
        _require_end(scratch, "simulation", log)
        _require_recordings(folder, files, simulation, log)
    except RunError as error:
        if not files:
            raise
        raise RunError(f"{error}; what it left is in {_set_aside(folder, recorded, name)}") from error
    product = Products(folder).results(name, simulation)
    proof = prove(recorded, [path.name for path in files], product.made_from)
    write_mark(recorded / product.mark.name, replace(proof, threads=threads))
    folder.results.mkdir(exist_ok=True)
    before = _aside(folder, "replaced", name)
    if standing(product).whole:
        product.base.rename(before)
    try:
        recorded.rename(product.base)
    except OSError:
        put_back_replaced(folder, name)
        raise
    emptied(before, create=False)


def put_back_replaced(folder: RunFolder, name: str) -> None:
    """Gives results their name again that were to give way to others which have not come."""
    replaced = sorted(folder.results.glob(f".replaced-{glob.escape(name)}-*"))
    if replaced and not (folder.results / name).exists():
        replaced[-1].rename(folder.results / name)


def _require_end(scratch: Path, what: str, log: Path) -> None:
    if not (scratch / FINISHED).exists():
        raise RunError(f"the {what} did not reach its end (see {log})")


def _require_recordings(folder: RunFolder, files: list[Path], simulation: str, log: Path) -> None:
    devices = stored_simulation(folder, simulation)["devices"]
    wanted = {key for key, device in devices.items() if leaves_recording(device)}
    found = set()
    if files:
        activity = read_activity(files)
        found = {each.recorder for each in activity.recordings} | {each.recorder for each in activity.traces}
    if not files or wanted - found:
        missing = ", ".join(sorted(wanted - found)) or "any device"
        raise RunError(f"the simulation left no recording of {missing} (see {log})")


def _set_aside(folder: RunFolder, recorded: Path, name: str) -> Path:
    folder.results.mkdir(exist_ok=True)
    place = _aside(folder, "rejected", name)
    recorded.rename(place)
    return place


def _aside(folder: RunFolder, why: str, name: str) -> Path:
    """A hidden place beside the results, where nothing is yet."""
    places = (folder.results / f".{why}-{name}-{number}" for number in itertools.count(1))
    return next(path for path in places if not path.exists())


def mark_report(folder: RunFolder) -> None:
    """Written after the report: of which circuit and results it tells."""
    product = Products(folder).report
    write_mark(product.mark, prove(product.base, product.names, product.made_from))


def emptied(folder: Path, create: bool = True) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    if create:
        folder.mkdir()
    return folder
