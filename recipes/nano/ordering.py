"""Sorting by a walk: words along the alphabet, numbers along the lengths and, where there are any, first digits.

To pick the next smallest of several is too much for one glance. Whether any word begins with an `a` is one look, and so
it is for `b` and all others: they are asked in turn, and what is found gets the next number. Words are of letters from
a to z, numbers have no sign, and any two items differ.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from string import ascii_lowercase, digits

from recipes.nano.letters import numbered
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import word

__all__ = ["glanced", "ordering", "walked"]

_LETTERS, _COMPARED = 3, 4
_LONGEST = 6
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
    ordered = _in_order(items, backwards=backwards)
    frame = random.choice((_NUMBERS if numbers else _WORDS)[backwards])
    question = frame.format(" ".join(items) if spaced else ", ".join(items))
    question = question[0].lower() + question[1:].rstrip(".") if spaced and random.random() < 0.5 else question
    cell, way = "sort numbers" if numbers else "sort words", "Descending." if backwards else "Ascending."
    medium, high = (working(items, backwards=backwards) for working in (glanced, walked))
    return Problem(cell, question, ", ".join(ordered), thoughts(f"{way}\n{medium}", f"{way}\n{high}"))


def glanced(items: Sequence[str], *, backwards: bool = False) -> str:
    """Each item behind its key, a word's first letters or a number's length and first digit; and all that in order.

    >>> print(glanced(["pear", "apple"]))
    p1e2a3:pear,a1p2p3:apple
    a1p2p3:apple,p1e2a3:pear
    """
    return "\n".join(",".join(map(_keyed, some)) for some in (items, _in_order(items, backwards=backwards)))


def walked(items: Sequence[str], *, backwards: bool = False) -> str:
    """Each item behind its key; the walk along all beginnings of keys; what was found, by the numbers that it got.

    Where several begin alike, what tells them apart stands in brackets first, in the order in which they were said, and
    then before each.

    >>> print(walked(["630", "7", "645"], backwards=True))
    3a6:630,1a7:7,3a6:645
    6;5;4;3a9;3a8;3a7;3a6[3,4]#1b4:645;3a6#2b3:630;3a5;3a4;3a3;3a2;3a1;3a0;2;1a9;1a8;1a7#3:7;1a6;1a5;1a4;1a3;1a2;1a1;1a0
    #1b4:645,#2b3:630,#3:7
    >>> print(walked(["dog", "bit", "bat"]).replace(";e1;f1;g1;h1;i1;j1;k1;l1;m1;n1;o1;p1;q1;r1;s1;t1;u1;v1", ""))
    d1o2g3:dog,b1i2t3:bit,b1a2t3:bat
    a1;b1[i,a]#1a2t3:bat;b1#2i2t3:bit;c1;d1#3o2g3:dog;w1;x1;y1;z1
    #1a2t3:bat,#2i2t3:bit,#3o2g3:dog
    """
    ordered = _in_order(items, backwards=backwards)
    found = {item: f"#{number}{_rest(item, items)}" for number, item in enumerate(ordered, 1)}
    walk = ";".join(_step(beginning, items, found) for beginning in _beginnings(items, backwards=backwards))
    return "\n".join((",".join(map(_keyed, items)), walk, ",".join(found.values())))


def _step(beginning: str, items: Sequence[str], found: Mapping[str, str]) -> str:
    """One beginning, and all that have it."""
    alike = [item for item in items if _beginning(item) == beginning]
    rests = f"[{','.join(_told_apart(alike))}]" if len(alike) > 1 else ""
    return beginning + rests + f";{beginning}".join(said for item, said in found.items() if item in alike)


def _told_apart(items: Sequence[str]) -> list[str]:
    """As much of each, after its first letter, as makes them differ.

    >>> _told_apart(["teha", "tea", "toe"])
    ['eh', 'ea', 'oe']
    """
    size = next(
        size for size in range(2, max(map(len, items)) + 1) if len({item[:size] for item in items}) == len(items)
    )
    return [item[1:size] for item in items]


def _rest(item: str, items: Sequence[str]) -> str:
    """What follows the beginning of a word's key; of a number what tells it from those that begin alike."""
    if not item.isdigit():
        return _keyed(item).removeprefix(_beginning(item))
    alike = [other for other in items if _beginning(other) == _beginning(item)]
    apart = _told_apart(alike)[alike.index(item)] if len(alike) > 1 else ""
    return "".join(map(str.__add__, ascii_lowercase[1:], apart)) + f":{item}"


def _beginnings(items: Sequence[str], *, backwards: bool) -> list[str]:
    """All that are asked in turn: the letters; or the lengths, of those that there are with each digit."""
    way = -1 if backwards else 1
    if not items[0].isdigit():
        return [f"{letter}1" for letter in ascii_lowercase[::way]]
    lengths = {len(item) for item in items}
    asked = range(1, max(_LONGEST, *lengths) + 1)[::way]
    return [
        beginning
        for length in asked
        for beginning in ([f"{length}a{digit}" for digit in digits[::way]] if length in lengths else [f"{length}"])
    ]


def _beginning(item: str) -> str:
    return f"{len(item)}a{item[0]}" if item.isdigit() else f"{item[0]}1"


def _keyed(item: str) -> str:
    return f"{_beginning(item) if item.isdigit() else numbered(item[:_LETTERS])}:{item}"


def _in_order(items: Sequence[str], *, backwards: bool) -> list[str]:
    return sorted(items, key=int if items[0].isdigit() else None, reverse=backwards)


def _distinct(items: list[str]) -> bool:
    """Whether any two differ, words in their first letters."""
    if items[0].isdigit():
        return len(set(items)) == len(items)
    beginnings = sorted(item[:_COMPARED] for item in items)
    return not any(after.startswith(before) for before, after in pairwise(beginnings))


def _number(random: Random) -> str:
    return str(random.randrange(10 ** random.randrange(1, 5)))
