"""Operations after each other with their working, and the shortest stories that need one or two."""

import re
from collections.abc import Iterable, Mapping
from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import held_out, working
from recipes.nano.division import divided
from recipes.nano.problem import Problem, kept, worded
from recipes.nano.words import WORDS

__all__ = ["NAMES", "Step", "any_kept", "composed", "line", "result", "story", "worked"]

Step = tuple[str, int, int]

NAMES = ("Tom", "Anna", "Ben", "Lucy", "Sam", "Emma", "Max", "Nina", "Paul", "Rosa", "Leo", "Mia", "Omar", "Ivy")
_STORIES = (
    ("+", "{who} has {a} {things} and [gets|finds|buys|is given] {b} more. How many {things} does {who} have[| now]?"),
    ("+", "There are {a} {things} in one [box|bag|basket] and {b} in another. How many are there [together|in all]?"),
    ("+", "{who} [found|bought|made|saw] {a} {things} on Monday and {b} on Tuesday. How many [in all|is that]?"),
    ("-", "{who} has {a} {things} and [gives away|loses|sells|breaks] {b}. How many are left?"),
    (
        "-",
        "There [were|are] {a} {things}, and {b} [were sold|were lost|are broken]. How many {things} are left?",
    ),
    ("-", "{who} needs {a} {things} and has {b}. How many are missing?"),
    ("*", "{who} has {a} [boxes|bags|piles|baskets] with {b} {things} each. How many {things} are there[| in all]?"),
    ("*", "One of the {things} costs {b} dollars. How much do {a} cost?"),
    ("*", "There are {a} [rows|boxes|bags|groups] of {b} {things}. How many {things} are there[| together]?"),
    ("+-", "{who} has {a} {things}, [gets|finds|buys] {b} more and [loses|sells|gives away] {c}. How many are left?"),
    ("*+", "{who} [buys|has|finds] {a} [boxes|bags] of {b} {things} and {c} more. How many {things} is that?"),
    ("*-", "{who} had {a} [bags|boxes] of {b} {things} and [ate|lost|sold|used] {c}. How many are left?"),
)
_SIZES = {"+": (2, 3), "-": (2, 3), "*": (1, 2)}


def story(random: Random, *, held: bool) -> Problem:
    """A question of one or two steps told about somebody's things."""
    kind, text = random.choice(_STORIES)
    while True:
        a, b = (_number(random, kind[0]) for _ in "ab")
        c = random.randrange(1, 100)
        if kind[0] == "-" and a < b:
            a, b = b, a
        steps: list[Step] = [(kind[0], a, b)]
        if len(kind) == 2:
            steps.append((kind[1], result(steps[0]), c))
        if held_out(*steps[0]) == held and result(steps[-1]) >= 0 and (held or not any_kept(steps)):
            break
    words = {"who": random.choice(NAMES), "things": random.choice(WORDS["things"])}
    words |= {"a": str(a), "b": str(b), "c": str(c)}
    cell = "story, one step" if len(steps) == 1 else "story, two steps"
    return Problem(cell, composed(random, text, words), str(result(steps[-1])), worked(steps, ahead=True))


def _number(random: Random, operation: str) -> int:
    size = random.choice(_SIZES[operation])
    return random.randrange(2 if size == 1 else 10 ** (size - 1), 10**size)


def any_kept(steps: Iterable[Step]) -> bool:
    """Whether an operation among them is kept as a question of its own: its working would give that away."""
    for sign, a, b in steps:
        # Below zero a sum is worked out as a difference, and a difference as a sum.
        done = {"+": "-", "-": "+"}.get(sign, sign) if a < 0 else sign
        if kept(f"{a}/{b}") if sign == "/" else held_out(done, abs(a), b):
            return True
    return False


def result(step: Step) -> int:
    """What the operation gives; a division is one that leaves nothing."""
    operation, a, b = step
    return a // b if operation == "/" else {"+": a + b, "-": a - b, "*": a * b}[operation]


def composed(random: Random, text: str, words: Mapping[str, str]) -> str:
    """A pattern as in `worded`, with every name in braces put in its place; what a name stands for may be one, too.

    >>> composed(Random(0), "[{who}|{who}] has {some}.", {"who": "Tom", "some": "{n} [pears|pears]", "n": "3"})
    'Tom has 3 pears.'
    """
    while "[" in text or "{" in text:
        text = re.sub(r"\{(\w+)\}", lambda found: words[found[1]], worded(random, text))
    return text


def worked(steps: list[Step], *, ahead: bool = False) -> dict[Effort, str]:
    """Each operation with its working; with a negative number in it, only with its result.

    `ahead` writes what is still to do behind each operation, so that a story is read once, from its first sentence to
    its last, and then only copied: the numbers of the next operation are what was just found and what stands next.

    >>> print(worked([("+", 1, 2), ("*", 3, 4)], ahead=True)[Effort.HIGH])
    1+2,*4
    a1+v2
    a1v2+0=03
    =3
    3*4
    a3*x4
    x4a3*4+0=12:A2B1
    =12
    """
    rests = [
        "".join(f",{sign}{b}" for sign, _, b in steps[done:]) if ahead else "" for done in range(1, len(steps) + 1)
    ]
    high = "\n".join(f"{a}{sign}{b}{rest}\n{line(sign, a, b)}" for (sign, a, b), rest in zip(steps, rests, strict=True))
    medium = ",".join(f"{a}{sign}{b}={result((sign, a, b))}" for sign, a, b in steps)
    return {Effort.MEDIUM: medium, Effort.HIGH: high}


def line(sign: str, a: int, b: int) -> str:
    """The working of one operation at high effort; the first number may be below zero."""
    if sign == "/":
        return divided(a, b, Effort.HIGH)
    if a >= 0:
        return working(sign, a, b, Effort.HIGH)
    # a < 0: -|a| + b is b - |a|, and -|a| - b is -(|a| + b).
    if sign == "+":
        return f"{b}-{-a}\n" + working("-", b, -a, Effort.HIGH)
    return f"-({-a}+{b})\n" + working("+", -a, b, Effort.HIGH) + f"\n={a - b}"
