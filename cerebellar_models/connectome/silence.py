"""Tells of rules that ran and connected nothing although there were cells to connect.

Importing this module has BSB do so whenever it has run connection rules.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from bsb import ConnectionStrategy, ConnectivitySet, ConnectivityWarning, Scaffold, warn
from bsb.connectivity.strategy import Hemitype


def silent_rules(scaffold: Scaffold, rules: Iterable[ConnectionStrategy]) -> list[ConnectionStrategy]:
    """Those of the rules that have no connection in the network, and cells on both sides."""
    connected = {written.tag for written in scaffold.get_connectivity_sets() if _has_contacts(written)}
    return [
        rule
        for rule in rules
        if not connected & set(rule.get_output_names())
        and _has_cells(rule.presynaptic)
        and _has_cells(rule.postsynaptic)
    ]


def _has_contacts(written: ConnectivitySet) -> bool:
    """By the blocks it has: its length would read them all."""
    return any(len(data[0]) for *_, data in written.flat_iter_connections("inc"))


def _has_cells(side: Hemitype) -> bool:
    return any(len(kind.get_placement_set(labels=side.labels)) for kind in side.cell_types)


def _tell_of_silence(run_connectivity: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(run_connectivity)
    def run_and_tell(
        self: Scaffold,
        strategies: Iterable[ConnectionStrategy] | None = None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        rules = list(self.connectivity.values() if strategies is None else strategies)
        run_connectivity(self, rules, *arguments, **options)
        if self.is_main_process():
            for rule in silent_rules(self, rules):
                pre, post = (
                    ", ".join(kind.name for kind in side.cell_types)
                    for side in (rule.presynaptic, rule.postsynaptic)
                )
                warn(f"{rule.name} connected no cell of {pre} to any of {post}", ConnectivityWarning)

    return run_and_tell


Scaffold.run_connectivity = _tell_of_silence(Scaffold.run_connectivity)
