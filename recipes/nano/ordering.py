"""Sorting numbers by their lengths first, and words by their first letters.

To pick the next smallest of several is too much for one glance, and a list that is written anew after every step has
each item in several places to be found at. So every item gets a label and is compared with every other, a place further
back for each that is smaller: only known things are compared, and each is found by what stands nowhere else.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from random import Random

from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import word

__all__ = ["glanced", "ordering", "placed"]

_LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = 4
_SPACED = 0.25

_NUMBERS = {
    False: (
        "Sort {}",
        "Sort these numbers: {}",
        "Put {} in order.",
        "Sort {} in ascending order.",
        "Order {} from smallest to largest.",
    ),
    True: (
        "Sort {} in descending order.",
        "Sort these numbers from largest to smallest: {}",
        "Order {} from largest to smallest.",
        "Sort {} backwards.",
    ),
}
_WORDS = {
    False: (
        "Sort {}",
        "Sort these words: {}",
        "Sort {} alphabetically.",
        "Put {} in alphabetical order.",
        "Order these words from a to z: {}",
    ),
    True: ("Sort {} from z to a.", "Sort {} in reverse alphabetical order.", "Order these words from z to a: {}"),
}
_ASKING = {said for frames in _WORDS.values() for frame in frames for said in re.findall("[a-z]+", frame.lower())}


def ordering(random: Random, *, held: bool, count: int | None = None, spaced: bool | None = None) -> Problem:
    """Three to six numbers or words, or so many, either way round; some learned ones have spaces alone between them."""
    spaced = not held and random.random() < _SPACED if spaced is None else spaced
    backwards, numbers = random.random() < 0.35, random.random() < 0.6
    count = count or random.randrange(3, 7 if numbers else 6)
    while True:
        items = [_number(random) if numbers else word(random, held=held) for _ in range(count)]
        # With spaces alone between them, words that ask are none of those that are sorted.
        if _distinct(items) and not _ASKING & {*items} and (not numbers or kept(" ".join(items)) == held):
            break
    ordered = sorted(items, key=int if numbers else None, reverse=backwards)
    frame = random.choice((_NUMBERS if numbers else _WORDS)[backwards])
    question = frame.format(" ".join(items) if spaced else ", ".join(items))
    question = question[0].lower() + question[1:].rstrip(".") if spaced and random.random() < 0.5 else question
    cell, way = "sort numbers" if numbers else "sort words", "Descending." if backwards else "Ascending."
    # The first label may be any letter, so that more items than were ever sorted have no label that was never met.
    first = random.randrange(1, len(_LABELS) - count) if random.random() < 0.25 else 0
    labelled = dict(zip(_LABELS[first:], items, strict=False))
    medium, high = glanced(labelled, backwards=backwards), placed(labelled, backwards=backwards)
    return Problem(cell, question, ", ".join(ordered), thoughts(f"{way}\n{medium}", f"{way}\n{high}"))


def glanced(items: Mapping[str, str], *, backwards: bool = False) -> str:
    """Each item with its label and what is compared first, and the labels in order, at a glance.

    >>> print(glanced({"A": "pear", "B": "apple"}))
    A1p=pear,B1a=apple
    B,A
    """
    known = ",".join(f"{label}{''.join(_key(item)[0])}={item}" for label, item in items.items())
    return f"{known}\n{','.join(_in_order(items, backwards=backwards))}"


def placed(items: Mapping[str, str], *, backwards: bool = False) -> str:
    """Each item with its label, and with its key: four letters, or a length and digits. Then the places, and the order.

    A row compares a label with every other, part by part until two parts differ; behind each is the place so far, which
    grows with all that are smaller, and at the end the place alone with its label, to be found for the last line. Only
    that line is backwards.

    >>> print(placed({"A": "pear", "B": "apple", "C": "act"}))
    A=pear,B=apple,C=act
    A1p2e3a4r,B1a2p3p4l,C1a2c3t
    A:B1p>a:2C1p>a:3#3A
    B:A1a<p:1C1a=a2p>c:2#2B
    C:A1a<p:1B1a=a2c<p:1#1C
    1C=act,2B=apple,3A=pear
    >>> print(placed({"A": "63", "B": "7", "C": "61"}, backwards=True))
    A=63,B=7,C=61
    A2a6b3,B1a7,C2a6b1
    A:B2>1:2C2=2a6=6b3>1:3#3A
    B:A1<2:1C1<2:1#1B
    C:A2=2a6=6b1<3:1B2>1:2#2C
    3A=63,2C=61,1B=7
    """
    lines = [",".join(f"{label}={item}" for label, item in items.items())]
    lines.append(",".join(label + "".join(map("".join, _key(item))) for label, item in items.items()))
    lines += [_row(label, items) for label in items]
    places = [(_place(items[label], items), label) for label in _in_order(items, backwards=backwards)]
    return "\n".join([*lines, ",".join(f"{place}{label}={items[label]}" for place, label in places)])


def _row(label: str, items: Mapping[str, str]) -> str:
    """A label compared with the others in their order."""
    place, row = 1, f"{label}:"
    for other, item in items.items():
        if other != label:
            compared = _compared(items[label], item)
            place += ">" in compared
            row += f"{other}{compared}:{place}"
    return f"{row}#{place}{label}"


def _compared(one: str, other: str) -> str:
    """Part by part of their keys, to the first that differs."""
    text = ""
    for (mark, mine), (_, its) in zip(_key(one), _key(other), strict=False):
        text += f"{mark}{mine}{'=' if mine == its else '<' if mine < its else '>'}{its}"
        if mine != its:
            break
    return text


def _key(item: str) -> list[tuple[str, str]]:
    """What is compared, in turn, each with its mark: a length, which needs none, and digits; or the first letters."""
    if item.isdigit():
        return [("", str(len(item))), *zip("abcdefg", item, strict=False)]
    return [(str(number), letter) for number, letter in enumerate(item[:_LETTERS], 1)]


def _place(item: str, items: Mapping[str, str]) -> int:
    return 1 + sum(_rank(other) < _rank(item) for other in items.values())


def _in_order(items: Mapping[str, str], *, backwards: bool) -> list[str]:
    return sorted(items, key=lambda label: _rank(items[label]), reverse=backwards)


def _rank(item: str) -> tuple[int, str]:
    return (len(item) if item.isdigit() else 0, item)


def _distinct(items: list[str]) -> bool:
    """Whether any two differ in what is compared."""
    if items[0].isdigit():
        return len(set(items)) == len(items)
    beginnings = sorted(item[:_LETTERS] for item in items)
    return not any(after.startswith(before) for before, after in pairwise(beginnings))


def _number(random: Random) -> str:
    return str(random.randrange(10 ** random.randrange(1, 5)))
