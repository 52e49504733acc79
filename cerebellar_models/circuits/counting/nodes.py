"""What counting reads of a configuration, of which BSB may well understand more: what is not understood is `Uncounted`.

Who counts catches that and nothing else: another error is one of ours.
"""

from dataclasses import dataclass
from typing import Any

from cerebellar_models.tree import Tree

# µm, ms, cells, synapses: what lies beyond is a slip of the keyboard, and arithmetic with it ends in infinities.
_LARGEST, _SMALLEST = 1e15, 1e-15


class Uncounted(Exception):
    """Something of a configuration about which nothing is known in advance; says what and why."""


@dataclass(frozen=True)
class Node:
    """A mapping of a configuration, and the path to it. What is read of it is there, and of the kind asked for.

    :raises Uncounted: by all that reads: it is not; names the key.
    """

    content: Tree
    path: str = ""

    @classmethod
    def of(cls, content: Any, path: str) -> "Node":
        """:param content: what should be a mapping."""
        if not isinstance(content, dict):
            raise _not_understood(path, f"expected a mapping, found {type(content).__name__}")
        return cls(content, path)

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def get(self, key: str, otherwise: Any = None) -> Any:
        """As it stands."""
        return self.content.get(key, otherwise)

    def number(self, key: str, otherwise: float | None = None) -> float:
        """From 0 on. Numbers may be written as text, as BSB takes them.

        :param otherwise: what it is where nothing is said.
        """
        if otherwise is not None and key not in self.content:
            return otherwise
        return self._number(key, self._there(key))

    def signed(self, key: str, otherwise: float | None = None) -> float:
        """A number of either sign."""
        if otherwise is not None and key not in self.content:
            return otherwise
        return self._number(key, self._there(key), signed=True)

    def positive(self, key: str, otherwise: float | None = None) -> float:
        """A number above 0."""
        value = self.number(key, otherwise)
        if not value:
            raise _not_understood(self._at(key), "is 0")
        return value

    def numbers(self, key: str) -> dict[str, float]:
        """By the names a mapping has for them."""
        inner = self.node(key)
        return {name: inner.number(name) for name in inner.content}

    def point(self, key: str) -> tuple[float, float, float]:
        """Three numbers of either sign."""
        value = self._there(key)
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise _not_understood(self._at(key), "expected three numbers")
        x, y, z = (self._number(key, each, signed=True) for each in value)
        return x, y, z

    def text(self, key: str) -> str:
        value = self._there(key)
        if not isinstance(value, str):
            raise _not_understood(self._at(key), f"{value!r} is no text")
        return value

    def names(self, key: str, optional: bool = False) -> list[str]:
        """:param optional: none are there where nothing is said."""
        value = self.content.get(key) if optional else self._there(key)
        if value is None and optional:
            return []
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise _not_understood(self._at(key), "expected a list of names")
        return list(value)

    def node(self, key: str, optional: bool = False) -> "Node":
        """:param optional: it is empty where nothing is said."""
        value = self.content.get(key) if optional else self._there(key)
        return Node.of({} if value is None and optional else value, self._at(key))

    def nodes(self, key: str, optional: bool = False) -> dict[str, "Node"]:
        """Those of a block, by their names."""
        block = self.node(key, optional)
        return {name: block.node(name) for name in block.content}

    def listed(self, key: str) -> list["Node"]:
        """The nodes of a list, which may be missing."""
        value = self.content.get(key)
        if not isinstance(value, list | None):
            raise _not_understood(self._at(key), f"expected a list, found {type(value).__name__}")
        return [Node.of(each, f"{self._at(key)}[{number}]") for number, each in enumerate(value or ())]

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}".lstrip(".")

    def _there(self, key: str) -> Any:
        if key not in self.content:
            raise _not_understood(self._at(key), "is missing")
        return self.content[key]

    def _number(self, key: str, value: Any, signed: bool = False) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise _not_understood(self._at(key), f"{value!r} is no number") from None
        if number and not _SMALLEST <= (abs(number) if signed else number) <= _LARGEST:
            raise _not_understood(
                self._at(key), f"{value!r} is {'too large' if signed else 'below 0 or too large'}"
            )
        return number


def _not_understood(where: str, what: str) -> Uncounted:
    return Uncounted(f"not understood ({where}: {what})")
