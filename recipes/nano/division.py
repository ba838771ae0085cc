"""Division of whole numbers with remainder, by one digit, as on paper."""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked, labelled, written
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["divided", "division"]

_FORMS = ("{a} / {b}", "{a}/{b}", "{a} divided by {b}", "{a} \u00f7 {b}")
_REMAINDERS = (
    "What is the remainder of {a} divided by {b}?",
    "{a} mod {b}",
    "What is {a} mod {b}?",
    "Find the remainder of {a} / {b}.",
)


def division(random: Random, *, held: bool) -> Problem:
    """A quotient with its remainder, or the remainder alone."""
    while True:
        a, b = random.randrange(10 ** random.randrange(1, 6)), random.randrange(2, 10)
        if kept(f"{a}/{b}") == held:
            break
    quotient, rest = divmod(a, b)
    reasoning = thoughts(divided(a, b, Effort.MEDIUM), divided(a, b, Effort.HIGH))
    if random.random() < 0.2:
        question = random.choice(_REMAINDERS).format(a=a, b=b)
        return Problem("remainder", question, str(rest), reasoning)
    if random.random() < 0.15:
        question = random.choice((f"Divide {a} by {b}", f"Divide {a} by {b}.", f"divide {a} by {b}"))
    else:
        question = asked(random, random.choice(_FORMS).format(a=a, b=b))
    answer = f"{quotient} remainder {rest}" if rest else str(quotient)
    return Problem(f"division {len(str(a))}", question, answer, reasoning)


def divided(a: int, b: int, effort: Effort) -> str:
    """Digit after digit from the left: what is left before it and the digit, divided, and what is left then.

    >>> divided(964, 7, Effort.HIGH)
    'a9b6c4/x7\\na09=1r2b26=3r5c54=7r5\\n=137r5'
    >>> divided(964, 7, Effort.MEDIUM)
    '1r2,3r5,7r5'
    """
    digits, steps, rest = labelled(a, "abcde"), [], 0
    for letter, digit in digits:
        total = 10 * rest + digit
        quotient, left = divmod(total, b)
        equation = f"{letter}{rest}{digit}=" if effort is Effort.HIGH else ""
        steps.append(f"{equation}{quotient}r{left}")
        rest = left
    line = ("" if effort is Effort.HIGH else ",").join(steps)
    return f"{written(digits)}/x{b}\n{line}\n={a // b}r{a % b}" if effort is Effort.HIGH else line
