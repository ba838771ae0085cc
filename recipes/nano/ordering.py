"""Sorting numbers by their lengths first, and words by their first letters."""

from random import Random

from recipes.nano.letters import numbered
from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import word

__all__ = ["by_beginnings", "by_lengths", "ordering"]

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


def ordering(random: Random, *, held: bool, count: int | None = None) -> Problem:
    """Three to six numbers or words, or so many, either way round."""
    backwards, numbers = random.random() < 0.35, random.random() < 0.6
    count = count or random.randrange(3, 7 if numbers else 6)
    while True:
        items = [_number(random) if numbers else word(random, held=held) for _ in range(count)]
        if len(set(items)) == count and (not numbers or kept(" ".join(items)) == held):
            break
    ordered = sorted(items, key=int if numbers else None, reverse=backwards)
    question = random.choice((_NUMBERS if numbers else _WORDS)[backwards]).format(", ".join(items))
    way = "Descending." if backwards else "Ascending."
    cell = "sort numbers" if numbers else "sort words"
    working = by_lengths(items, ordered) if numbers else by_beginnings(items, ordered)
    return Problem(cell, question, ", ".join(ordered), thoughts(way, f"{way}\n{working}"))


def by_lengths(items: list[str], ordered: list[str]) -> str:
    """Each number with its length; those of one length together, as they were said; and in order.

    >>> by_lengths(["12", "7", "305", "9"], ["7", "9", "12", "305"])
    '2:12,1:7,3:305,1:9\\n1:7,9;2:12;3:305\\n1:7,9;2:12;3:305'
    """
    lengths = list(dict.fromkeys(map(len, ordered)))

    def grouped(numbers: list[str]) -> str:
        groups = (",".join(one for one in numbers if len(one) == length) for length in lengths)
        return ";".join(f"{length}:{group}" for length, group in zip(lengths, groups, strict=True))

    return "\n".join((",".join(f"{len(one)}:{one}" for one in items), grouped(items), grouped(ordered)))


def by_beginnings(items: list[str], ordered: list[str]) -> str:
    """Each word with its first letters, and the words in order, likewise.

    >>> by_beginnings(["pear", "apple"], ["apple", "pear"])
    'p1e2a3:pear,a1p2p3:apple\\na1p2p3:apple,p1e2a3:pear'
    """
    return "\n".join(",".join(f"{numbered(one[:3])}:{one}" for one in words) for words in (items, ordered))


def _number(random: Random) -> str:
    return str(random.randrange(10 ** random.randrange(1, 5)))
