"""What is too long to work out by hand is written as code for the python tool, and the answer read from its output."""

import ast
import math
from dataclasses import dataclass
from random import Random

from ossia.harmony import PYTHON
from recipes.nano.arithmetic import of_digits
from recipes.nano.chat import varied
from recipes.nano.problem import Problem, ToolUse, kept, same_wording, thoughts, worded

__all__ = ["PYTHON", "code_question", "parsed"]

_ERRORS = (
    "ZeroDivisionError: division by zero",
    "MemoryError",
    "TimeoutError: execution timed out",
    "OverflowError: result too large",
    "KeyboardInterrupt",
)


@dataclass(frozen=True)
class _Kind:
    """What is worked out: its code, and how it is asked for, in patterns as in `worded`.

    `terms` are written in signs, `nouns` name the result, `orders` say what to do, `questions` are whole. The wording
    that is `kept` is for evaluation: its words are learned, in other sentences.
    """

    code: str
    terms: tuple[str, ...]
    nouns: tuple[str, ...]
    orders: tuple[str, ...]
    questions: tuple[str, ...]
    kept: str

    def learned(self, random: Random) -> str:
        """A wording that is not the kept one."""
        parts = [
            (frames, phrases)
            for frames, phrases in (
                (_TERMS, self.terms),
                (_NOUNS, self.nouns),
                (_ORDERS, self.orders),
                (("{}",), self.questions),
            )
            if phrases
        ]
        frames, phrases = random.choice(parts)
        text = worded(random, random.choice(frames)).replace("{}", worded(random, random.choice(phrases)))
        text = text[0].upper() + text[1:]
        return self.learned(random) if same_wording(text, self.kept) else text


_TERMS = ("{}", "{} =", "{} = ?", "[What is|How much is] {}?", "[Compute|Work out|Calculate|Tell me|I need] {}[|.]")
_NOUNS = (
    "[What is|Do you know|Can you work out] {}?",
    "{}[|?|, please]",
    "[Compute|Work out|Calculate|Find|Tell me|Give me|I need|Please compute] {}[|.]",
)
_ORDERS = ("{}[|.]", "[Please|Can you|I want you to|Now] {}", "What do you get [if|when] you {}?")
_MANY = "[|the numbers |the list |all of ]{m}"
_KINDS: dict[str, _Kind] = {
    "product": _Kind(
        "{a}*{b}",
        ("{a} [x|*|times|multiplied by] {b}",),
        ("[the |]product of {a} and {b}",),
        ("multiply {a} [by|with|and] {b}",),
        ("How much are {a} times {b}?",),
        "{a} * {b} = ?",
    ),
    "sum": _Kind(
        "{a}+{b}",
        ("{a} [+|plus] {b}", "{a} added to {b}"),
        ("[the |]sum of {a} and {b}", "[the |]total of {a} and {b}"),
        ("add {a} [and|to] {b}", "sum up {a} and {b}"),
        ("How much are {a} and {b} together?",),
        "{a} + {b} = ?",
    ),
    "difference": _Kind(
        "{a}-{b}",
        ("{a} [-|minus|less] {b}",),
        ("[the |]difference [of|between] {a} and {b}",),
        ("take {b} [|away ][from|off] {a}", "[deduct|remove] {b} from {a}", "lower {a} by {b}"),
        (
            "What is left [when|if] [you|I] [subtract|take] {b} from {a}?",
            "How much is {b} subtracted from {a}?",
            "[By how much is {a} more than {b}|How much more is {a} than {b}]?",
        ),
        "Subtract {b} from {a}.",
    ),
    "quotient": _Kind(
        "{a}//{c}",
        ("{a} [/|divided by] {c}, without remainder", "{a} [//|div] {c}"),
        ("[the |]whole part of {a} [/|divided by] {c}",),
        ("divide {a} by {c} without remainder",),
        (
            "How often [does {c} fit [in|into]|is {c} contained in|will {c} go into|can {c} be taken from] {a}?",
            "How many times [does {c} [fit|go] [in|into]|is {c} contained in|will {c} go into] {a}?",
        ),
        "How often does {c} go into {a}?",
    ),
    "remainder": _Kind(
        "{a}%{c}",
        ("{a} [mod|modulo|%] {c}",),
        ("[the |]remainder of {a} [/|divided by] {c}", "[the |]rest of {a} divided by {c}"),
        (),
        (
            "What is the [rest|remainder] [when|if] {a} is divided by {c}?",
            "What [remains|stays|is over] [when|if] {a} is divided by {c}?",
            "What is left [of|from] {a} divided by {c}?",
            "What is left [when|if] [you|I] divide {a} by {c}?",
        ),
        "What is left when {a} is divided by {c}?",
    ),
    "power": _Kind(
        "{d}**{e}",
        ("{d}[ ^ |^| to the power of | to the power |**]{e}",),
        ("[the |]{e}th power of {d}", "[the |]power {e} of {d}"),
        ("raise {d} to the {e}th power", "raise {d} to the power of {e}", "take {d} to the power {e}"),
        (),
        "Raise {d} to the power {e}.",
    ),
    "factorial": _Kind(
        "math.factorial({e})",
        ("{e}!", "factorial({e})", "{e} factorial"),
        ("[the |]factorial of {e}",),
        ("compute {e}!", "multiply all numbers from 1 to {e}"),
        (),
        "Compute the factorial of {e}",
    ),
    "root": _Kind(
        "math.isqrt({f})",
        ("sqrt({f})", "sqrt {f}"),
        ("[the |]square root of {f}", "[the |]square root of the number {f}", "[the |]root of {f}"),
        ("take the [square |]root of {f}",),
        ("[Which|What] number squared is {f}?", "{f} is the square of which number?"),
        "Square root of {f}?",
    ),
    "sum of many": _Kind(
        "sum([{m}])",
        ("sum({m})",),
        (f"[the |][sum|total] of {_MANY}",),
        (f"[add|sum up|add up|add together] {_MANY}",),
        ("What do [you get|I get] when [you|I] add up {m}?", "What do [the numbers|all of] {m} add up to?"),
        "What do {m} add up to?",
    ),
    "range": _Kind(
        "sum(range(1,{g}+1))",
        ("1 + ... + {g}", "1 + 2 + 3 + ... + {g}", "1 + 2 + ... + {g}"),
        ("[the |][sum|total] of [the|all] numbers [from 1 to|up to] {g}",),
        ("add [|up ][all|the] numbers [from 1 to|up to] {g}", "sum up all numbers up to {g}"),
        ("What do [the|all] numbers from 1 to {g} add up to?",),
        "1 + 2 + ... + {g} = ?",
    ),
    "largest": _Kind(
        "max([{m}])",
        ("max({m})",),
        (f"[the |][largest|maximum|biggest|greatest] of {_MANY}",),
        (f"find the [largest|maximum|biggest] of {_MANY}",),
        (
            "Which [number |one |]is [largest|biggest|greatest]: {m}?",
            "Which of [the numbers|these:|all of] {m} is [largest|biggest|greatest]?",
            "Which is the [largest|biggest] of {m}?",
        ),
        "Which of {m} is largest?",
    ),
    "divisors": _Kind(
        "math.gcd({c},{g})",
        ("gcd({c}, {g})", "gcd {c}, {g}"),
        ("[the |][greatest common divisor|gcd|largest common divisor] of {c} and {g}",),
        ("find the gcd of {c} and {g}",),
        ("What is the largest number that divides {c} and {g}?",),
        "What is gcd({c}, {g})?",
    ),
}


def code_question(random: Random, *, held: bool) -> Problem:
    """One of the kinds, with an output or, now and then, an error. High says of which kind it is: the code follows."""
    kind = random.choice(list(_KINDS))
    one = _KINDS[kind]
    while True:
        numbers = _numbers(random, one_long=kind != "product" or random.random() < 0.6)
        expression = one.code.format(**numbers)
        if kept(expression) == held:
            break
    frame = one.kept if held and random.random() < 0.5 else one.learned(random)
    lines = (["import math"] if "math." in expression else []) + [f"print({expression})"]
    error = random.choice(_ERRORS) if random.random() < 0.12 else None
    output = error or str(_value(kind, numbers))
    use = ToolUse("python", "\n".join(lines), output, builtin=True)
    answer = f"Python failed: {error}." if error else output
    question = varied(random, frame.format(**numbers))
    return Problem(
        f"python, {kind}", question, answer, thoughts("Python.", f"Too long by hand, {kind}: python."), (use,)
    )


def parsed(code: str) -> str | None:
    """What the code means to Python, spaces and brackets aside; None if it is not code."""
    try:
        return ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _numbers(random: Random, *, one_long: bool) -> dict[str, object]:
    """All that kinds ask for; of the first two one has more digits than is worked out, or both more than three."""
    sizes = (random.randrange(7, 10), random.randrange(1, 8)) if one_long else random.choices((4, 5, 6), k=2)
    a, b = (of_digits(random, size) for size in sizes)
    a, b = max(a, b), min(a, b)
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
