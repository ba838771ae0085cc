"""Addition, subtraction and multiplication: problems, the working of each effort, and which are kept for evaluation.

The working goes from the right, digit by digit, as on paper. Before that, every digit gets a letter from the left, the
only order in which a reader of the question can count them; later steps find a digit by its letter.
High effort writes each step as an equation, medium only its result, low nothing.
"""

import hashlib
from collections.abc import Iterable
from itertools import zip_longest
from random import Random

from ossia.harmony import Effort
from recipes.nano.problem import Problem

__all__ = ["OPERATIONS", "arithmetic", "held_out", "problem", "working"]

OPERATIONS = ("+", "-", "*")
Labelled = list[tuple[str, int]]
_NAMES = {"+": "addition", "-": "subtraction", "*": "multiplication"}

_FORMS = {
    "+": ("{a} + {b}", "{a}+{b}", "{a} plus {b}", "the sum of {a} and {b}"),
    "-": ("{a} - {b}", "{a}-{b}", "{a} minus {b}", "{a} take away {b}"),
    "*": (
        "{a} * {b}",
        "{a}*{b}",
        "{a} x {b}",
        "{a}x{b}",
        "{a} \u00d7 {b}",
        "{a} times {b}",
        "{a} multiplied by {b}",
        "the product of {a} and {b}",
    ),
}
_IMPERATIVES = {
    "+": ("Add {a} and {b}", "Add {a} to {b}"),
    "-": ("Subtract {b} from {a}", "Take {b} from {a}"),
    "*": ("Multiply {a} by {b}", "Multiply {a} and {b}"),
}
_FRAMES = (
    "What is {}?",
    "What is {}?",
    "What is {}?",
    "{}",
    "{}",
    "{}?",
    "{} =",
    "{}=",
    "{} = ?",
    "Compute {}.",
    "Compute {}",
    "Calculate {}.",
    "Calculate {}",
    "How much is {}?",
    "What's {}?",
    "what is {}",
    "What does {} equal?",
    "Work out {}.",
    "Please compute {}.",
    "Can you tell me what {} is?",
    "And {}?",
    "Tell me {}.",
)
_HELD_OUT_PART = 0.1


def arithmetic(random: Random, operation: str, *, held: bool) -> Problem:
    """A problem of the operation, of the kept ones or of the others."""
    while True:
        a, b = _operands(random, operation)
        if held_out(operation, a, b) == held:
            return problem(operation, a, b, _phrase(random, operation, a, b))


def problem(operation: str, a: int, b: int, question: str | None = None) -> Problem:
    """The problem of these numbers, asked plainly unless `question` asks it otherwise."""
    answer = {"+": a + b, "-": a - b, "*": a * b}[operation]
    return Problem(
        cell=_cell(operation, a, b),
        question=question or f"What is {a} {operation} {b}?",
        answer=str(answer),
        reasoning={effort: working(operation, a, b, effort) for effort in (Effort.MEDIUM, Effort.HIGH)},
    )


def held_out(operation: str, a: int, b: int) -> bool:
    """Whether these numbers are kept for evaluation, in either order; never products of single digits."""
    if operation == "*" and max(a, b) < 10:
        return False
    low, high = sorted((a, b))
    digest = hashlib.sha256(f"{low}{operation}{high}".encode()).digest()
    return digest[0] < _HELD_OUT_PART * 256


def working(operation: str, a: int, b: int, effort: Effort) -> str:
    """The analysis that leads to the answer.

    >>> working("+", 3479, 589, Effort.HIGH)
    ' a3 b4 c7 d9 + v5 w8 x9\\n d9 x9+0=18 c7 w8+1=16 b4 v5+1=10 a3+1=04\\n=4068'
    >>> working("-", 5023, 4987, Effort.MEDIUM)
    ' a5 b0 c2 d3 - v4 w9 x8 y7\\n d16 c13 b10 a00'
    """
    if operation == "*":
        return _multiplication(a, b, effort)
    return _columns(operation, a, b, effort)


def _columns(operation: str, a: int, b: int, effort: Effort) -> str:
    """Addition and subtraction: each step gives carry (or borrow) and digit. Below zero, the difference is reversed."""
    below_zero = operation == "-" and a < b
    first, second = (b, a) if below_zero else (a, b)
    above, below = _labelled(first, "abcde"), _labelled(second, "vwxyz")
    steps, carry = "", 0
    for upper, lower in zip_longest(reversed(above), reversed(below)):
        (letter, x), (_, y) = upper or lower, (upper and lower) or ("", 0)
        total = x + y + carry if operation == "+" else x - y - carry
        digits = _written(digit for digit in (upper, lower) if digit)
        step = f"{digits}{operation}{carry}=" if effort is Effort.HIGH else f" {letter}"
        carry = int(not 0 <= total <= 9)
        steps += f"{step}{carry}{total % 10}"
    lines = f"{'-' if below_zero else ''}{_written(above)} {operation}{_written(below)}\n{steps}"
    answer = a + b if operation == "+" else a - b
    return f"{lines}\n={answer}" if effort is Effort.HIGH else lines


def _multiplication(a: int, b: int, effort: Effort) -> str:
    """A row of products for each digit of the shorter number, then the rows' sum.

    >>> _multiplication(37, 48, Effort.MEDIUM)
    ' a3 b7 * x4 y8\\n y8 b56 a29: A6 B9 C2\\n x4 b28 a14: H0 I8 J4 K1\\n A06 B17 C07 D01'
    """
    longer, shorter = (a, b) if len(str(a)) >= len(str(b)) else (b, a)
    top, bottom = _labelled(longer, "abc"), _labelled(shorter, "xy")
    lines = [f"{_written(top)} *{_written(bottom)}"]
    rows = []
    for place, (letter, digit) in enumerate(reversed(bottom)):
        steps, row = _products(top, digit, effort)
        row = [0] * place + row
        labels = zip("HIJKLM" if place else "ABCDE", row, strict=False)
        lines.append(f" {letter}{digit}{steps}:{_written(labels)}")
        rows.append(row)
    if len(rows) > 1:
        lines.append(_row_sum(rows[0], rows[1], effort))
    if effort is Effort.HIGH:
        lines.append(f"={a * b}")
    return "\n".join(lines)


def _products(top: Labelled, digit: int, effort: Effort) -> tuple[str, list[int]]:
    steps, row, carry = "", [], 0
    for letter, x in reversed(top):
        total = x * digit + carry
        equation = f"{letter}{x}*{digit}+{carry}=" if effort is Effort.HIGH else letter
        steps += f" {equation}{total:02d}"
        row.append(total % 10)
        carry = total // 10
    return steps, [*row, carry]


def _row_sum(first: list[int], second: list[int], effort: Effort) -> str:
    line, digits, carry = "", [], 0
    for place, y in enumerate(second):
        x = first[place] if place < len(first) else 0
        total = x + y + carry
        label = "ABCDE"[place]
        equation = f"{label}{x} {'HIJKLM'[place]}{y}+{carry}=" if effort is Effort.HIGH else label
        line += f" {equation}{total:02d}"
        digits.append(total % 10)
        carry = total // 10
    return f"{line}:{_written(zip('OPQRS', digits, strict=False))}" if effort is Effort.HIGH else line


def _labelled(number: int, letters: str) -> Labelled:
    """The digits from the left, each with its letter."""
    return [(letter, int(digit)) for letter, digit in zip(letters, str(number), strict=False)]


def _written(labelled: Iterable[tuple[str, int]]) -> str:
    return "".join(f" {letter}{digit}" for letter, digit in labelled)


def _cell(operation: str, a: int, b: int) -> str:
    sizes = sorted((len(str(a)), len(str(b))), reverse=True)
    name = _NAMES[operation]
    if operation == "*":
        return f"{name} {sizes[0]}x{sizes[1]}"
    if operation == "-" and a < b:
        return f"{name} below zero"
    return f"{name} {sizes[0]}"


def _operands(random: Random, operation: str) -> tuple[int, int]:
    if operation == "*":
        sizes = random.choices([(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (3, 2), (2, 3)], _PRODUCT_SHARES)[0]
        return _number(random, sizes[0]), _number(random, sizes[1])
    first = random.choices(range(1, 6), _SUM_SHARES)[0]
    second = random.choices(range(1, 6), _SUM_SHARES)[0] if random.random() < 0.5 else first
    a, b = _number(random, first), _number(random, second)
    if operation == "-" and a < b and random.random() < 0.5:
        return b, a
    return a, b


_PRODUCT_SHARES = (4, 9, 15, 8, 4, 48, 7, 5)
_SUM_SHARES = (8, 20, 22, 24, 26)


def _number(random: Random, size: int) -> int:
    return random.randrange(0 if size == 1 else 10 ** (size - 1), 10**size)


def _phrase(random: Random, operation: str, a: int, b: int) -> str:
    frame = random.choice(_FRAMES)
    if random.random() < 0.2:
        text = random.choice(_IMPERATIVES[operation]).format(a=a, b=b)
        text = random.choice((text, text + ".", "Please " + text[0].lower() + text[1:] + "."))
    else:
        text = frame.format(_form(random, operation).format(a=a, b=b))
    return text.lower() if random.random() < 0.1 else text


def _form(random: Random, operation: str) -> str:
    """Signs half of the time, any of the forms otherwise."""
    forms = _FORMS[operation]
    return random.choice(forms[:2]) if random.random() < 0.5 else random.choice(forms)
