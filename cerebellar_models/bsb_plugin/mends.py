"""What is mended in other packages: one table, in which each row says of which versions, why, and when it is applied.

A mend is applied once in a process, at the moment its row names and not before, and only to the versions of which its
fault is known: of another version one line says that it was left out. tests/bsb_plugin/test_mends.py has a test for
each row that fails once the package no longer has the fault.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from bsb import warn
from packaging.specifiers import SpecifierSet

from cerebellar_models.bsb_plugin import bsb_mends, contact_storage, nest_mends, nest_network, pins

Moment = Literal["loading", "compiling", "NEST is asked for"]
"""``loading``: whenever BSB loads this package's components. The others say that a command has got so far."""


@dataclass(frozen=True)
class Mend:
    """A fault of another package, and what is done about it."""

    package: str
    """name of the distribution"""
    versions: str
    """that have the fault, as far as is known"""
    fault: str
    """and how to see it"""
    others: str
    """what it changes where no configuration of ours is involved"""
    moment: Moment
    apply: Callable[[], None]


MENDS = (
    Mend(
        "bsb-core",
        "~=8.0.2",
        "warns of each pin under `packages` that is not met, each time the file is read",
        "nothing: only pins of the published cerebellar-models are told in one notice",
        "loading",
        pins.tell_once,
    ),
    Mend(
        "bsb-core",
        "~=8.0.2",
        "reads simulations to compile a circuit, for which it starts the simulators: `bsb compile` of any file with a "
        "simulation of NEST loads libnest, and ends under mpirun where NEST has no MPI",
        "`bsb compile` stores simulations word for word; a mistake in one is found when it is simulated",
        "compiling",
        bsb_mends.leave_simulators_unloaded,
    ),
    Mend(
        "bsb-nest",
        "~=8.0.2",
        "its seeds for the block `rng` come with the whole of NEST: `import bsb_nest.rng` imports nest",
        "nothing but that",
        "compiling",
        bsb_mends.load_nest_seeds_alone,
    ),
    Mend(
        "bsb-hdf5",
        "~=8.0",
        "appends contacts by eight reads and writes, and writes the counts of all chunks anew for each pair of chunks",
        "circuits are written faster, alike",
        "compiling",
        contact_storage.append_and_count_once,
    ),
    Mend(
        "bsb-core",
        "~=8.0.2",
        "simulates past the end where the steps of its progress do not divide the duration, and loses the recordings",
        "simulations end when they should",
        "NEST is asked for",
        nest_mends.end_steps_with_simulation,
    ),
    Mend(
        "bsb-nest",
        "~=8.0.2",
        "reads `threads` and leaves NEST on one; what NEST refuses comes as a traceback, after results are begun",
        "a network of others, too, gets the threads it asks for, and one line where NEST would refuse it",
        "NEST is asked for",
        nest_mends.check_first_and_honour_threads,
    ),
    Mend(
        "bsb-nest",
        "~=8.0.2",
        "asks an error of NEST 3.10 for `errorname`, which it does not have, when a module does not load",
        "the line that says which module, and why",
        "NEST is asked for",
        nest_mends.name_modules_that_do_not_load,
    ),
    Mend(
        "nest-simulator",
        "~=3.10",
        "answers for a NodeCollection of one node with a bare truth value: nodes[nodes.local] then is a position",
        "a population of one cell can be recorded",
        "NEST is asked for",
        nest_mends.record_single_cells,
    ),
    Mend(
        "bsb-nest",
        "~=8.0.2",
        "has every rank read and hold all contacts of a projection, as lists, to connect its own share of them",
        "networks are connected faster, alike",
        "NEST is asked for",
        nest_network.connect_by_blocks,
    ),
    Mend(
        "nest-simulator",
        "~=3.10",
        "asks the kernel for the id of each node of a range: NodeCollection.tolist() of 30 000 takes 0.1 s",
        "nothing but the time",
        "NEST is asked for",
        nest_network.count_nodes_by_ranges,
    ),
    Mend(
        "nest-simulator",
        "~=3.10",
        "gives each connection from a neuron to a recorder a block of 1 024: 31 kB for every recorded cell",
        "nothing: only neurons of ours can tell a recorder without",
        "NEST is asked for",
        nest_network.record_without_connections,
    ),
    Mend(
        "mpilock",
        "~=2.2",
        "is stopped when Python ends, after NEST has ended MPI, which aborts the job",
        "the job ends well",
        "NEST is asked for",
        nest_mends.unlock_before_nest_ends,
    ),
)
_applied: set[int] = set()


def apply(moment: Moment) -> None:
    """Mends what is to be mended then, once; what is not installed needs none."""
    for number, mend in enumerate(MENDS):
        if mend.moment != moment or number in _applied:
            continue
        _applied.add(number)
        try:
            installed = version(mend.package)
        except PackageNotFoundError:
            continue
        if SpecifierSet(mend.versions).contains(installed, prereleases=True):
            mend.apply()
        else:
            warn(f"{mend.package} {installed}: left as it is, though {mend.versions} {mend.fault}")
