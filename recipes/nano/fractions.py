"""Sums, differences and simplification of small fractions, and percentages, all exact."""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, working
from recipes.nano.division import divided
from recipes.nano.expressions import Step, any_kept, result
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["fraction", "percentage", "reduced", "reducing", "shifted"]

_PRIMES = (2, 3, 5, 7, 11)  # All that denominators up to 12 and their products are made of.
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
            steps = _steps((a, b), kind, (c, d))
            if kept(f"{a}/{b}{kind}{c}/{d}") == held and (held or not any_kept(steps)):
                return _joined(random, (a, b), kind, (c, d))


def percentage(random: Random, *, held: bool) -> Problem:
    """A whole number of per cent of a whole number; the answer may have one or two decimals."""
    while True:
        x = random.choice((5, 10, 15, 20, 25, 50, 75)) if random.random() < 0.4 else random.randrange(1, 100)
        n = random.randrange(1, 10 ** random.randrange(1, 4))
        n *= 10 if random.random() < 0.25 and n < 100 else 1
        if kept(f"{x}%{n}") == held and (held or not any_kept([("*", n, x)])):
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
    return [line for line in reducing(a, b) if ":" not in line]


def reducing(a: int, b: int) -> list[str]:
    """The fraction with the primes of its denominator; each is tried on the numerator, digit by digit.

    A prime that leaves a rest is done with; one that leaves none is taken out of both.

    >>> reducing(174, 132)
    ['174/132', ':2,2,3,11', '2:0r1,8r1,7r0', '87/66', '2:4r0,3r1', '3:2r2,9r0', '29/22', '11:0r2,2r7']
    >>> reducing(6, 2), reducing(0, 4)
    (['6/2', ':2', '2:3r0', '3/1', '3'], ['0/4', '0'])
    """
    lines, left = [f"{a}/{b}"], _factors(b)
    if a == 0:
        return [*lines, "0"]
    lines.append(":" + ",".join(map(str, left)))
    while left:
        prime = left.pop(0)
        lines.append(f"{prime}:{divided(a, prime, Effort.MEDIUM) if prime < 10 else _by_eleven(a)}")
        if a % prime == 0:
            a, b = a // prime, b // prime
            lines.append(f"{a}/{b}")
        else:
            left = [other for other in left if other != prime]
    return [*lines, str(a)] if b == 1 else lines


def _factors(number: int) -> list[int]:
    """The primes of a small number, the least first, each as often as it divides."""
    factors: list[int] = []
    for prime in _PRIMES:
        while number % prime == 0:
            factors.append(prime)
            number //= prime
    return factors


def _by_eleven(number: int) -> str:
    """As other primes divide: digit after digit with what was left before it."""
    rest, steps = 0, []
    for digit in str(number):
        total = 10 * rest + int(digit)
        rest = total % 11
        steps.append(f"{total // 11}r{rest}")
    return ",".join(steps)


def _small(random: Random) -> tuple[int, int]:
    b = random.randrange(2, 13)
    return random.randrange(1, b), b


def _simplification(random: Random, a: int, b: int) -> Problem:
    lines = reduced(a, b)
    question = random.choice(_SIMPLIFY).format(f"{a}/{b}")
    return Problem("fraction, reduced", question, lines[-1], thoughts(",".join(lines), _written(reducing(a, b))))


def _steps(first: tuple[int, int], sign: str, second: tuple[int, int]) -> list[Step]:
    """Both over the product of the denominators, or over the one that both have, and their sum or difference."""
    (a, b), (c, d) = first, second
    return [(sign, a, c)] if b == d else [("*", a, d), ("*", c, b), ("*", b, d), (sign, a * d, c * b)]


def _joined(random: Random, first: tuple[int, int], sign: str, second: tuple[int, int]) -> Problem:
    """The two over one denominator, which are then one fraction, which is then reduced."""
    (a, b), (c, d) = first, second
    *products, last = _steps(first, sign, second)
    steps = [",".join(f"{x}*{y}={x * y}" for _, x, y in products)] if products else []
    total, below = result(last), b if b == d else b * d
    _, x, y = last
    high = _written([*steps, f"{x}{sign}{y}", working(sign, x, y, Effort.HIGH), *reducing(total, below)])
    question = asked(random, random.choice(_JOINED[sign]).format(f"{a}/{b}", f"{c}/{d}"))
    lines = reduced(total, below)
    return Problem(f"fraction {sign}", question, lines[-1], thoughts(",".join([*steps, *lines]), high))


def _written(lines: list[str]) -> str:
    """The lines, the primes of a fraction behind it; the answer is the last line of all."""
    text = "\n".join(lines).replace("\n:", ":")
    answer = next(line for line in reversed(lines) if ":" not in line)
    return text if lines[-1] == answer else f"{text}\n{answer}"
