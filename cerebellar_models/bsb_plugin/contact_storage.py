"""How contacts get into a circuit's file: what bsb-hdf5 8.0 does for each block of a job, done once where it can be."""

import functools
import json
from collections import Counter
from typing import Any

import numpy as np


def append_and_count_once() -> None:
    """Appends rows without reading and writing what lies around them, and counts a job's contacts together.

    bsb-hdf5 8.0 takes eight reads and writes to append rows behind the others, most of them of nothing, and writes two
    tables of the contacts of all chunks anew for each pair of chunks. The file is the same.
    """
    from bsb_hdf5.connectivity_set import ConnectivitySet

    insert, track, connect = ConnectivitySet._insert, ConnectivitySet._track_add, ConnectivitySet.connect

    @functools.wraps(insert)
    def append_or_insert(
        self: Any, tag: str, local: Any, other: Any, local_rows: Any, other_rows: Any, handle: Any
    ) -> None:
        group = handle.require_group(f"{self._path}/{tag}/{local.id}")
        if (name := str(other.id)) in group.attrs:  # has rows, and those behind them have to move
            insert(self, tag, local, other, local_rows, other_rows, handle)
            return
        before = 0
        for key, rows in (("local_locs", local_rows), ("global_locs", other_rows)):
            if key in group:
                dataset = group[key]
                before = len(dataset)
                dataset.resize(before + len(rows), axis=0)
                dataset[before:] = rows
            else:
                group.create_dataset(key, data=rows, dtype=int, chunks=(1024, 3), maxshape=(None, 3))
        chunks = group.attrs.get("chunk_list")
        group.attrs[name] = before
        group.attrs["chunk_list"] = (
            np.array([other], np.int16) if chunks is None else np.vstack((chunks, other))
        )

    @functools.wraps(track)
    def count(self: Any, handle: Any, source: Any, target: Any, contacts: int) -> None:
        if (counted := self.__dict__.get("_counted")) is None:
            track(self, handle, source, target, contacts)
        else:
            counted["out", str(source.id)] += contacts
            counted["inc", str(target.id)] += contacts

    @functools.wraps(connect)
    def connect_and_count(
        self: Any, pre_set: Any, post_set: Any, src_locs: Any, dest_locs: Any, *handle: Any, **options: Any
    ) -> None:
        if handle or options or not len(src_locs):
            connect(self, pre_set, post_set, src_locs, dest_locs, *handle, **options)
            return
        with self._engine.write_scope() as file:
            self._counted = Counter[tuple[str, str]]()
            try:
                connect(self, pre_set, post_set, src_locs, dest_locs)
            finally:
                _write_counts(self._engine, file, file[self._path], self.__dict__.pop("_counted"))

    ConnectivitySet._insert = append_or_insert
    ConnectivitySet._track_add = count
    ConnectivitySet.connect = connect_and_count


def _write_counts(engine: Any, handle: Any, group: Any, counted: Counter[tuple[str, str]]) -> None:
    """Adds to the tables of contacts by chunk: of the file and of the set."""
    all_sets, this_set = engine._read_chunk_stats(handle), json.loads(group.attrs.get("chunks", "{}"))
    for (direction, chunk), contacts in counted.items():
        nothing = {"placed": 0, "connections": {"inc": 0, "out": 0}}
        all_sets.setdefault(chunk, nothing)["connections"][direction] += contacts
        this_set.setdefault(chunk, {"inc": 0, "out": 0})[direction] += contacts
    group.attrs["chunks"] = json.dumps(this_set)
    out = sum(contacts for (direction, _), contacts in counted.items() if direction == "out")
    group.attrs["len"] = group.attrs.get("len", 0) + out
    engine._write_chunk_stats(handle, all_sets)
