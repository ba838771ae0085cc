"""Which of two numbers is larger or smaller."""

from random import Random

from recipes.nano.arithmetic import compared, labelled, written
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["comparison"]

_LARGER = ("larger", "bigger", "greater")
_SMALLER = ("smaller", "less")
_FRAMES = (
    "Which is {word}, {a} or {b}?",
    "Which number is {word}: {a} or {b}?",
    "Is {a} or {b} {word}?",
    "What is {word}, {a} or {b}?",
    "{a} or {b}: which is {word}?",
)


def comparison(random: Random, *, held: bool) -> Problem:
    """Two different numbers of up to five digits, often of one length, often with the same beginning."""
    while True:
        a, b = _pair(random)
        if a != b and kept(f"{a}?{b}") == held:
            break
    larger = random.random() < 0.5
    question = random.choice(_FRAMES).format(word=random.choice(_LARGER if larger else _SMALLER), a=a, b=b)
    answer = max(a, b) if larger else min(a, b)
    high = f"{written(labelled(a, 'abcde'))}?{written(labelled(b, 'vwxyz'))}\n{compared(a, b)}"
    return Problem("comparison", question, str(answer), thoughts(">" if a > b else "<", high))


def _pair(random: Random) -> tuple[int, int]:
    size = random.randrange(1, 6)
    a = random.randrange(10 ** (size - 1), 10**size)
    kind = random.random()
    if kind < 0.4:
        return a, random.randrange(10 ** (size - 1), 10**size)
    if kind < 0.7:
        part = 10 ** random.randrange(size)
        return a, a // part * part + random.randrange(part)
    return a, random.randrange(10 ** random.randrange(1, 6))
