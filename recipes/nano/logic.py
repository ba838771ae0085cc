"""Simple logic: what is true of and, or, not; what follows from "all", "no" and "if"."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import name, word

__all__ = ["conclusion", "truth"]

_UNKNOWN = "That does not follow."
_TRUTH = ("Is {} true?", "Is {} true or false?", "What is {}?", "Evaluate {}.", "{}?")
_WORDINGS = (
    {
        "all": "All {a} are {b}.",
        "no": "No {a} are {b}.",
        "one": "{a} is one of the {b}.",
        "all?": "Are all {a} {b}?",
        "one?": "Is {a} one of the {b}?",
    },
    {
        "all": "Every {a} is {one}.",
        "no": "No {a} is {one}.",
        "one": "{a} is {one}.",
        "all?": "Is every {a} {one}?",
        "one?": "Is {a} {one}?",
    },
)
# No thing and nobody is called so.
_SAYING = {"a", "all", "an", "are", "every", "if", "is", "it", "no", "not", "of", "one", "or", "some", "the"}


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
    """What follows from one to three sentences about invented things: yes, no, or nothing."""
    words = _Words(_things(random, held=held), _who(random, held=held), random.choice(_WORDINGS))
    draw = random.choice((_chain, _chain, _individual, _individual, _none, _condition, _condition, _either, _some))
    premises, asked, answer, high = draw(random, words)
    if random.random() < 0.3:
        premises = random.sample(premises, len(premises))
    return Problem("conclusion", " ".join([*premises, asked]), answer, thoughts(high.partition(":")[0], high))


class _Words(NamedTuple):
    """What a conclusion is about, and the patterns that it is told by."""

    things: list[str]
    who: str
    wording: dict[str, str]

    def say(self, kind: str, a: str, b: str) -> str:
        """A sentence about two of them."""
        return self.wording[kind].format(a=a, b=b, one=f"{'an' if b[0] in 'aeiou' else 'a'} {b}")


Drawn = tuple[list[str], str, str, str]


def _things(random: Random, *, held: bool) -> list[str]:
    things: list[str] = []
    while len(things) < 4:
        if (one := word(random, held=held)) not in things and one not in _SAYING:
            things.append(one)
    return things


def _who(random: Random, *, held: bool) -> str:
    while _SAYING & {*(who := name(random, held=held)).lower().split()}:
        pass
    return who


def _chain(random: Random, words: _Words) -> Drawn:
    """All A are B, all B are C: all A are C, but not the other way round."""
    path = words.things[: random.choice((3, 4))]
    premises, written = _all(words, path), ",".join(path)
    if random.random() < 0.6:
        return premises, words.say("all?", path[0], path[-1]), "Yes.", f"{written}:yes"
    return premises, words.say("all?", path[-1], path[0]), _UNKNOWN, f"{written}:not from {path[-1]} to {path[0]}"


def _all(words: _Words, path: Sequence[str]) -> list[str]:
    return [words.say("all", a, b) for a, b in pairwise(path)]


def _individual(random: Random, words: _Words) -> Drawn:
    """All A are B, and perhaps all B are C; somebody is one of A."""
    who, other = words.who, words.things[3]
    path = words.things[: random.choice((2, 2, 3))]
    known, asked = random.choice(((path[0], path[-1]),) * 3 + ((other, path[0]), (path[-1], path[0])))
    premises = [*_all(words, path), words.say("one", who, known)]
    yes = known == path[0]
    high = f"{who},{','.join(path)}:yes" if yes else f"{who},{known}:not to {asked}"
    return premises, words.say("one?", who, asked), "Yes." if yes else _UNKNOWN, high


def _none(random: Random, words: _Words) -> Drawn:
    """No A are B, somebody is one of A."""
    a, b, *_ = words.things
    known, other = (a, b) if random.random() < 0.5 else (b, a)
    premises = [words.say("no", a, b), words.say("one", words.who, known)]
    return premises, words.say("one?", words.who, other), "No.", f"{words.who},{known},no {other}:no"


def _condition(random: Random, words: _Words) -> Drawn:
    """If A then B, and perhaps if B then C: from A follows C, from not C not A; nothing from C or from not A."""
    path = words.things[: random.choice((2, 3))]
    first, last = path[0], path[-1]
    fact, asked, answer, high = random.choice(
        (
            (f"It is {first}.", last, "Yes.", f"{' so '.join(path)}:yes"),
            (f"It is not {last}.", first, "No.", f"{' so '.join(f'not {one}' for one in reversed(path))}:no"),
            (f"It is {last}.", first, _UNKNOWN, f"{last} not from {path[-2]} alone"),
            (f"It is not {first}.", last, _UNKNOWN, f"not {first} says nothing of {path[1]}"),
        )
    )
    return [*(f"If it is {a}, it is {b}." for a, b in pairwise(path)), fact], f"Is it {asked}?", answer, high


def _either(random: Random, words: _Words) -> Drawn:
    """A or B: from not A follows B; nothing from A."""
    a, b = words.things[:2]
    known, other = random.sample((a, b), 2)
    premise, asked = f"It is {a} or {b}.", f"Is it {other}?"
    if random.random() < 0.5:
        return [premise, f"It is not {known}."], asked, "Yes.", f"{a} or {b},not {known} so {other}:yes"
    return [premise, f"It is {known}."], asked, _UNKNOWN, f"{a} or {b},{known} says nothing of {other}"


def _some(random: Random, words: _Words) -> Drawn:
    """Some A are B: of all A, or of one of them, that says nothing."""
    a, b, *_ = words.things
    premises, high = [f"Some {a} are {b}."], f"some {a},not all"
    if random.random() < 0.6:
        return premises, words.say("all?", a, b), _UNKNOWN, high
    return [*premises, words.say("one", words.who, a)], words.say("one?", words.who, b), _UNKNOWN, high


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
