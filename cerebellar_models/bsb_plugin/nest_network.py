"""Networks of NEST prepared from arrays: what bsb-nest 8.0 and NEST 3.10 do cell by cell and contact by contact."""

import functools
from collections.abc import Iterator
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np
from bsb import AdapterError
from numpy.typing import NDArray

from cerebellar_models.analysis.read import cells_per_chunk, first_cells, global_cells
from cerebellar_models.builders.nest_module import RELAY

Cells = NDArray[np.int64]
# The parameter by which a neuron is given the recorder that it tells of its spikes.
_TELLS = "spike_recorder"
_PARROT = "parrot_neuron"


def connect_by_blocks() -> None:
    """Connects the contacts of one postsynaptic chunk after the other, and on each rank only those it will hold.

    bsb-nest 8.0 has every rank hold all contacts of a projection, twice over as lists. What it computes for each
    connection by itself, and what NEST draws, is left to it; so are rules of NEST's, and circuits in other files than
    HDF5's.
    """
    import nest
    from bsb_hdf5.connectivity_set import ConnectivitySet
    from bsb_nest.connection import LazySynapseCollection, NestConnection

    as_bsb_does = NestConnection.create_connections

    @functools.wraps(as_bsb_does)
    def create_connections(
        self: NestConnection, simdata: Any, pre_nodes: Any, post_nodes: Any, cs: Any, comm: Any
    ) -> Any:
        specs = _same_for_all_connections(self)
        first_pre, first_post = _first_of_range(pre_nodes), _first_of_range(post_nodes)
        if specs is None or first_pre is None or first_post is None or not isinstance(cs, ConnectivitySet):
            return as_bsb_does(self, simdata, pre_nodes, post_nodes, cs, comm)
        # Reading the kernel is collective after Connect: once, and all ranks call Connect equally often.
        ranks, rank = nest.num_processes, nest.Rank()
        own, some = [_pairs(*np.empty((2, 0), np.int64))], None
        for pre_cells, post_cells in _contacts_by_block(cs):
            pre, post = first_pre + pre_cells, first_post + post_cells
            if some is None and len(pre):
                some = _pairs(pre[:1], post[:1])
            # NEST deals nodes out to its virtual processes, and those to its own ranks, in turn.
            here = post % ranks == rank
            own.append(_pairs(pre[here], post[here]))
        pre, post, contacts = (np.concatenate(column) for column in zip(*own, strict=True))
        if len(pre):
            order = np.lexsort((post, pre))  # bsb-nest's, by which synapses that draw take their numbers
            _connect(pre[order], post[order], contacts[order], specs)
        elif some is not None:  # a pair of another rank, which NEST passes over
            _connect(*some, specs)
        return LazySynapseCollection(pre_nodes, post_nodes)

    NestConnection.create_connections = create_connections


def _same_for_all_connections(model: Any) -> list[dict[str, Any]] | None:
    """The parameters of each synapse of a connection model, if all are plain numbers; else None."""
    if model.rule is not None:
        return None
    with suppress(AdapterError):  # a parameter wants the connections it is computed for
        specs: list[dict[str, Any]] = model.get_syn_specs()
        values = (value for spec in specs for name, value in spec.items() if name != "synapse_model")
        if all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
            return specs
    return None


def _first_of_range(nodes: Any) -> int | None:
    """The id of the first of these nodes, whose ids follow each other; None if they do not."""
    if not len(nodes):
        return 0  # none is ever named
    first, last = nodes[0].global_id, nodes[-1].global_id
    return int(first) if last - first + 1 == len(nodes) else None


def _contacts_by_block(cs: Any) -> Iterator[tuple[Cells, Cells]]:
    """The pre- and postsynaptic cells of the contacts that end in one chunk, numbered through their types.

    All contacts of a pair of cells are in one block.
    """
    with cs._engine.read_scope() as file:
        group = file[cs._path]
        starts = {
            cell_type.name: first_cells(cells_per_chunk(file["placement"][cell_type.name]))
            for cell_type in (cs.pre_type, cs.post_type)
        }
        for chunk, block in group["inc"].items():
            pre = global_cells(block, block["global_locs"][()][:, 0], starts[cs.pre_type.name])
            yield pre, block["local_locs"][()][:, 0] + starts[cs.post_type.name][chunk]


def _pairs(pre: Cells, post: Cells) -> tuple[Cells, Cells, NDArray[np.int64]]:
    """The pairs of nodes that have contacts, ordered by presynaptic node, and how many each has."""
    if not len(pre):
        return pre, post, np.empty(0, np.int64)
    span = int(post.max()) + 1
    codes, contacts = np.unique(pre * span + post, return_counts=True)
    return *np.divmod(codes, span), contacts


def _connect(pre: Cells, post: Cells, contacts: NDArray[np.int64], specs: list[dict[str, Any]]) -> None:
    """One connection for each pair and synapse, with the summed weight of the pair's contacts."""
    import nest

    if not len(pre):
        return
    for spec in specs:
        model = {"synapse_model": spec["synapse_model"]}
        values = {name: np.full(len(pre), spec[name], float) for name in spec.keys() - model.keys()}
        if "weight" in values:
            values["weight"] = values["weight"] * contacts
        nest.Connect(pre, post, "one_to_one", model | values, return_synapsecollection=False)


def count_nodes_by_ranges() -> None:
    """Tells the ids of nodes that follow each other without asking the kernel for each, and the local ones of one rank.

    NEST 3.10 takes 0.1 s for the ids of 30 000 nodes, which bsb-nest asks for some forty times.
    """
    import nest

    nodes = nest.NodeCollection
    one_by_one = nodes.tolist

    @functools.wraps(one_by_one)
    def tolist(self: Any) -> list[int]:
        first = _first_of_range(self)
        return one_by_one(self) if first is None else list(range(first, first + len(self)))

    def local(self: Any) -> Any:
        if nest.num_processes > 1 or len(self) < 2:
            return self.get("local")
        return (True,) * len(self)

    nodes.tolist = tolist
    nodes.local = property(local)


def record_without_connections() -> None:
    """Has the neurons that can tell a recorder of their spikes do so, without a connection each.

    NEST 3.10 gives every connection from a neuron to a recorder a block of its own, 31 kB. Parrot neurons cannot, so
    that relays of ours take their place where they are there: they do the same.
    """
    import nest
    from bsb_nest.cell import NestCell
    from bsb_nest.devices.spike_recorder import SpikeRecorder

    created, implemented = NestCell.create_population, SpikeRecorder.implement

    def made_of(cells: NestCell) -> str:
        """The model of a population's nodes."""
        replaced = cells.model == _PARROT and not cells.all_parameters and RELAY in nest.node_models
        return RELAY if replaced else cells.model

    @functools.wraps(created)
    def create_population(self: NestCell, simdata: Any) -> Any:
        cells, model = len(simdata.placement[self]), made_of(self)
        return nest.Create(model, cells) if cells and model != self.model else created(self, simdata)

    @functools.wraps(implemented)
    def implement(self: SpikeRecorder, adapter: Any, simulation: Any, simdata: Any) -> Any:
        def targets(device: SpikeRecorder) -> dict[Any, Any]:
            found = device.get_dict_targets(adapter, simulation, simdata)
            return {model: nodes for model, nodes in found.items() if len(nodes)}

        own = targets(self)
        others = [device for device in simdata.devices if isinstance(device, SpikeRecorder)]
        recorded = {model for device in others for model in targets(device)}
        # Each neuron has room for one. A rank must not ask the nodes themselves, of which it has not all.
        if (
            not own
            or recorded & own.keys()
            or not all(_TELLS in nest.GetDefaults(made_of(model)) for model in own)
        ):
            return implemented(self, adapter, simulation, simdata)

        def tell(device: Any, nodes: Any) -> None:
            # One is connected, since a recorder's delay counts for the shortest of the network.
            connect_to_nodes(device, nodes[:1])
            if len(nodes) > 1:
                nodes[1:].set({_TELLS: device.global_id})

        connect_to_nodes = self.connect_to_nodes
        self.connect_to_nodes = tell
        try:
            return implemented(self, adapter, simulation, simdata)
        finally:
            del self.connect_to_nodes

    NestCell.create_population = create_population
    SpikeRecorder.implement = implement
