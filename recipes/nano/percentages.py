"""Percentages, all exact: of a number, off it and on it, and what part of one number another is."""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, working
from recipes.nano.division import divided
from recipes.nano.expressions import any_kept, result
from recipes.nano.problem import Problem, kept, thoughts, worded

__all__ = ["percentage", "shifted"]

_OF = ("{x}% of {n}", "{x} % of {n}", "{x} percent of {n}", "{x} per cent of {n}")
# Lowered and raised; of each the last is kept for evaluation.
_CHANGED = {
    "-": (
        "What is {n} [minus|less] {x}%?",
        "[What is|Compute|Calculate|] {x}% off {n}[?|]",
        "[Decrease|Reduce|Lower] {n} by {x}%[.|]",
        "A {thing} costs {n} dollars. It [is|gets] {x}% cheaper. [What does it cost[ now|]|How much is it now]?",
        "The price of a {thing} is {n} dollars[. It falls by|, with a discount of] {x}%. What is the price[ now|]?",
        "A {thing} costs {n} dollars, {x}% [off|less] today. How much do I pay?",
    ),
    "+": (
        "What is {n} [plus|and] {x}%?",
        "[Increase|Raise] {n} by {x}%[.|]",
        "{n} [plus|increased by|raised by] {x}%[?|]",
        "A {thing} costs {n} dollars and gets {x}% [dearer|more expensive]. [What does it cost[ now|]|How much is it]?",
        "The price of a {thing} is {n} dollars. It [rises|goes up] by {x}%. What is the [new |]price[ now|]?",
        "A {thing} costs {n} dollars plus {x}% tax. How much do I pay?",
    ),
}
_PART = (
    "[What|How many] percent of {n} is {p}?",
    "What percentage of {n} is {p}?",
    "{p} is what percent[age|] of {n}?",
    "{p} out of {n}[ is|:] what percent?",
    "{p} of {n} in percent[?|]",
)
_THINGS = ("coat", "book", "chair", "lamp", "bag", "table", "bike", "shirt", "watch", "phone", "ticket", "cake")


def percentage(random: Random, *, held: bool) -> Problem:
    """A whole number of per cent of a whole number, which that is less or more, or which two numbers are."""
    return random.choice((_of, _of, _changed, _part))(random, held)


def _of(random: Random, held: bool) -> Problem:
    """The answer may have one or two decimals."""
    while True:
        x, n = _drawn(random)
        if kept(f"{x}%{n}") == held and (held or not any_kept([("*", n, x)])):
            break
    question = asked(random, random.choice(_OF).format(x=x, n=n))
    return Problem("percentage", question, shifted(x * n, 2), thoughts(f"{n}*{x}={x * n}", _taken(n, x)))


def _changed(random: Random, held: bool) -> Problem:
    """The part is whole, and is taken from the number or added to it."""
    sign = random.choice("-+")
    while True:
        x, n = _drawn(random)
        part = x * n // 100
        if x * n % 100 == 0 and kept(f"{x}%{n}") == held and (held or not any_kept([("*", n, x), (sign, n, part)])):
            break
    frames = _CHANGED[sign]
    frame = frames[-1] if held and random.random() < 0.5 else random.choice(frames[:-1])
    question = worded(random, frame).format(x=x, n=n, thing=random.choice(_THINGS))
    answer = str(result((sign, n, part)))
    high = f"{_taken(n, x)}\n{n}{sign}{part}\n{working(sign, n, part, Effort.HIGH)}"
    text = question[0].upper() + question[1:]
    return Problem("percentage, changed", text, answer, thoughts(f"{n}*{x}={x * n},{n}{sign}{part}", high))


def _part(random: Random, held: bool) -> Problem:
    """A whole number of per cent: a hundred times the one, divided by the other."""
    while True:
        x, n = _drawn(random)
        part, rest = divmod(x * n, 100)
        fits = not rest and n < 1000 and 100 * part <= 99_999
        if fits and kept(f"{part} of {n}") == held and (held or not any_kept([("/", 100 * part, n)])):
            break
    medium, high = (f"{100 * part}/{n}\n{divided(100 * part, n, effort)}" for effort in (Effort.MEDIUM, Effort.HIGH))
    question = worded(random, random.choice(_PART)).format(p=part, n=n)
    return Problem("percentage, part", question, f"{x}%", thoughts(medium, high))


def _drawn(random: Random) -> tuple[int, int]:
    """Per cent, and the number."""
    x = random.choice((5, 10, 15, 20, 25, 50, 75)) if random.random() < 0.4 else random.randrange(1, 100)
    n = random.randrange(1, 10 ** random.randrange(1, 4))
    return x, n * 10 if random.random() < 0.25 and n < 100 else n


def _taken(n: int, x: int) -> str:
    """The product, a hundredth of it."""
    return f"{n}*{x}\n{working('*', n, x, Effort.HIGH)}\n{x * n}/100={shifted(x * n, 2)}"


def shifted(number: int, places: int) -> str:
    """The number with its point moved to the left, without zeros that say nothing.

    >>> shifted(1645, 2), shifted(1200, 2), shifted(5, 2), shifted(250, 2)
    ('16.45', '12', '0.05', '2.5')
    """
    digits = str(number).zfill(places + 1)
    return f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
