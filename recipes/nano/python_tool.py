"""What is too long to work out by hand is written as code for the python tool, and the answer read from its output."""

import ast
import math
from random import Random

from ossia.harmony import PYTHON
from recipes.nano.chat import varied
from recipes.nano.problem import Problem, ToolUse, kept, thoughts

__all__ = ["PYTHON", "code_question", "parsed"]

_ERRORS = (
    "ZeroDivisionError: division by zero",
    "MemoryError",
    "TimeoutError: execution timed out",
    "OverflowError: result too large",
    "KeyboardInterrupt",
)
# Of each kind its wordings, the last of them kept for evaluation, and its code.
_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "product": (
        (
            "What is {a} * {b}?",
            "{a} x {b}",
            "Multiply {a} by {b}.",
            "{a} times {b}",
            "{a} x {b} = ?",
            "{a} * {b} =",
            "{a} * {b} = ?",
        ),
        "{a}*{b}",
    ),
    "sum": (
        (
            "What is {a} + {b}?",
            "{a} + {b}",
            "Add {a} and {b}.",
            "{a} plus {b}",
            "{a} plus {b} = ?",
            "{a} + {b} =",
            "{a} + {b} = ?",
        ),
        "{a}+{b}",
    ),
    "difference": (
        (
            "What is {a} - {b}?",
            "{a} - {b}",
            "{a} minus {b}",
            "Take {b} from {a}.",
            "{a} - {b} = ?",
            "Please subtract {b} from {a}",
            "Subtract {b} from {a}.",
        ),
        "{a}-{b}",
    ),
    "quotient": (
        (
            "What is {a} divided by {c}, without remainder?",
            "Whole part of {a} / {c}",
            "How many times does {c} fit into {a}?",
            "How often does {c} fit in {a}?",
            "How often is {c} contained in {a}?",
            "How often does {c} go into {a}?",
        ),
        "{a}//{c}",
    ),
    "remainder": (
        (
            "What is {a} mod {c}?",
            "Remainder of {a} / {c}",
            "What is the rest when {a} is divided by {c}?",
            "What is left of {a} divided by {c}?",
            "What is left when {a} is divided by {c}?",
        ),
        "{a}%{c}",
    ),
    "power": (
        (
            "What is {d} to the power of {e}?",
            "{d} ^ {e}",
            "{d}^{e}",
            "{d} to the power {e}",
            "Raise {d} to the {e}th power.",
            "Raise {d} to the power {e}.",
        ),
        "{d}**{e}",
    ),
    "factorial": (
        (
            "What is {e}!?",
            "What is the factorial of {e}?",
            "Compute {e}!",
            "The factorial of {e}?",
            "Compute the factorial of {e}",
        ),
        "math.factorial({e})",
    ),
    "root": (
        (
            "What is the square root of {f}?",
            "sqrt({f})",
            "The square root of {f}",
            "Compute the square root of {f}.",
            "Square root of {f}?",
        ),
        "math.isqrt({f})",
    ),
    "sum of many": (
        (
            "Add {m}.",
            "What is the sum of {m}?",
            "Sum up {m}",
            "What do you get when you add up {m}?",
            "Add up {m}.",
            "What do {m} add up to?",
        ),
        "sum([{m}])",
    ),
    "range": (
        (
            "Add all numbers from 1 to {g}.",
            "What is the sum of the numbers from 1 to {g}?",
            "1 + ... + {g}",
            "1 + 2 + 3 + ... + {g}",
            "What is 1 + 2 + ... + {g}?",
            "1 + 2 + ... + {g} = ?",
        ),
        "sum(range(1,{g}+1))",
    ),
    "largest": (
        (
            "What is the largest of {m}?",
            "Find the maximum of {m}.",
            "Which is the largest of {m}?",
            "Which number is largest: {m}?",
            "Which of {m} is largest?",
        ),
        "max([{m}])",
    ),
    "divisors": (
        (
            "What is the greatest common divisor of {c} and {g}?",
            "gcd of {c} and {g}",
            "gcd({c}, {g})",
            "What is the gcd of {c} and {g}?",
            "What is gcd({c}, {g})?",
        ),
        "math.gcd({c},{g})",
    ),
}


def code_question(random: Random, *, held: bool) -> Problem:
    """One of the kinds, with an output or, now and then, an error."""
    kind = random.choice(list(_KINDS))
    frames, code = _KINDS[kind]
    while True:
        numbers = _numbers(random)
        expression = code.format(**numbers)
        if kept(expression) == held:
            break
    frame = frames[-1] if held and random.random() < 0.5 else random.choice(frames[:-1])
    lines = (["import math"] if "math." in expression else []) + [f"print({expression})"]
    error = random.choice(_ERRORS) if random.random() < 0.12 else None
    output = error or str(_value(kind, numbers))
    use = ToolUse("python", "\n".join(lines), output, builtin=True)
    answer = f"Python failed: {error}." if error else output
    question = varied(random, frame.format(**numbers))
    return Problem(f"python, {kind}", question, answer, thoughts("Python.", "Too long by hand: python."), (use,))


def parsed(code: str) -> str | None:
    """What the code means to Python, spaces and brackets aside; None if it is not code."""
    try:
        return ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _numbers(random: Random) -> dict[str, object]:
    a, b = (random.randrange(10**size, 10 ** (size + 1)) for size in (random.randrange(6, 9), random.randrange(4, 7)))
    root = random.randrange(11, 1000)
    many = [random.randrange(1, 10 ** random.randrange(1, 5)) for _ in range(random.randrange(5, 10))]
    return {
        "a": a,
        "b": b,
        "c": random.randrange(1000, 10_000),
        "d": random.randrange(2, 20),
        "e": random.randrange(6, 13),
        "f": root * root,
        "g": random.randrange(100, 1000),
        "m": ", ".join(map(str, many)),
    }


def _value(kind: str, numbers: dict[str, object]) -> int:
    """What the code prints, worked out apart from it."""
    a, b, c, d, e, f, g = (int(str(numbers[key])) for key in "abcdefg")
    many = [int(number) for number in str(numbers["m"]).split(", ")]
    values = {
        "product": a * b,
        "sum": a + b,
        "difference": a - b,
        "quotient": a // c,
        "remainder": a % c,
        "power": d**e,
        "factorial": math.factorial(e),
        "root": math.isqrt(f),
        "sum of many": sum(many),
        "range": g * (g + 1) // 2,
        "largest": max(many),
        "divisors": math.gcd(c, g),
    }
    return values[kind]
