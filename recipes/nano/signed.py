"""Numbers with a sign: which two numbers without one are added, subtracted or multiplied, and what sign that has."""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, held_out, working
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["signed"]

_FORMS = (
    "{a} {sign} {b}",
    "{a} {sign} {b}",
    "{a}{sign}{b}",
    "{a} {sign} ({b})",
    "({a}) {sign} ({b})",
    "{a} {name} {b}",
)
_NAMES = {"+": "plus", "-": "minus", "*": "times"}


def signed(random: Random, *, held: bool) -> Problem:
    """Two numbers of one or two digits, at least one of them below zero."""
    while True:
        sign = random.choice("++--*")
        a, b = (random.choice((1, -1, -1)) * random.randrange(1, 10 ** random.randrange(1, 3)) for _ in "ab")
        # What is left without signs may be kept itself.
        plain = _unsigned(sign, a, b)[1:]
        if (a < 0 or b < 0) and kept(f"{a}{sign}{b}") == held and (held or not held_out(*plain)):
            break
    text = random.choice(_FORMS).format(a=a, b=b, sign=sign, name=_NAMES[sign])
    answer = {"+": a + b, "-": a - b, "*": a * b}[sign]
    medium, high = (_worked(sign, a, b, effort) for effort in (Effort.MEDIUM, Effort.HIGH))
    return Problem(f"signed {sign}", asked(random, text), str(answer), thoughts(medium, high))


def _worked(sign: str, a: int, b: int, effort: Effort) -> str:
    """What is asked, the same without signs, and that worked out; of what is below zero the sign is put back at last.

    >>> print(_worked("+", -5, 3, Effort.HIGH))
    -5+3
    3-5
    a3-v5
    a=v,a3<v5
    v5a3-0=02
    =-2
    >>> print(_worked("-", 3, -2, Effort.MEDIUM))
    3+2=5
    >>> print(_worked("*", -4, 6, Effort.MEDIUM))
    -(4*6)=-24
    """
    minus, operation, one, other = _unsigned(sign, a, b)
    value = {"+": one + other, "-": one - other, "*": one * other}[operation] * (-1 if minus else 1)
    plain = f"-({one}{operation}{other})" if minus else f"{one}{operation}{other}"
    if effort is not Effort.HIGH:
        return f"{plain}={value}"
    lines = [f"{a}{sign}{b}", plain, working(operation, one, other, effort)]
    return "\n".join([*lines, f"={value}"] if minus else lines)


def _unsigned(sign: str, a: int, b: int) -> tuple[bool, str, int, int]:
    """Whether a minus is put before it, and the operation on numbers above zero.

    >>> _unsigned("-", -7, 5), _unsigned("-", -7, -5), _unsigned("+", 7, -5)
    ((True, '+', 7, 5), (False, '-', 5, 7), (False, '-', 7, 5))
    """
    if sign == "*":
        return (a < 0) != (b < 0), "*", abs(a), abs(b)
    if sign == "-":
        b = -b  # to take away is to add the opposite
    if a < 0 and b < 0:
        return True, "+", -a, -b
    return (False, "-", b, -a) if a < 0 else (False, "+", a, b) if b >= 0 else (False, "-", a, -b)
