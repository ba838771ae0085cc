"""Addition, subtraction and multiplication: problems, the working of each effort, and which are kept for evaluation.

The working goes from the right, digit by digit, as on paper. Before that, every digit gets a letter from the left, the
only order in which a reader of the question can count them; later steps find a digit by its letter.
High effort writes each step as an equation and finds digits by their letters; medium only notes what each step gives;
low nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from random import Random
from typing import TypeVar

from ossia.harmony import Effort
from recipes.nano.problem import Problem

__all__ = [
    "OPERATIONS",
    "Labelled",
    "arithmetic",
    "asked",
    "compared",
    "first_difference",
    "first_unlike",
    "held_out",
    "labelled",
    "long_arithmetic",
    "of_digits",
    "phrased",
    "problem",
    "working",
    "written",
]

OPERATIONS = ("+", "-", "*")
Labelled = list[tuple[str, int]]
Worth = TypeVar("Worth", int, str)
_ABOVE, _BELOW = "abcdef", "vwxyzu"
# The letters of a product's rows, and of the sums of the first two and of all three; no letter stands for two digits.
_ROWS = ("ABCDEFGX", "HIJKLMNZ", "Yghijklmn")
_SUMS = ("OPQRSTUVW", "opqrstuvw")
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
    "/": ("{a} / {b}", "{a}/{b}", "{a} divided by {b}", "{a} \u00f7 {b}"),
}
_IMPERATIVES = {
    "+": ("Add {a} and {b}", "Add {a} to {b}"),
    "-": ("Subtract {b} from {a}", "Take {b} from {a}"),
    "*": ("Multiply {a} by {b}", "Multiply {a} and {b}"),
    "/": ("Divide {a} by {b}",),
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
            return problem(operation, a, b, phrased(random, operation, a, b))


def long_arithmetic(random: Random, operation: str, *, held: bool) -> Problem:
    """A problem of numbers that are longer: sums of six digits, products of up to six by three."""
    while True:
        sizes = (
            random.choice(_LONG_PRODUCTS) if operation == "*" else (6, random.choice((6, 6, random.randrange(1, 6))))
        )
        a, b = (_number(random, size) for size in random.sample(sizes, 2))
        if held_out(operation, a, b) == held:
            return problem(operation, a, b, phrased(random, operation, a, b))


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
    'a3b4c7d9+v5w8x9\\nd9x9+0=18c7w8+1=16b4v5+1=10a3+1=04\\n=4068'
    >>> working("-", 12, 45, Effort.HIGH)
    'a1b2-v4w5\\nb=w,a1<v4\\nw5b2-0=03v4a1-0=03\\n=-33'
    >>> working("-", 5023, 4987, Effort.MEDIUM)
    '16,13,10,00'
    """
    if operation == "*":
        return _multiplication(a, b, effort)
    return _columns(operation, a, b, effort)


def compared(a: int, b: int) -> str:
    """Which is larger, seen from the last letters, and where these are level from the first digits that differ.

    >>> compared(305, 47), compared(35, 37), compared(5, 5)
    ('c>w', 'b=w,a3=v3,b5<w7', 'a=v,a5=v5')
    """
    above, below = labelled(a, _ABOVE), labelled(b, _BELOW)
    sign = "=" if len(above) == len(below) else "<" if len(above) < len(below) else ">"
    lengths = f"{above[-1][0]}{sign}{below[-1][0]}"
    return lengths if sign != "=" else f"{lengths},{first_difference(above, below)}"


def first_difference(above: Labelled, below: Labelled) -> str:
    """Digits of two numbers of one length from the left, as far as they are level, and the first that are not.

    >>> first_difference([("a", 3), ("b", 5)], [("v", 3), ("w", 7)])
    'a3=v3,b5<w7'
    """
    return first_unlike(*([(f"{letter}{digit}", digit) for letter, digit in number] for number in (above, below)))


def first_unlike(above: Sequence[tuple[str, Worth]], below: Sequence[tuple[str, Worth]]) -> str:
    """Places from the left, as far as they are level, and the first that are not; of each what is shown, and its worth.

    >>> first_unlike([("e2", "e"), ("s3", "s")], [("e2", "e"), ("r3", "r")])
    'e2=e2,s3>r3'
    """
    steps = []
    for (x, p), (y, q) in zip(above, below, strict=True):
        sign = "=" if p == q else "<" if p < q else ">"
        steps.append(f"{x}{sign}{y}")
        if sign != "=":
            break
    return ",".join(steps)


def _columns(operation: str, a: int, b: int, effort: Effort) -> str:
    """Addition and subtraction: each step gives carry (or borrow) and digit. Below zero, the difference is reversed."""
    above, below = labelled(a, _ABOVE), labelled(b, _BELOW)
    first, second = (below, above) if operation == "-" and a < b else (above, below)
    steps, carry = [], 0
    for upper, lower in zip_longest(reversed(first), reversed(second)):
        (_, x), (_, y) = upper or ("", 0), lower or ("", 0)
        total = x + y + carry if operation == "+" else x - y - carry
        digits = written(digit for digit in (upper, lower) if digit)
        step = f"{digits}{operation}{carry}=" if effort is Effort.HIGH else ""
        carry = int(not 0 <= total <= 9)
        steps.append(f"{step}{carry}{total % 10}")
    if effort is not Effort.HIGH:
        return ("-" if first is below else "") + ",".join(steps)
    lines = [f"{written(above)}{operation}{written(below)}"]
    lines += [compared(a, b)] if operation == "-" else []
    answer = a + b if operation == "+" else a - b
    return "\n".join([*lines, "".join(steps), f"={answer}"])


def _multiplication(a: int, b: int, effort: Effort) -> str:
    """A row of products for each digit of the shorter number, then the rows' sum.

    >>> _multiplication(37, 48, Effort.HIGH)
    'a3b7*x4y8\\ny8b7*8+0=56a3*8+5=29:A6B9C2\\nx4b7*4+0=28a3*4+2=14:H0I8J4K1\\nA6H0+0=06B9I8+0=17C2J4+1=07D0K1+0=01:O6P7Q7R1\\n=1776'
    >>> _multiplication(37, 48, Effort.MEDIUM)
    '8:56,29;4:28,14;06,17,07,01'
    """
    longer, shorter = (a, b) if len(str(a)) >= len(str(b)) else (b, a)
    top, bottom = labelled(longer, _ABOVE), labelled(shorter, "xyz")
    high = effort is Effort.HIGH
    lines = [f"{written(top)}*{written(bottom)}"] if high else []
    rows: list[Labelled] = []
    for place, (letter, digit) in enumerate(reversed(bottom)):
        steps, row = _products(top, digit, effort)
        rows.append(list(zip(_ROWS[place], [0] * place + row, strict=False)))
        lines.append(f"{letter}{digit}{steps}:{written(rows[-1])}" if high else f"{digit}:{steps}")
    total, letters = rows[0], _ROWS[0]
    for row, result in zip(rows[1:], _SUMS, strict=False):
        line, total = _row_sum(total, letters, row, result, effort)
        lines.append(line)
        letters = result
    return "\n".join([*lines, f"={a * b}"]) if high else ";".join(lines)


def _products(top: Labelled, digit: int, effort: Effort) -> tuple[str, list[int]]:
    steps, row, carry = [], [], 0
    for letter, x in reversed(top):
        total = x * digit + carry
        equation = f"{letter}{x}*{digit}+{carry}=" if effort is Effort.HIGH else ""
        steps.append(f"{equation}{total:02d}")
        row.append(total % 10)
        carry = total // 10
    return ("" if effort is Effort.HIGH else ",").join(steps), [*row, carry]


def _row_sum(first: Labelled, above: str, second: Labelled, letters: str, effort: Effort) -> tuple[str, Labelled]:
    """The sum of two rows, lettered by `letters`; the first, lettered by `above`, is filled up with zeros."""
    steps, digits, carry = [], [], 0
    for upper, x, (letter, y) in zip(above, _filled(first, len(second)), second, strict=False):
        total = x + y + carry
        equation = f"{upper}{x}{letter}{y}+{carry}=" if effort is Effort.HIGH else ""
        steps.append(f"{equation}{total:02d}")
        digits.append(total % 10)
        carry = total // 10
    labels = list(zip(letters, digits, strict=False))
    if effort is not Effort.HIGH:
        return ",".join(steps), labels
    return f"{''.join(steps)}:{written(labels)}", labels


def _filled(digits: Labelled, length: int) -> list[int]:
    return [digit for _, digit in digits] + [0] * (length - len(digits))


def labelled(number: int, letters: str) -> Labelled:
    """The digits from the left, each with its letter."""
    return [(letter, int(digit)) for letter, digit in zip(letters, str(number), strict=False)]


def written(labelled: Iterable[tuple[str, int]]) -> str:
    """Letter and digit in turns."""
    return "".join(f"{letter}{digit}" for letter, digit in labelled)


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


_LONG_PRODUCTS = ((4, 1), (5, 1), (6, 1), (4, 2), (5, 2), (6, 2), (3, 3), (4, 3), (5, 3), (6, 3))
_PRODUCT_SHARES = (4, 10, 10, 8, 8, 40, 10, 10)
_SUM_SHARES = (8, 20, 22, 24, 26)


def of_digits(random: Random, size: int) -> int:
    """A number of so many digits, the first of which is no zero."""
    return random.randrange(10 ** (size - 1), 10**size)


def _number(random: Random, size: int) -> int:
    return random.randrange(10) if size == 1 else of_digits(random, size)


def phrased(random: Random, operation: str, a: int, b: int | str) -> str:
    """A question or an order that has these numbers in any of its words."""
    if random.random() < 0.2:
        text = random.choice(_IMPERATIVES[operation]).format(a=a, b=b)
        text = random.choice((text, text + ".", "Please " + text[0].lower() + text[1:] + "."))
    else:
        text = asked(random, _form(random, operation).format(a=a, b=b))
    return text.lower() if random.random() < 0.1 else text


def asked(random: Random, form: str) -> str:
    """A question for what a term is worth."""
    return random.choice(_FRAMES).format(form)


def _form(random: Random, operation: str) -> str:
    """Signs half of the time, any of the forms otherwise."""
    forms = _FORMS[operation]
    return random.choice(forms[:2]) if random.random() < 0.5 else random.choice(forms)
