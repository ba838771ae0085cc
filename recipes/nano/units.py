"""Units: lengths, masses and volumes, metric, imperial and across, spans of time, temperatures."""

from dataclasses import dataclass
from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import working
from recipes.nano.division import divided
from recipes.nano.expressions import Step, any_kept
from recipes.nano.percentages import shifted
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["LARGER", "Pair", "units"]


@dataclass(frozen=True)
class Pair:
    """Two units of a kind, by the names that a question may use, and how many small ones the large one has.

    Across systems that number is rounded: `places` of the factor's digits are decimals.
    """

    large: tuple[str, ...]
    small: tuple[str, ...]
    factor: int
    places: int = 0

    @property
    def ratio(self) -> str:
        """The number as it is written."""
        return shifted(self.factor, self.places) if self.places else str(self.factor)


_METRE = ("m", "metres", "meters")
_CENTIMETRE = ("cm", "centimetres", "centimeters")
_MILLIMETRE = ("mm", "millimetres")
_KILOMETRE = ("km", "kilometres", "kilometers")
_GRAM = ("g", "grams")
_KILOGRAM = ("kg", "kilograms")
_LITRE = ("l", "litres", "liters")
_SECOND, _MINUTE, _HOUR, _DAY, _YEAR = ("seconds",), ("minutes",), ("hours",), ("days",), ("years",)
_INCH, _FOOT, _MILE, _POUND = ("inches",), ("feet", "ft"), ("miles",), ("pounds", "lb")
_TIME = (
    Pair(_MINUTE, _SECOND, 60),
    Pair(_HOUR, _MINUTE, 60),
    Pair(_DAY, _HOUR, 24),
    Pair(("weeks",), _DAY, 7),
    Pair(_YEAR, ("months",), 12),
)
_IMPERIAL = (
    Pair(_FOOT, _INCH, 12),
    Pair(("yards",), _FOOT, 3),
    Pair(_POUND, ("ounces", "oz"), 16),
    Pair(("gallons",), ("quarts",), 4),
)
_DECIMAL = (
    Pair(_KILOMETRE, _METRE, 1000),
    Pair(_METRE, _CENTIMETRE, 100),
    Pair(_METRE, _MILLIMETRE, 1000),
    Pair(_CENTIMETRE, _MILLIMETRE, 10),
    Pair(_KILOMETRE, _CENTIMETRE, 100000),
    Pair(_KILOGRAM, _GRAM, 1000),
    Pair(("t", "tonnes"), _KILOGRAM, 1000),
    Pair(_GRAM, ("mg", "milligrams"), 1000),
    Pair(_LITRE, ("ml", "millilitres", "milliliters"), 1000),
    Pair(_LITRE, ("cl", "centilitres"), 100),
    Pair(("decades",), _YEAR, 10),
    Pair(("centuries",), _YEAR, 100),
)
_DIVIDED = (*_TIME, *_IMPERIAL)
_MULTIPLIED = (*_DIVIDED, Pair(_HOUR, _SECOND, 3600), Pair(_DAY, _MINUTE, 1440))
LARGER = (*_DECIMAL, *_MULTIPLIED)
_ACROSS = (
    Pair(_INCH, _CENTIMETRE, 254, 2),
    Pair(_MILE, _KILOMETRE, 1609, 3),
    Pair(_KILOMETRE, _MILE, 621, 3),
    Pair(_POUND, _KILOGRAM, 454, 3),
    Pair(_KILOGRAM, _POUND, 2205, 3),
    Pair(_FOOT, _METRE, 305, 3),
    Pair(_METRE, _FOOT, 3281, 3),
)
_FRAMES = (
    "How many {to} are {n} {of}?",
    "How many {to} are in {n} {of}?",
    "Convert {n} {of} to {to}.",
    "Convert {n} {of} into {to}",
    "What is {n} {of} in {to}?",
    "{n} {of} in {to}",
    "{n} {of} to {to}?",
    "How many {to} is {n} {of}?",
    "{n} {of} = ? {to}",
)
_SEVERAL = (*_FRAMES, "What are {n} {of} in {to}?")
_MIXED = (
    "How many {large} and {small} are {n} {small}?",
    "Convert {n} {small} to {large} and {small}.",
    "What is {n} {small} in {large} and {small}?",
)
_CELSIUS, _FAHRENHEIT = ("Celsius", "degrees Celsius", "\u00b0C"), ("Fahrenheit", "degrees Fahrenheit", "\u00b0F")
_SINGULAR = {"feet": "foot", "inches": "inch", "centuries": "century"}


_Drawn = tuple[int | str, Problem, list[Step]]
"""The amount, the problem, and the operations whose working it shows."""


def units(random: Random, *, held: bool) -> Problem:
    """One conversion, of the kept amounts or of the others."""
    draw = random.choices(
        (_to_small, _to_large, _to_both, _to_quotient, _decimal, _across, _temperature), (4, 3, 2, 2, 2, 2, 1)
    )[0]
    while True:
        amount, problem, steps = draw(random)
        if kept(f"{problem.cell} {amount}") == held and (held or not any_kept(steps)):
            return problem


def _to_small(random: Random) -> _Drawn:
    pair = random.choice(LARGER)
    moved = pair in _DECIMAL
    amount = random.randrange(1, 10 ** random.randrange(1, 4) if moved else 100)
    question, (medium, high) = _asked(random, amount, pair.large, pair.small), _multiplied(amount, pair)
    # Medium effort multiplies at a glance, high digit by digit where digits are more than moved.
    reasoning = thoughts(medium, medium if moved else high)
    steps: list[Step] = [] if moved else [("*", amount, pair.factor)]
    return amount, Problem("unit, to smaller", question, str(amount * pair.factor), reasoning), steps


def _multiplied(amount: int, pair: Pair) -> tuple[str, str]:
    """The product of an amount and the factor's digits, at a glance and digit by digit."""
    term = f"{_said(pair)}\n{amount}*{pair.factor}"
    return f"{term}={amount * pair.factor}", f"{term}\n{working('*', amount, pair.factor, Effort.HIGH)}"


def _across(random: Random) -> _Drawn:
    """By a rounded factor: multiplied without its point, which is then put in its place."""
    pair, amount = random.choice(_ACROSS), random.randrange(1, 100)
    product = amount * pair.factor
    answer = shifted(product, pair.places)
    last = f"{product}/{10**pair.places}={answer}"
    medium, high = (f"{text}\n{last}" for text in _multiplied(amount, pair))
    question = _asked(random, amount, pair.large, pair.small)
    return amount, Problem("unit, across", question, answer, thoughts(medium, high)), [("*", amount, pair.factor)]


def _decimal(random: Random) -> _Drawn:
    """One or two decimals of a unit in one that has a power of ten of it."""
    pair, places = random.choice(_DECIMAL), random.choice((1, 2))
    digits = 10 * random.randrange(10 ** random.randrange(1, 4)) + random.randrange(1, 10)
    amount = shifted(digits, places)
    answer, moved = _moved(digits, places, pair.factor)
    reasoning = thoughts(f"{_said(pair)}\n{amount}*{pair.factor}\n{moved}")
    return amount, Problem("unit, decimal", _asked(random, amount, pair.large, pair.small), answer, reasoning), []


def _moved(digits: int, places: int, factor: int) -> tuple[str, str]:
    """Digits with so many decimals times a power of ten: without the point, and what is left of the factor.

    >>> _moved(25, 1, 1000), _moved(25, 1, 10), _moved(275, 2, 10)
    (('2500', '25*100=2500'), ('25', '25'), ('27.5', '275/10=27.5'))
    """
    above, below = max(1, factor // 10**places), max(1, 10**places // factor)
    if below > 1:
        answer = shifted(digits, len(str(below)) - 1)
        return answer, f"{digits}/{below}={answer}"
    answer = str(digits * above)
    return answer, f"{digits}*{above}={answer}" if above > 1 else answer


def _to_large(random: Random) -> _Drawn:
    pair = random.choice(_DECIMAL)
    amount = random.randrange(1, 10 ** random.randrange(2, 5))
    if random.random() < 0.5:
        amount *= 10
    answer = shifted(amount, len(str(pair.factor)) - 1)
    question = _asked(random, amount, pair.small, pair.large)
    working = f"{_said(pair)}\n{amount}/{pair.factor}={answer}"
    return amount, Problem("unit, to larger", question, answer, thoughts(working)), []


def _to_both(random: Random) -> _Drawn:
    """Asked for in both units."""
    pair = random.choice(_DIVIDED)
    amount = random.randrange(pair.factor + 1, pair.factor * random.choice((4, 10, 16)))
    question = random.choice(_MIXED).format(large=pair.large[0], small=pair.small[0], n=amount)
    cell = "unit, time" if pair in _TIME else "unit, imperial"
    problem = Problem(cell, question, _in_both(amount, pair), _quotient(amount, pair))
    return amount, problem, [("/", amount, pair.factor)]


def _to_quotient(random: Random) -> _Drawn:
    """Asked for in the larger unit alone: the number where nothing is left, both units where something is."""
    pair = random.choice(_DIVIDED)
    count = random.randrange(2, 17)
    rest = random.randrange(pair.factor) if random.random() < 0.3 else 0
    amount = pair.factor * count + rest
    question, answer = _asked(random, amount, pair.small, pair.large), _in_both(amount, pair) if rest else str(count)
    problem = Problem("unit, divided", question, answer, _quotient(amount, pair))
    return amount, problem, [("/", amount, pair.factor)]


def _quotient(amount: int, pair: Pair) -> dict[Effort, str]:
    """The working of an amount of the smaller unit divided by the factor."""
    return {
        effort: f"{_said(pair)}\n{amount}/{pair.factor}\n{divided(amount, pair.factor, effort)}"
        for effort in (Effort.MEDIUM, Effort.HIGH)
    }


def _in_both(amount: int, pair: Pair) -> str:
    """An amount of the smaller unit.

    >>> _in_both(50, Pair(("days",), ("hours",), 24)), _in_both(12, Pair(("feet",), ("inches",), 12))
    ('2 days 2 hours', '1 foot')
    """
    quotient, rest = divmod(amount, pair.factor)
    whole = _counted(quotient, pair.large[0])
    return f"{whole} {_counted(rest, pair.small[0])}" if rest else whole


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


def _asked(random: Random, amount: int | str, of: tuple[str, ...], to: tuple[str, ...]) -> str:
    frame = random.choice(_FRAMES if amount == 1 else _SEVERAL)
    return frame.format(n=amount, of=_named(amount, random.choice(of)), to=random.choice(to))


def _said(pair: Pair) -> str:
    return f"1 {_named(1, pair.large[0])}={pair.ratio} {pair.small[0]}"


def _counted(amount: int, unit: str) -> str:
    return f"{amount} {_named(amount, unit)}"


def _named(amount: int | str, unit: str) -> str:
    """A unit's name for that many of it; signs have no plural.

    >>> _named(1, "feet"), _named(2, "feet"), _named(1, "hours"), _named(1, "ft"), _named("0.5", "hours")
    ('foot', 'feet', 'hour', 'ft', 'hours')
    """
    if amount != 1 or len(unit) < 3 or unit.startswith("degrees"):
        return unit
    return _SINGULAR.get(unit, unit.removesuffix("s"))
