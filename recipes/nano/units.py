"""Units: metric lengths, masses and volumes, spans of time, temperatures."""

from dataclasses import dataclass
from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import working
from recipes.nano.division import divided
from recipes.nano.expressions import Step, any_kept
from recipes.nano.fractions import shifted
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["LARGER", "Pair", "units"]


@dataclass(frozen=True)
class Pair:
    """Two units of a kind, by the names that a question may use, and how many small ones the large one has."""

    large: tuple[str, ...]
    small: tuple[str, ...]
    factor: int


_METRE = ("m", "metres", "meters")
_CENTIMETRE = ("cm", "centimetres", "centimeters")
_MILLIMETRE = ("mm", "millimetres")
_KILOMETRE = ("km", "kilometres", "kilometers")
_GRAM = ("g", "grams")
_KILOGRAM = ("kg", "kilograms")
_LITRE = ("l", "litres", "liters")
_SECOND, _MINUTE, _HOUR, _DAY = ("seconds",), ("minutes",), ("hours",), ("days",)
LARGER = (
    Pair(_KILOMETRE, _METRE, 1000),
    Pair(_METRE, _CENTIMETRE, 100),
    Pair(_METRE, _MILLIMETRE, 1000),
    Pair(_CENTIMETRE, _MILLIMETRE, 10),
    Pair(_KILOGRAM, _GRAM, 1000),
    Pair(("t", "tonnes"), _KILOGRAM, 1000),
    Pair(_GRAM, ("mg", "milligrams"), 1000),
    Pair(_LITRE, ("ml", "millilitres", "milliliters"), 1000),
    Pair(_LITRE, ("cl", "centilitres"), 100),
    Pair(_MINUTE, _SECOND, 60),
    Pair(_HOUR, _MINUTE, 60),
    Pair(_DAY, _HOUR, 24),
    Pair(("weeks",), _DAY, 7),
)
_METRIC = tuple(pair for pair in LARGER if str(pair.factor).strip("0") == "1")
_TIME = tuple(pair for pair in LARGER if pair not in _METRIC)
_FRAMES = (
    "How many {to} are {n} {of}?",
    "How many {to} are in {n} {of}?",
    "Convert {n} {of} to {to}.",
    "Convert {n} {of} into {to}",
    "What is {n} {of} in {to}?",
    "{n} {of} in {to}",
    "{n} {of} to {to}?",
)
_MIXED = (
    "How many {large} and {small} are {n} {small}?",
    "Convert {n} {small} to {large} and {small}.",
    "What is {n} {small} in {large} and {small}?",
)
_CELSIUS, _FAHRENHEIT = ("Celsius", "degrees Celsius", "\u00b0C"), ("Fahrenheit", "degrees Fahrenheit", "\u00b0F")


_Drawn = tuple[int, Problem, list[Step]]
"""The amount, the problem, and the operations whose working it shows."""


def units(random: Random, *, held: bool) -> Problem:
    """One conversion, of the kept amounts or of the others."""
    draw = random.choices((_to_small, _to_large, _to_both, _temperature), (4, 3, 2, 1))[0]
    while True:
        amount, problem, steps = draw(random)
        if kept(f"{problem.cell} {amount}") == held and (held or not any_kept(steps)):
            return problem


def _to_small(random: Random) -> _Drawn:
    pair = random.choice(LARGER)
    amount = random.randrange(1, 100) if pair in _TIME else random.randrange(1, 10 ** random.randrange(1, 4))
    product = amount * pair.factor
    term = f"{amount}*{pair.factor}"
    # Medium effort multiplies at a glance, high digit by digit where digits are more than moved.
    medium = f"{_said(pair)}\n{term}={product}"
    high = f"{_said(pair)}\n{term}\n{working('*', amount, pair.factor, Effort.HIGH)}" if pair in _TIME else medium
    question = _asked(random, amount, pair.large, pair.small)
    steps: list[Step] = [("*", amount, pair.factor)] if pair in _TIME else []
    return amount, Problem("unit, to smaller", question, str(product), thoughts(medium, high)), steps


def _to_large(random: Random) -> _Drawn:
    pair = random.choice(_METRIC)
    amount = random.randrange(1, 10 ** random.randrange(2, 5))
    if random.random() < 0.5:
        amount *= 10
    answer = shifted(amount, len(str(pair.factor)) - 1)
    question = _asked(random, amount, pair.small, pair.large)
    working = f"{_said(pair)}\n{amount}/{pair.factor}={answer}"
    return amount, Problem("unit, to larger", question, answer, thoughts(working)), []


def _to_both(random: Random) -> _Drawn:
    pair = random.choice(_TIME)
    amount = random.randrange(pair.factor + 1, pair.factor * random.choice((4, 10, 16)))
    quotient, rest = divmod(amount, pair.factor)
    large, small = pair.large[0], pair.small[0]
    medium, high = (
        f"{_said(pair)}\n{amount}/{pair.factor}\n{divided(amount, pair.factor, effort)}"
        for effort in (Effort.MEDIUM, Effort.HIGH)
    )
    question = random.choice(_MIXED).format(large=large, small=small, n=amount)
    answer = f"{_counted(quotient, large)} {_counted(rest, small)}" if rest else _counted(quotient, large)
    return amount, Problem("unit, time", question, answer, thoughts(medium, high)), [("/", amount, pair.factor)]


def _temperature(random: Random) -> _Drawn:
    """Whole degrees that have whole degrees on the other scale: every fifth of Celsius."""
    celsius = 5 * random.randrange(-8, 41)
    fahrenheit = celsius * 9 // 5 + 32
    if random.random() < 0.5:
        question, part = _asked(random, celsius, _CELSIUS, _FAHRENHEIT), celsius * 9 // 5
        reasoning = thoughts(f"{part}+32", f"{celsius}*9/5={part}\n{part}+32={fahrenheit}")
        return celsius, Problem("unit, temperature", question, str(fahrenheit), reasoning), []
    question, part = _asked(random, fahrenheit, _FAHRENHEIT, _CELSIUS), fahrenheit - 32
    reasoning = thoughts(f"{part}*5/9", f"{fahrenheit}-32={part}\n{part}*5/9={celsius}")
    return fahrenheit, Problem("unit, temperature", question, str(celsius), reasoning), []


def _asked(random: Random, amount: int, of: tuple[str, ...], to: tuple[str, ...]) -> str:
    return random.choice(_FRAMES).format(n=amount, of=_named(amount, random.choice(of)), to=random.choice(to))


def _said(pair: Pair) -> str:
    return f"1 {_named(1, pair.large[0])}={pair.factor} {pair.small[0]}"


def _counted(amount: int, unit: str) -> str:
    return f"{amount} {_named(amount, unit)}"


def _named(amount: int, unit: str) -> str:
    """A unit's name for that many of it; signs have no plural."""
    return unit.removesuffix("s") if amount == 1 and len(unit) > 2 and not unit.startswith("degrees") else unit
