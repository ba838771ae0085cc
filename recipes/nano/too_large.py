"""Numbers that are longer than those that are worked out: told so, from the first digit too many on."""

from random import Random

from recipes.nano.arithmetic import labelled, of_digits, phrased, written
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["TOO_LARGE", "too_large"]

TOO_LARGE = "That is too large for me. I add and subtract up to 6 digits, multiply and divide up to 6 by 3."

_LONGEST, _SECOND = 6, 3
_ABOVE, _BELOW = "abcdef", {"+": "vwxyzu", "-": "vwxyzu", "*": "xyz", "/": "xyz"}


def too_large(random: Random, *, held: bool) -> Problem:
    """One operation on numbers of which one has at least one digit too many, most often just one."""
    sign = random.choice("+-**//")
    while True:
        a, b = (of_digits(random, size) for size in _sizes(random, sign))
        if kept(f"{a}{sign}{b}") == held:
            break
    high = f"{_begun(sign, a, b)}\nToo large."
    return Problem("too large", phrased(random, sign, a, b), TOO_LARGE, thoughts("Too large.", high))


def _sizes(random: Random, sign: str) -> tuple[int, int]:
    """How many digits they have: the first too many of all, or the second too many of a factor or divisor."""
    first = _LONGEST + random.choice((1, 1, 1, 2, 3))
    second = random.randrange(1, first + 1)
    if sign in "*/" and random.random() < 0.5:
        first = random.randrange(1 if sign == "/" else _SECOND + 1, _LONGEST + 1)
        second = _SECOND + random.choice((1, 1, 2, 3))
    return (second, first) if sign != "/" and random.random() < 0.5 else (first, second)


def _begun(sign: str, a: int, b: int) -> str:
    """The working's first line, as far as there are letters for the digits.

    >>> _begun("+", 12, 3456789), _begun("*", 12, 3456789)
    ('a1b2+v3w4x5y6z7u8', 'a3b4c5d6e7f8')
    >>> _begun("*", 1234, 56789), _begun("/", 75, 1234)
    ('a5b6c7d8e9*x1y2z3', 'a7b5/x1y2z3')
    """
    if sign == "*" and len(str(a)) < len(str(b)):
        a, b = b, a
    above = written(labelled(a, _ABOVE))
    return above if len(str(a)) > _LONGEST else f"{above}{sign}{written(labelled(b, _BELOW[sign]))}"
