"""Two operations after each other: expressions of three numbers, and the same told as stories."""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, held_out, working
from recipes.nano.division import divided
from recipes.nano.problem import Problem
from recipes.nano.words import WORDS

__all__ = ["NAMES", "Step", "expression", "result", "story", "worked"]

Step = tuple[str, int, int]

NAMES = ("Tom", "Anna", "Ben", "Lucy", "Sam", "Emma", "Max", "Nina", "Paul", "Rosa", "Leo", "Mia", "Omar", "Ivy")
_STORIES = (
    ("+", "{who} has {a} {things} and gets {b} more. How many {things} does {who} have?"),
    ("+", "There are {a} {things} in one box and {b} in another. How many are there together?"),
    ("+", "{who} found {a} {things} on Monday and {b} on Tuesday. How many in all?"),
    ("-", "{who} has {a} {things} and gives away {b}. How many are left?"),
    ("-", "There were {a} {things}, and {b} were sold. How many {things} remain?"),
    ("-", "{who} needs {a} {things} and has {b}. How many are missing?"),
    ("*", "{who} has {a} boxes with {b} {things} each. How many {things} are there?"),
    ("*", "One of the {things} costs {b} dollars. How much do {a} cost?"),
    ("*", "There are {a} rows of {b} {things}. How many {things} are there?"),
    ("+-", "{who} has {a} {things}, gets {b} more and loses {c}. How many are left?"),
    ("*+", "{who} buys {a} boxes of {b} {things} and {c} more. How many {things} is that?"),
    ("*-", "{who} had {a} bags of {b} {things} and ate {c}. How many are left?"),
)
_SIZES = {"+": (2, 3), "-": (2, 3), "*": (1, 2)}


def expression(random: Random, *, held: bool) -> Problem:
    """Sums of three, and a product with a sum or a difference, in brackets or not."""
    kind = random.choice(
        ("a+b+c", "a+b-c", "a-b+c", "a-b-c", "a*b+c", "a*b-c", "a+b*c", "(a+b)*c", "(a-b)*c", "c*(a+b)")
    )
    while True:
        a, b, c = (random.randrange(1, 100) for _ in "abc")
        c = random.randrange(2, 10) if "*c" in kind or "c*" in kind else c
        b = random.randrange(2, 10) if "a*b" in kind else b
        if kind == "(a-b)*c" and a < b:
            continue
        steps = _steps(kind, a, b, c)
        if held_out(*steps[0]) == held:
            break
    text = "".join({"a": str(a), "b": str(b), "c": str(c)}.get(sign, sign) for sign in kind)
    if random.random() < 0.6:
        text = "".join(f" {sign} " if sign in "+-*" else sign for sign in text)
    return Problem("expression", asked(random, text), str(result(steps[-1])), worked(steps))


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
        if held_out(*steps[0]) == held and result(steps[-1]) >= 0:
            break
    words = {"who": random.choice(NAMES), "things": random.choice(WORDS["things"])}
    cell = "story, one step" if len(steps) == 1 else "story, two steps"
    return Problem(cell, text.format(a=a, b=b, c=c, **words), str(result(steps[-1])), worked(steps))


def _number(random: Random, operation: str) -> int:
    size = random.choice(_SIZES[operation])
    return random.randrange(2 if size == 1 else 10 ** (size - 1), 10**size)


def _steps(kind: str, a: int, b: int, c: int) -> list[Step]:
    """The two operations in the order in which they are done."""
    if kind == "a+b*c":
        return [("*", b, c), ("+", a, b * c)]
    if kind == "c*(a+b)":
        return [("+", a, b), ("*", c, a + b)]
    signs = [sign for sign in kind if sign in "+-*"]
    first: Step = (signs[0], a, b)
    return [first, (signs[1], result(first), c)]


def result(step: Step) -> int:
    """What the operation gives; a division is one that leaves nothing."""
    operation, a, b = step
    return a // b if operation == "/" else {"+": a + b, "-": a - b, "*": a * b}[operation]


def worked(steps: list[Step]) -> dict[Effort, str]:
    """Each operation with its working; with a negative number in it, only with its result."""
    high = "\n".join(f"{a}{sign}{b}\n{_line(sign, a, b)}" for sign, a, b in steps)
    medium = ",".join(f"{a}{sign}{b}={result((sign, a, b))}" for sign, a, b in steps)
    return {Effort.MEDIUM: medium, Effort.HIGH: high}


def _line(sign: str, a: int, b: int) -> str:
    if sign == "/":
        return divided(a, b, Effort.HIGH)
    if a >= 0:
        return working(sign, a, b, Effort.HIGH)
    # a < 0: -|a| + b is b - |a|, and -|a| - b is -(|a| + b).
    if sign == "+":
        return f"{b}-{-a}\n" + working("-", b, -a, Effort.HIGH)
    return f"-({-a}+{b})\n" + working("+", -a, b, Effort.HIGH) + f"\n={a - b}"
