"""Simple logic: what is true of and, or, not; what follows from "all", "no" and "if"."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import name, word

__all__ = ["conclusion", "truth"]

_UNKNOWN = "That does not follow."
_TRUTH = ("Is {} true?", "Is {} true or false?", "What is {}?", "Evaluate {}.", "{}?")


def truth(random: Random, *, held: bool) -> Problem:
    """An expression of true and false with one to three operators, worked from the inside."""
    while True:
        tree = _tree(random, random.randrange(1, 4))
        text = _text(tree)
        if text.startswith("("):
            text = text[1:-1]
        if kept(text) == held:
            break
    lines: list[str] = []
    value = _evaluated(tree, lines)
    # Medium effort says of every operator only what it gives.
    reasoning = thoughts(",".join(line.partition("=")[2] for line in lines), "\n".join(lines))
    return Problem("truth", random.choice(_TRUTH).format(text), _word(value), reasoning)


def conclusion(random: Random, *, held: bool) -> Problem:
    """What follows from two or three sentences about invented things: yes, no, or nothing."""
    things: list[str] = []
    while len(things) < 4:
        if (one := word(random, held=held)) not in things:
            things.append(one)
    draw = random.choice((_chain, _chain, _individual, _none, _condition))
    premises, asked, answer, high = draw(random, things, name(random, held=held))
    if random.random() < 0.3:
        premises = random.sample(premises, len(premises))
    return Problem("conclusion", " ".join([*premises, asked]), answer, thoughts(high.partition(":")[0], high))


Drawn = tuple[list[str], str, str, str]


def _chain(random: Random, things: Sequence[str], _: str) -> Drawn:
    """All A are B, all B are C: all A are C, but not the other way round."""
    count = random.choice((2, 3))
    premises = [f"All {a} are {b}." for a, b in pairwise(things[: count + 1])]
    path = ",".join(things[: count + 1])
    if random.random() < 0.6:
        return premises, f"Are all {things[0]} {things[count]}?", "Yes.", f"{path}:yes"
    asked = f"Are all {things[count]} {things[0]}?"
    return premises, asked, _UNKNOWN, f"{path}:not from {things[count]} to {things[0]}"


def _individual(random: Random, things: Sequence[str], who: str) -> Drawn:
    """All A are B, somebody is one of A."""
    a, b, c, _ = things
    if random.random() < 0.6:
        return (
            [f"All {a} are {b}.", f"{who} is one of the {a}."],
            f"Is {who} one of the {b}?",
            "Yes.",
            f"{who},{a},{b}:yes",
        )
    asked = f"Is {who} one of the {a}?"
    return [f"All {a} are {b}.", f"{who} is one of the {c}."], asked, _UNKNOWN, f"{who},{c}:not to {a}"


def _none(random: Random, things: Sequence[str], who: str) -> Drawn:
    """No A are B, somebody is one of A."""
    a, b, *_ = things
    known, other = (a, b) if random.random() < 0.5 else (b, a)
    premises = [f"No {a} are {b}.", f"{who} is one of the {known}."]
    return premises, f"Is {who} one of the {other}?", "No.", f"{who},{known},no {other}:no"


def _condition(random: Random, things: Sequence[str], _: str) -> Drawn:
    """If A then B: from A follows B, from not B not A; nothing from B or from not A."""
    a, b = things[:2]
    fact, asked, answer, high = random.choice(
        (
            (f"It is {a}.", b, "Yes.", f"{a} so {b}:yes"),
            (f"It is not {b}.", a, "No.", f"not {b} so not {a}:no"),
            (f"It is {b}.", a, _UNKNOWN, f"{b} not from {a} alone"),
            (f"It is not {a}.", b, _UNKNOWN, f"not {a} says nothing of {b}"),
        )
    )
    return [f"If it is {a}, it is {b}.", fact], f"Is it {asked}?", answer, high


def _tree(random: Random, operators: int) -> object:
    """A truth value, ("not", tree) or (tree, "and" or "or", tree), with that many operators."""
    if operators == 0:
        return random.random() < 0.5
    if random.random() < 0.3:
        return ("not", _tree(random, operators - 1))
    left = random.randrange(operators)
    return (_tree(random, left), random.choice(("and", "or")), _tree(random, operators - 1 - left))


def _text(tree: object) -> str:
    match tree:
        case bool():
            return _said(tree)
        case ("not", inner):
            return f"not {_text(inner)}"
        case (left, sign, right):
            return f"({_text(left)} {sign} {_text(right)})"
        case _:
            raise TypeError(f"this would be a truth value or a tree of them, found {tree!r}")


def _evaluated(tree: object, lines: list[str]) -> bool:
    """The tree's value; every operator gets a line when its parts are known."""
    match tree:
        case bool():
            return tree
        case ("not", inner):
            value = _evaluated(inner, lines)
            lines.append(f"not {_said(value)}={_said(not value)}")
            return not value
        case (left, sign, right):
            a, b = _evaluated(left, lines), _evaluated(right, lines)
            value = (a and b) if sign == "and" else (a or b)
            lines.append(f"{_said(a)} {sign} {_said(b)}={_said(value)}")
            return value
        case _:
            raise TypeError(f"this would be a truth value or a tree of them, found {tree!r}")


def _said(value: bool) -> str:
    return "true" if value else "false"


def _word(value: bool) -> str:
    return "True." if value else "False."
