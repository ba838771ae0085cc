"""Small fractions: added, subtracted, multiplied, divided, compared, reduced, and taken of whole numbers."""

from fractions import Fraction
from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, working
from recipes.nano.division import divided
from recipes.nano.expressions import Step, any_kept, result
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["fraction", "reduced", "reducing"]

_PRIMES = (2, 3, 5, 7, 11)  # All that denominators up to 12 and their products are made of.
_SIMPLIFY = ("Simplify {}.", "Simplify {}", "Reduce {}.", "Reduce {} to lowest terms.", "What is {} in lowest terms?")
_JOINED = {
    "+": ("{} + {}", "{}+{}", "{} plus {}", "the sum of {} and {}"),
    "-": ("{} - {}", "{}-{}", "{} minus {}"),
    "*": ("{} * {}", "{}*{}", "{} times {}", "{} x {}"),
    "/": ("({}) / ({})", "({})/({})", "{} / {}", "{} divided by {}", "{} \u00f7 {}"),
}
_NAMED = {
    (1, 2): ("half", "one half", "a half", "half"),
    (1, 3): ("a third", "one third"),
    (2, 3): ("two thirds",),
    (1, 4): ("a quarter", "one quarter", "one fourth"),
    (3, 4): ("three quarters", "three fourths"),
    (1, 5): ("a fifth", "one fifth"),
    (1, 10): ("a tenth", "one tenth"),
}
_LARGER = ("Which is larger, {} or {}?", "Which is more, {} or {}?", "Which fraction is greater: {} or {}?")
_SMALLER = ("Which is smaller, {} or {}?", "Which is less, {} or {}?", "Which fraction is smaller: {} or {}?")
_WHOLE = 0.15


def fraction(random: Random, *, held: bool) -> Problem:
    """Two fractions of denominators up to 12 joined or compared, one to be reduced, or one of a whole number."""
    kind = random.choice("++--*/<ro")
    while True:
        first, second = _small(random), _small(random)
        if kind in "+-" and random.random() < _WHOLE:
            first, second = random.sample((first, (random.randrange(1, 10), 1)), 2)
        if kind == "-" and Fraction(*first) < Fraction(*second):
            first, second = second, first
        if kind == "r":
            factor = random.randrange(2, 12)
            first = first[0] * factor, first[1] * factor
        if kind == "o":
            second = random.randrange(2, random.choice((20, 100, 1000))), 1
        if kind == "<" and Fraction(*first) == Fraction(*second):
            continue
        steps = _steps(first, kind, second)
        asked_for = _text(first) + ("" if kind == "r" else kind + _text(second))
        if kept(asked_for) == held and (held or not any_kept(steps)):
            break
    if kind == "r":
        return _simplification(random, *first)
    if kind == "<":
        return _compared(random, first, second)
    return _of_whole(random, first, second[0]) if kind == "o" else _joined(random, first, kind, second)


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
    """Products of numerators and denominators, crosswise but to multiply; for sums over one denominator, their sum."""
    (a, b), (c, d) = first, second
    match sign:
        case "*":
            return [("*", a, c), ("*", b, d)]
        case "/":
            return [("*", a, d), ("*", b, c)]
        case "<":
            return [("*", a, d), ("*", c, b)]
        case "o":
            return [("*", c, a)]
        case "r":
            return []
        case _:
            return [(sign, a, c)] if b == d else [("*", a, d), ("*", c, b), ("*", b, d), (sign, a * d, c * b)]


def _joined(random: Random, first: tuple[int, int], sign: str, second: tuple[int, int]) -> Problem:
    """The two as one fraction, which is then reduced; for a sum or a difference over one denominator."""
    (_, b), (_, d) = first, second
    steps = _steps(first, sign, second)
    products = [step for step in steps if step[0] == "*"]
    lines = [_equations(products)] if products else []
    if sign in "+-":
        total, below = result(steps[-1]), b if b == d else b * d
        _, x, y = steps[-1]
        worked = [f"{x}{sign}{y}", working(sign, x, y, Effort.HIGH)]
    else:
        (total, below), worked = map(result, products), list[str]()
    high = _written([*lines, *worked, *reducing(total, below)])
    question = asked(random, random.choice(_JOINED[sign]).format(_text(first), _text(second)))
    fewer = reduced(total, below)
    return Problem(f"fraction {sign}", question, fewer[-1], thoughts(",".join([*lines, *fewer]), high))


def _of_whole(random: Random, part: tuple[int, int], whole: int) -> Problem:
    """A part of a whole number: times the numerator, which is then reduced over the denominator."""
    (a, b), lines = part, reduced(part[0] * whole, part[1])
    named = _NAMED.get(part)
    text = random.choice(named) if named and random.random() < 0.5 else _text(part)
    high = _written(
        [f"{whole}*{a}", *([working("*", whole, a, Effort.HIGH)] if a > 1 else []), *reducing(whole * a, b)]
    )
    question = asked(random, f"{text} of {whole}")
    return Problem("fraction of a number", question, lines[-1], thoughts(",".join([f"{whole}*{a}", *lines]), high))


def _compared(random: Random, first: tuple[int, int], second: tuple[int, int]) -> Problem:
    """Crosswise products have the order that the fractions have."""
    products = _steps(first, "<", second)
    one, other = map(result, products)
    sign = "<" if one < other else ">"
    larger = random.random() < 0.5
    frame = random.choice(_LARGER if larger else _SMALLER)
    answer = first if larger == (sign == ">") else second
    high = f"{_equations(products)}\n{one}{sign}{other}"
    question = frame.format(_text(first), _text(second))
    return Problem("fractions compared", question, _text(answer), thoughts(sign, high))


def _equations(products: list[Step]) -> str:
    return ",".join(f"{x}*{y}={x * y}" for _, x, y in products)


def _text(number: tuple[int, int]) -> str:
    """A fraction, or the whole number that it is over one."""
    return str(number[0]) if number[1] == 1 else f"{number[0]}/{number[1]}"


def _written(lines: list[str]) -> str:
    """The lines, the primes of a fraction behind it; the answer is the last line of all."""
    text = "\n".join(lines).replace("\n:", ":")
    answer = next(line for line in reversed(lines) if ":" not in line)
    return text if lines[-1] == answer else f"{text}\n{answer}"
