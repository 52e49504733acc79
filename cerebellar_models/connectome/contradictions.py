"""What a rule's settings must agree on, so that none runs in silence without connecting anything.

A rule says in :meth:`Checked.check` what it needs. BSB asks when it boots the configuration, ``bsb compile`` before
it opens any file.
"""

import abc
from collections.abc import Container, Iterable, Sequence
from itertools import chain

from bsb import CellType, Configuration, ConfigurationError, ConnectionStrategy
from bsb.connectivity.strategy import Hemitype


class Checked(abc.ABC):
    """A hook or rule whose settings are checked before anything is placed."""

    name: str
    named_rules: tuple[str, ...] = ()
    """Keys under which it names rules whose connections it reads."""

    def check(self) -> None:  # noqa: B027  a hook may have nothing that can contradict
        """:raises ConfigurationError: settings contradict one another; says which key, and what would be right."""

    def boot(self) -> None:
        self.check()

    def needs(self) -> dict[str, list[ConnectionStrategy]]:
        """The rules whose connections it reads, by the key that names them."""
        named = {key: getattr(self, key) for key in self.named_rules}
        return {
            key: [value] if isinstance(value, ConnectionStrategy) else [*value]
            for key, value in named.items()
        }


class CheckedRule(Checked):
    """A rule that names each cell type once and does not wait for itself; what else it needs, its class adds."""

    presynaptic: Hemitype
    postsynaptic: Hemitype

    def get_deps(self) -> set[ConnectionStrategy]:
        return {*super().get_deps(), *chain.from_iterable(self.needs().values())}  # type: ignore[misc]

    def check(self) -> None:
        where = f"connectivity.{self.name}"
        require_distinct(f"{where}.presynaptic.cell_types", self.presynaptic.cell_types)
        require_distinct(f"{where}.postsynaptic.cell_types", self.postsynaptic.cell_types)
        _require_no_circle(self)


def check_rules(configuration: Configuration, runs: Container[str], hooks_run: bool) -> None:
    """Checks all rules and hooks of this package that a configuration has, before it is booted.

    :param runs: names of the rules that run; one that does not has no connections for others to read.
    :param hooks_run: whether the hooks after connectivity do.
    :raises ConfigurationError: settings contradict one another.
    """
    for node in configuration.after_placement.values():
        if isinstance(node, Checked):
            node.check()
    hooks = configuration.after_connectivity if hooks_run else {}
    for part, nodes in (("connectivity", configuration.connectivity), ("after_connectivity", hooks)):
        for node in nodes.values():
            if isinstance(node, Checked):
                node.check()
                if part != "connectivity" or node.name in runs:
                    _require_run(f"{part}.{node.name}", node.needs(), runs)


def _require_run(where: str, needed: dict[str, list[ConnectionStrategy]], runs: Container[str]) -> None:
    for key, rules in needed.items():
        if missed := [rule.name for rule in rules if rule.name not in runs]:
            raise ConfigurationError(
                f"{where}.{key}: {', '.join(missed)} would be skipped, so that there are no connections to read; "
                "skip neither or both"
            )


def require_paths(
    rule: ConnectionStrategy,
    key: str,
    sources: Sequence[CellType],
    targets: Sequence[CellType],
    only_these: bool = False,
    may_miss: bool = False,
) -> None:
    """Checks that the rules named under ``key`` together lead from every source and to every target.

    :param only_these: none of them has another source.
    :param may_miss: one of them may lead to none of the targets, which does no harm.
    :raises ConfigurationError: a named rule leads elsewhere, or none has one of the cell types.
    """
    where = f"connectivity.{rule.name}.{key}"
    right = f"name rules from {_names(sources)} to {_names(targets)}"
    named: list[ConnectionStrategy] = list(getattr(rule, key))
    if not named:
        raise ConfigurationError(f"{where}: is empty; {right}")
    for other in named:
        if other is rule:
            raise ConfigurationError(f"{where}: names the rule itself; {right}")
        before, after = other.presynaptic.cell_types, other.postsynaptic.cell_types
        strange = [kind for kind in before if kind not in sources] if only_these else []
        misses = not set(sources) & set(before) or not (may_miss or set(targets) & set(after))
        if strange or misses:
            raise ConfigurationError(
                f"{where}: '{other.name}' leads from {_names(before)} to {_names(after)}; {right}"
            )
    for kinds, side, word in ((sources, "presynaptic", "from"), (targets, "postsynaptic", "to")):
        served = {kind for other in named for kind in getattr(other, side).cell_types}
        if missed := [kind for kind in kinds if kind not in served]:
            rules = ", ".join(other.name for other in named)
            raise ConfigurationError(f"{where}: {rules} lead not {word} {_names(missed)}; {right}")


def _require_no_circle(rule: ConnectionStrategy) -> None:
    """:raises ConfigurationError: the rule waits for itself, by way of the rules it depends on."""
    waiting, seen = list(rule.get_deps()), set()
    while waiting:
        other = waiting.pop()
        if other is rule:
            raise ConfigurationError(
                f"connectivity.{rule.name}: depends on itself, by way of the rules it names; "
                "name rules that do without it"
            )
        if other not in seen:
            seen.add(other)
            waiting += other.get_deps()


def require_distinct(where: str, kinds: Sequence[CellType]) -> None:
    """:raises ConfigurationError: there is none of them, or one is named twice, which counts its cells twice."""
    if not kinds:
        raise ConfigurationError(f"{where}: names no cell type; name at least one")
    repeated = [kind for number, kind in enumerate(kinds) if kind in kinds[:number]]
    if repeated:
        raise ConfigurationError(f"{where}: names {_names(repeated)} more than once; name each once")


def _names(kinds: Iterable[CellType]) -> str:
    return ", ".join(kind.name for kind in kinds)
