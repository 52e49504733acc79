"""Types of the rules' settings: numbers that are finite and make sense, which BSB's own types do not ask for."""

import math
from typing import Any

import numpy as np
from bsb import types


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number")
    number = float(value)
    if not math.isfinite(number):
        raise TypeError(f"{value} is no finite number")
    return number


def length(value: Any) -> float:
    """A finite length of more than 0 µm."""
    number = _number(value)
    if number <= 0:
        raise TypeError(f"{value} is no length of more than 0 µm")
    return number


def count(value: Any) -> int:
    """A whole number of 1 or more."""
    number = _number(value)
    if number < 1 or number != int(number):
        raise TypeError(f"{value} is not a whole number of 1 or more")
    return int(number)


def share(value: Any) -> float:
    """A number from 0 to 1."""
    number = _number(value)
    if not 0 <= number <= 1:
        raise TypeError(f"{value} is not from 0 to 1")
    return number


def ratio(value: Any) -> float:
    """A finite number of 0 or more."""
    number = _number(value)
    if number < 0:
        raise TypeError(f"{value} is not 0 or more")
    return number


class contacts(types.distribution):
    """How many contacts a pair has: a number, or a distribution of numbers, that can be 1 or more."""

    def __call__(self, value: Any, _key: Any = None, _parent: Any = None) -> Any:
        distribution = super().__call__(value, _key=_key, _parent=_parent)
        drawn = np.asarray(distribution.draw(1000, np.random.default_rng(0)), dtype=float)
        if not np.all(np.isfinite(drawn)):
            raise TypeError("it gives numbers that are not finite")
        if np.max(drawn) < 1:
            raise TypeError("it gives no pair a contact; at least 1 would")
        return distribution
