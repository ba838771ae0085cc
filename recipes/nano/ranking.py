"""Who is the tallest: people in an order that is told by comparing two of them at a time."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from recipes.nano.problem import Problem, thoughts, worded
from recipes.nano.words import name

__all__ = ["ranked", "ranking"]

_PAIRS = (
    ("taller", "shorter"),
    ("older", "younger"),
    ("faster", "slower"),
    ("heavier", "lighter"),
    ("larger", "smaller"),
    ("richer", "poorer"),
)
Pair = tuple[str, str]


def ranked(random: Random, *, held: bool) -> Problem:
    """Two to four people compared by one pair of words; who comes first or last, or whether one is before another."""
    order, words = _people(random, random.choice((2, 3, 3, 4)), held=held), random.choice(_PAIRS)
    told = random.sample([*pairwise(order)], len(order) - 1)
    premises = [_compared(random, pair, words) for pair in told]
    draw = random.choice((_extreme, _extreme, _better, _whether, _whether))
    question, answer, found = draw(random, order, words)
    high = f"{ranking(told)}\n{found}"
    return Problem("ranking", " ".join([*premises, question]), answer, thoughts(">".join(order), high))


def ranking(told: Sequence[Pair]) -> str:
    """What is told, as it is read; from the first told up to the top; from there all down.

    >>> ranking([("Ben", "Carl"), ("Ann", "Ben")])
    'Ben>Carl\\nAnn>Ben\\nBen<Ann\\nAnn>Ben>Carl'
    >>> ranking([("Ann", "Ben"), ("Ben", "Carl")])
    'Ann>Ben\\nBen>Carl\\nAnn\\nAnn>Ben>Carl'
    >>> ranking([("Ann", "Ben")])
    'Ann>Ben'
    """
    lines = [f"{a}>{b}" for a, b in told]
    if len(told) == 1:
        return lines[0]
    up = _walk(told[0][0], {b: a for a, b in told})
    return "\n".join([*lines, "<".join(up), ">".join(_walk(up[-1], dict(told)))])


def _walk(start: str, following: dict[str, str]) -> list[str]:
    path = [start]
    while path[-1] in following:
        path.append(following[path[-1]])
    return path


def _people(random: Random, count: int, *, held: bool) -> list[str]:
    people: list[str] = []
    while len(people) < count:
        one = name(random, held=held)
        if " " not in one and one not in people:
            people.append(one)
    return people


def _compared(random: Random, pair: Pair, words: Pair) -> str:
    """Either one's side of it."""
    more, less = pair
    return random.choice((f"{more} is {words[0]} than {less}.", f"{less} is {words[1]} than {more}."))


def _extreme(random: Random, order: Sequence[str], words: Pair) -> tuple[str, str, str]:
    """Who comes first or last; of two, the comparative."""
    end = random.choice((0, 1))
    said = words[end] if len(order) == 2 else f"{words[end].removesuffix('er')}est"
    who = order[-end]
    return worded(random, f"Who is [the |]{said}?"), who, f"{said}:{who}"


def _better(random: Random, order: Sequence[str], words: Pair) -> tuple[str, str, str]:
    """Which of two named ones."""
    a, b = random.sample(order, 2)
    end = random.choice((0, 1))
    first, last = sorted((a, b), key=order.index)
    who = (first, last)[end]
    return f"Who is {words[end]}, {a} or {b}?", who, f"{first}>{last},{words[end]}:{who}"


def _whether(random: Random, order: Sequence[str], words: Pair) -> tuple[str, str, str]:
    """Whether one is before, or behind, another."""
    a, b = random.sample(order, 2)
    end = random.choice((0, 1))
    claimed = (a, b) if end == 0 else (b, a)
    true = order.index(claimed[0]) < order.index(claimed[1])
    said = "yes" if true else "no"
    return f"Is {a} {words[end]} than {b}?", f"{said.capitalize()}.", f"{'>'.join(claimed)}:{said}"
