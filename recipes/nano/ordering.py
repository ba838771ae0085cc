"""Sorting numbers and words, one after the other taken out of what is left."""

from random import Random

from recipes.nano.problem import Problem, kept, thoughts
from recipes.nano.words import word

__all__ = ["ordering", "taken_out"]

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
    return Problem(cell, question, ", ".join(ordered), thoughts(way, f"{way}\n{taken_out(items, ordered)}"))


def taken_out(items: list[str], ordered: list[str]) -> str:
    """Line by line what comes next, and what is left in the order in which it was said.

    >>> taken_out(["12", "7", "305"], ["7", "12", "305"])
    '7:12,305\\n12:305\\n305'
    """
    left, lines = list(items), []
    for item in ordered:
        left.remove(item)
        lines.append(f"{item}:{','.join(left)}" if left else item)
    return "\n".join(lines)


def _number(random: Random) -> str:
    return str(random.randrange(10 ** random.randrange(1, 5)))
