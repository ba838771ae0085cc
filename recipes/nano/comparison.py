"""Which of two numbers is larger or smaller, also behind a decimal point."""

from random import Random

from recipes.nano.arithmetic import Labelled, compared, first_difference, labelled, of_digits, written
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["comparison", "decimal_comparison"]

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
    question, larger = _question(random, str(a), str(b))
    answer = max(a, b) if larger else min(a, b)
    high = f"{written(labelled(a, 'abcde'))}?{written(labelled(b, 'vwxyz'))}\n{compared(a, b)}"
    return Problem("comparison", question, str(answer), thoughts(">" if a > b else "<", high))


def decimal_comparison(random: Random, *, held: bool) -> Problem:
    """Two decimals, mostly of one whole number and of different lengths: 9.11 has more digits than 9.9, and is less."""
    while True:
        a, b = _decimals(random)
        if float(a) != float(b) and kept(f"{a}?{b}") == held:
            break
    question, larger = _question(random, a, b)
    answer = max(a, b, key=float) if larger else min(a, b, key=float)
    medium = ">" if float(a) > float(b) else "<"
    return Problem("comparison of decimals", question, answer, thoughts(medium, _decimals_compared(a, b)))


def _question(random: Random, a: str, b: str) -> tuple[str, bool]:
    """The question, and whether it asks for the larger one."""
    larger = random.random() < 0.5
    word = random.choice(_LARGER if larger else _SMALLER)
    return random.choice(_FRAMES).format(word=word, a=a, b=b), larger


def _decimals_compared(a: str, b: str) -> str:
    """The whole numbers, and where these are level the digits behind the point one by one; none counts as 0.

    >>> print(_decimals_compared("9.11", "9.9"))
    a9.p1q1?v9.s9
    a=v,a9=v9
    p1<s9
    >>> print(_decimals_compared("0.3", "0.34"))
    a0.p3?v0.s3t4
    a=v,a0=v0
    p3=s3,q0<t4
    """
    (first, above), (second, below) = _parts(a, "abc", "pqr"), _parts(b, "vwx", "stu")
    lines = [f"{written(first)}.{written(above)}?{written(second)}.{written(below)}"]
    one, other = (int(number.split(".")[0]) for number in (a, b))
    lines.append(compared(one, other))
    if one == other:
        lines.append(first_difference(_padded(above, "pqr"), _padded(below, "stu")))
    return "\n".join(lines)


def _parts(number: str, whole: str, behind: str) -> tuple[Labelled, Labelled]:
    before, after = number.split(".")
    return labelled(int(before), whole), [(letter, int(digit)) for letter, digit in zip(behind, after, strict=False)]


def _padded(digits: Labelled, letters: str) -> Labelled:
    return digits + [(letter, 0) for letter in letters[len(digits) :]]


def _decimals(random: Random) -> tuple[str, str]:
    """Of up to two digits before the point, and up to three behind it."""
    whole = random.randrange(random.choice((2, 10, 100)))
    other = whole if random.random() < 0.8 else random.randrange(100)
    digits = "".join(random.choices("0123456789", k=random.randrange(1, 4)))
    rest = "".join(random.choices("0123456789", k=random.randrange(1, 4)))
    if random.random() < 0.3:
        rest = (digits[: random.randrange(1, 3)] + rest)[:3]
    return f"{whole}.{digits}", f"{other}.{rest}"


def _pair(random: Random) -> tuple[int, int]:
    size = random.randrange(1, 6)
    a = of_digits(random, size)
    kind = random.random()
    if kind < 0.4:
        return a, of_digits(random, size)
    if kind < 0.7:
        part = 10 ** random.randrange(size)
        return a, a // part * part + random.randrange(part)
    return a, random.randrange(10 ** random.randrange(1, 6))
