"""Numbers as a page shows them."""

import math
from numbers import Integral

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """For a table: whole numbers in full, others to ``digits`` significant digits, thousands apart."""
    if value is None or math.isnan(value):
        return NONE
    if isinstance(value, Integral) or math.isinf(value):
        return _typeset(f"{value:,}")
    rounded = float(f"{value:.{digits - 1}e}")  # 99.96 has three digits before the point once it is rounded
    if rounded == 0:
        return f"{0:#.{digits}g}"
    if abs(rounded) >= 10 ** (digits - 1):
        return _typeset(f"{value:,.0f}")
    return _typeset(f"{value:#,.{digits}g}" if abs(rounded) >= 1e-4 else f"{value:.1e}")


def plain(value: float) -> str:
    """A quantity somebody set, such as a duration: as short as it was written, never as a power of ten."""
    return _typeset(f"{value:,.6f}".rstrip("0").rstrip("."))


def percent(value: float | None) -> str:
    """A relative deviation, with its sign."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{100 * value:+,.1f}"
    return _typeset("+0.0" if text == "-0.0" else text) + f"{THIN_SPACE}%"


def _typeset(text: str) -> str:
    return text.replace(",", THIN_SPACE).replace("-", _MINUS)
