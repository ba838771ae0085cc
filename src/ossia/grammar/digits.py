"""Numbers in JSON, kept short: digits without end are a loop of small models, and what reads them has limits.

Python refuses whole numbers of more than 4,300 digits; 1e999 becomes infinite, which JSON cannot say.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

__all__ = ["Digits", "wants_long_numbers"]

MOST_DIGITS = 64
"""One after another. No float64 needs a third of them."""

MOST_EXPONENT_DIGITS = 2
"""With at most 64 digits before it, an exponent of two digits stays far below float64's largest, 1.8e308."""

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


def wants_long_numbers(schema: object) -> bool:
    """Whether a schema itself has numbers that `Digits` would cut short."""
    match schema:
        case bool():
            return False
        case int() | float():
            return schema != 0 and not 10.0**-MOST_DIGITS < abs(schema) < 10**MOST_DIGITS
        case Mapping():
            return any(map(wants_long_numbers, cast("Mapping[str, object]", schema).values()))
        case list() | tuple():
            return any(map(wants_long_numbers, cast("Sequence[object]", schema)))
        case _:
            return False
