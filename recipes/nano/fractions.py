"""Sums, differences and simplification of small fractions, and percentages, all exact."""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, working
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["fraction", "percentage", "reduced", "shifted"]

_PRIMES = (2, 3, 5, 7, 11)
_SIMPLIFY = ("Simplify {}.", "Simplify {}", "Reduce {}.", "Reduce {} to lowest terms.", "What is {} in lowest terms?")
_JOINED = {
    "+": ("{} + {}", "{}+{}", "{} plus {}", "the sum of {} and {}"),
    "-": ("{} - {}", "{}-{}", "{} minus {}"),
}
_PERCENT = ("{x}% of {n}", "{x} % of {n}", "{x} percent of {n}", "{x} per cent of {n}")


def fraction(random: Random, *, held: bool) -> Problem:
    """Two fractions of denominators up to 12 added or subtracted, or one to be reduced."""
    kind = random.choice("++--/")
    while True:
        if kind == "/":
            a, b, factor = random.randrange(1, 12), random.randrange(2, 13), random.randrange(2, 12)
            if kept(f"{a * factor}|{b * factor}") == held:
                return _simplification(random, a * factor, b * factor)
        else:
            (a, b), (c, d) = (_small(random) for _ in "ab")
            if kind == "-" and a * d < c * b:
                (a, b), (c, d) = (c, d), (a, b)
            if kept(f"{a}/{b}{kind}{c}/{d}") == held:
                return _joined(random, (a, b), kind, (c, d))


def percentage(random: Random, *, held: bool) -> Problem:
    """A whole number of per cent of a whole number; the answer may have one or two decimals."""
    while True:
        x = random.choice((5, 10, 15, 20, 25, 50, 75)) if random.random() < 0.4 else random.randrange(1, 100)
        n = random.randrange(1, 10 ** random.randrange(1, 4))
        n *= 10 if random.random() < 0.25 and n < 100 else 1
        if kept(f"{x}%{n}") == held:
            break
    answer = shifted(x * n, 2)
    high = f"{n}*{x}\n{working('*', n, x, Effort.HIGH)}\n{x * n}/100={answer}"
    question = asked(random, random.choice(_PERCENT).format(x=x, n=n))
    return Problem("percentage", question, answer, thoughts(f"{n}*{x}={x * n}", high))


def shifted(number: int, places: int) -> str:
    """The number with its point moved to the left, without zeros that say nothing.

    >>> shifted(1645, 2), shifted(1200, 2), shifted(5, 2), shifted(250, 2)
    ('16.45', '12', '0.05', '2.5')
    """
    digits = str(number).zfill(places + 1)
    return f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")


def reduced(a: int, b: int) -> list[str]:
    """The fraction as it is divided by prime after prime, to its lowest terms at last.

    >>> reduced(84, 126), reduced(6, 2), reduced(0, 4)
    (['84/126', '42/63', '14/21', '2/3'], ['6/2', '3/1', '3'], ['0/4', '0'])
    """
    lines = [f"{a}/{b}"]
    for prime in _PRIMES:
        while a and a % prime == 0 and b % prime == 0:
            a, b = a // prime, b // prime
            lines.append(f"{a}/{b}")
    return [*lines, str(a)] if a == 0 or b == 1 else lines


def _small(random: Random) -> tuple[int, int]:
    b = random.randrange(2, 13)
    return random.randrange(1, b), b


def _simplification(random: Random, a: int, b: int) -> Problem:
    lines = reduced(a, b)
    return Problem(
        "fraction, reduced",
        random.choice(_SIMPLIFY).format(f"{a}/{b}"),
        lines[-1],
        thoughts("Reduce.", "\n".join(lines)),
    )


def _joined(random: Random, first: tuple[int, int], sign: str, second: tuple[int, int]) -> Problem:
    """Over the product of the denominators, or over the one that both have; then reduced."""
    (a, b), (c, d) = first, second
    if b == d:
        steps, x, y, below = [], a, c, b
    else:
        steps, x, y, below = [f"{a}*{d}={a * d},{c}*{b}={c * b},{b}*{d}={b * d}"], a * d, c * b, b * d
    total = x + y if sign == "+" else x - y
    lines = [*steps, f"{x}{sign}{y}={total}", *reduced(total, below)]
    question = asked(random, random.choice(_JOINED[sign]).format(f"{a}/{b}", f"{c}/{d}"))
    return Problem(f"fraction {sign}", question, lines[-1], thoughts(f"{total}/{below}", "\n".join(lines)))
