"""Numbers in JSON: kept short where they are drawn, and as they are where a schema has them.

Digits without end are a loop of small models, and what reads them has limits: Python refuses whole numbers of more than
4,300 digits; 1e999 becomes infinite, which JSON cannot say.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, cast

__all__ = ["LARGEST_WHOLE", "Digits", "inexact"]

MOST_DIGITS = 64
"""One after another. No float64 needs a third of them."""

MOST_EXPONENT_DIGITS = 2
"""With at most 64 digits before it, an exponent of two digits stays far below float64's largest, 1.8e308."""

LARGEST_WHOLE, LARGEST_POWER = 2**53, 22
"""The largest whole number, and power of ten, up to which all are exactly a float64."""

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_DIGITS, _EXPONENTS, _SIGNS = frozenset(b"0123456789"), frozenset(b"eE"), frozenset(b"+-")


class Digits(NamedTuple):
    """Where a JSON text stands: within a string or not, and how many digits it has just seen outside of strings."""

    quoted: bool = False
    escaped: bool = False
    run: int = 0
    exponent: bool = False

    def after(self, more: bytes) -> "Digits":
        """Where it stands after some more bytes."""
        quoted, escaped, run, exponent = self
        for byte in more:
            if quoted:
                quoted, escaped = escaped or byte != _QUOTE, not escaped and byte == _BACKSLASH
            elif byte in _DIGITS:
                run += 1
            else:
                exponent = (run > 0 and byte in _EXPONENTS) or (exponent and run == 0 and byte in _SIGNS)
                quoted, run = byte == _QUOTE, 0
        return Digits(quoted, escaped, run, exponent)

    @property
    def left(self) -> int:
        """How many further digits may come now."""
        return max((MOST_EXPONENT_DIGITS if self.exponent else MOST_DIGITS) - self.run, 0)


def inexact(value: object) -> int | float | None:
    """The first number in a JSON value that a mask would change; None if there is none.

    llguidance reads every number as float64, with one rounding, and so as it was meant, where its digits make a whole
    number up to 2^53 and its power of ten is at most 22; else with several, and the result may be another number.
    """
    match value:
        case bool():
            return None
        case int():
            return None if abs(value) <= LARGEST_WHOLE else value
        case float():
            return None if _is_read_once(value) else value
        case Mapping():
            return _first(cast("Mapping[str, object]", value).values())
        case list():
            return _first(cast("list[object]", value))
        case _:
            return None


def _first(values: Iterable[object]) -> int | float | None:
    return next((found for each in values if (found := inexact(each)) is not None), None)


def _is_read_once(value: float) -> bool:
    """Whether the shortest digits of a float64 become it again with one rounding."""
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    whole = "".join(map(str, digits))
    power = int(exponent) + len(whole) - len(whole.rstrip("0"))
    return int(whole.rstrip("0") or 0) <= LARGEST_WHOLE and abs(power) <= LARGEST_POWER
