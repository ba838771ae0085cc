"""Sorting by a walk: words along the alphabet, numbers along the lengths and, where there are any, first digits.

To pick the next smallest of several is too much for one glance. Whether any word begins with an `a` is one look, and so
it is for `b` and all others: they are asked in turn, and what is found gets the next number. Words are of letters from
a to z, numbers have no sign, and any two items differ.
"""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise, starmap
from random import Random
from string import ascii_lowercase, digits

from recipes.nano.arithmetic import first_unlike, labelled, written
from recipes.nano.letters import numbered
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import word

__all__ = ["glanced", "ordering", "walked"]

_LETTERS = 4
_LONGEST = 6
_SPACED = 0.25
_ALIKE = 0.5

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
    """Three to six numbers or words, or so many, either way round.

    Some learned ones have spaces alone between them, and in at least half of what is learned two or more begin alike.
    """
    spaced = not held and random.random() < _SPACED if spaced is None else spaced
    backwards, numbers = random.random() < 0.45, random.random() < 0.5
    count = count or random.randrange(3, 7 if numbers else 6)
    alike = not held and random.random() < _ALIKE
    while True:
        items = [_number(random) if numbers else word(random, held=held) for _ in range(count)]
        if alike and len(set(map(_beginning, items))) == count:
            continue
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
    """Each item behind its key, a word's first letters or a number's length and digits; and all that in order.

    >>> print(glanced(["pear", "apple"]))
    p1e2a3r4:pear,a1p2p3l4:apple
    a1p2p3l4:apple,p1e2a3r4:pear
    """
    return "\n".join(",".join(map(_keyed, some)) for some in (items, _in_order(items, backwards=backwards)))


def walked(items: Sequence[str], *, backwards: bool = False) -> str:
    """Each item behind its key; the walk along all beginnings of keys, which get numbers; and the items by those.

    A number stands before the beginning again, so that whoever looks for it later finds what follows. Where several
    begin alike, the rests of their keys stand in brackets first, in the order in which they were said, and then any two
    of them are compared, place by place: which is smaller does not depend on the way, and which comes first does.

    >>> print(walked(["630", "7", "645"], backwards=True).replace(";1a6;1a5;1a4;1a3;1a2;1a1;1a0", ""))
    3a6b3c0:630,1a7:7,3a6b4c5:645
    6;5;4;3a9;3a8;3a7;3a6[b3c0,b4c5]b3<b4#1,3a6b4c5;3a6#2,3a6b3c0;3a5;3a4;3a3;3a2;3a1;3a0;2;1a9;1a8;1a7#3,1a7
    #1,3a6b4c5:645,#2,3a6b3c0:630,#3,1a7:7
    >>> print(walked(["dog", "bit", "big"]).replace(";e1;f1;g1;h1;i1;j1;k1;l1;m1;n1;o1;p1;q1;r1;s1;t1;u1;v1", ""))
    d1o2g3:dog,b1i2t3:bit,b1i2g3:big
    a1;b1[i2t3,i2g3]i2=i2,t3>g3#1,b1i2g3;b1#2,b1i2t3;c1;d1#3,d1;w1;x1;y1;z1
    #1,b1i2g3:big,#2,b1i2t3:bit,#3,d1o2g3:dog
    """
    ordered = _in_order(items, backwards=backwards)
    walk = ";".join(_step(beginning, items, ordered) for beginning in _beginnings(items, backwards=backwards))
    found = (f"#{number},{_keyed(item)}" for number, item in enumerate(ordered, 1))
    return "\n".join((",".join(map(_keyed, items)), walk, ",".join(found)))


def _step(beginning: str, items: Sequence[str], ordered: Sequence[str]) -> str:
    """One beginning, and the numbers of all that have it."""
    rests = {item: _key(item).removeprefix(beginning) for item in items if _beginning(item) == beginning}
    if len(rests) < 2:
        return beginning + "".join(f"#{ordered.index(item) + 1},{beginning}" for item in rests)
    compared = "/".join(starmap(_compared, combinations(rests.values(), 2)))
    found = [f"#{number},{beginning}{rests[item]}" for number, item in enumerate(ordered, 1) if item in rests]
    return f"{beginning}[{','.join(rests.values())}]{compared}" + f";{beginning}".join(found)


def _compared(one: str, other: str) -> str:
    """Two rests of keys as far as they are level, and the first place in which they are not.

    >>> _compared("b3c0", "b3c7"), _compared("e2s3", "a2r3")
    ('b3=b3,c0<c7', 'e2>a2')
    """
    size = min(len(one), len(other))
    return first_unlike(*([(place, place) for place in re.findall("..", rest[:size])] for rest in (one, other)))


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


def _key(item: str) -> str:
    """A word's first letters with their numbers; of a number how many digits it has, and those by their letters."""
    if item.isdigit():
        return f"{len(item)}{written(labelled(int(item), ascii_lowercase))}"
    return numbered(item[:_LETTERS])


def _keyed(item: str) -> str:
    return f"{_key(item)}:{item}"


def _in_order(items: Sequence[str], *, backwards: bool) -> list[str]:
    return sorted(items, key=int if items[0].isdigit() else None, reverse=backwards)


def _distinct(items: list[str]) -> bool:
    """Whether any two differ, words in their first letters."""
    if items[0].isdigit():
        return len(set(items)) == len(items)
    beginnings = sorted(item[:_LETTERS] for item in items)
    return not any(after.startswith(before) for before, after in pairwise(beginnings))


def _number(random: Random) -> str:
    return str(random.randrange(10 ** random.randrange(1, 5)))
