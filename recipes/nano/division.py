"""Division of whole numbers with remainder, as on paper: by one digit, and by two or three.

By one digit each step is a fact. By more it is four: guess a digit from the leading digits, multiply, take less while
that is too much, subtract.
"""

from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import Labelled, first_difference, labelled, phrased, written
from recipes.nano.problem import Problem, kept, thoughts

__all__ = ["BY_ZERO", "by_zero", "divided", "division", "long_division"]

_FEWER = 0.12
BY_ZERO = "That cannot be divided: nothing is divided by 0."

_REMAINDERS = (
    "What is the remainder of {a} divided by {b}?",
    "{a} mod {b}",
    "What is {a} mod {b}?",
    "Find the remainder of {a} / {b}.",
)


def division(random: Random, *, held: bool) -> Problem:
    """A quotient of up to six digits by one with its remainder, or the remainder alone."""
    while True:
        a, b = random.randrange(10 ** random.randrange(1, 7)), random.randrange(1, 10)
        if kept(f"{a}/{b}") == held:
            return _asked(random, a, b, f"division {len(str(a))}", "remainder")


def long_division(random: Random, *, held: bool) -> Problem:
    """Up to six digits by two or three; of few the number divided has fewer digits than the divisor."""
    while True:
        size = random.choice((2, 3))
        least = 10 ** (size - 1)
        low, high = (0, least) if random.random() < _FEWER else (least, 10 ** random.randrange(size, 7))
        a = random.randrange(low, high)
        b = random.randrange(least, 10 * least)
        if kept(f"{a}/{b}") == held:
            return _asked(random, a, b, f"division {len(str(a))} by {size}", "remainder of long division", alone=0.35)


def by_zero(random: Random, *, held: bool) -> Problem:
    """What has no answer, at every effort; a seventh divides zero itself, which has one.

    Numbers that end in zero are many in other divisions: what counts is that nothing stands before it.
    """
    while True:
        a = random.randrange(10 ** random.randrange(1, 7))
        if kept(f"{a}/0") == held:
            break
    if a and random.random() < 1 / 7:
        by = random.choice([b for b in range(1, 100) if kept(f"0/{b}") == held])
        return _asked(random, 0, by, "zero divided", "zero divided")
    zero = "zero" if random.random() < 0.1 else "0"
    question = (
        random.choice(_REMAINDERS).format(a=a, b=zero) if random.random() < 0.25 else phrased(random, "/", a, zero)
    )
    return Problem("division by zero", question, BY_ZERO, thoughts("By 0."))


def divided(a: int, b: int, effort: Effort) -> str:
    """Digit after digit from the left: what is left before it and the digit, divided, and what is left then.

    >>> divided(964, 7, Effort.HIGH)
    'a9b6c4/x7\\na09=1r2b26=3r5c54=7r5\\n=137r5'
    >>> divided(964, 7, Effort.MEDIUM)
    '1r2,3r5,7r5'
    >>> divided(964, 48, Effort.MEDIUM)
    '2:096:00,0:000:04'

    By more than one digit each digit of the quotient gets a letter as well, and the last line but one gathers them and
    those of the last rest. At medium effort its product with the divisor stands between digit and rest.
    """
    digits, size = labelled(a, "abcdef"), len(str(b))
    rest, steps = int("".join(str(digit) for _, digit in digits[: size - 1]) or 0), []
    found: Labelled = []
    for letter, digit in digits[size - 1 :]:
        total = 10 * rest + digit
        if effort is not Effort.HIGH:
            steps.append(_glanced(total, b))
        elif size == 1:
            steps.append(f"{letter}{total:02d}={total // b}r{total % b}")
        else:
            found.append((letter.upper(), total // b))
            steps.append(f"{letter}:{_digit_found(total, b)}:{written(found[-1:])}\n")
        rest = total % b
    if effort is not Effort.HIGH:
        return ",".join(steps) or f"0r{a}"
    lines = [f"{written(digits)}/{written(labelled(b, 'xyz'))}", "".join(steps).rstrip()]
    if found:
        lines.append(f"{written(found)},{written(_rest(rest, size))}")
    lines.append(f"={a // b}r{a % b}")
    return "\n".join(line for line in lines if line)


def _quotient_of(a: int, b: int) -> str:
    """The answer: the quotient, and what is left where something is.

    >>> _quotient_of(17, 5), _quotient_of(15, 5)
    ('3 remainder 2', '3')
    """
    quotient, rest = divmod(a, b)
    return f"{quotient} remainder {rest}" if rest else str(quotient)


def _glanced(total: int, b: int) -> str:
    """A digit and what is left; by more than one digit, where that is too much for a glance, the product as well."""
    digit, rest = divmod(total, b)
    size = len(str(b))
    return f"{digit}r{rest}" if size == 1 else f"{digit}:{digit * b:0{size + 1}d}:{rest:0{size}d}"


def _rest(rest: int, size: int) -> Labelled:
    """What is left, lettered as the step that found it has it."""
    return list(zip("pqrs", map(int, str(rest).zfill(size + 1)), strict=False))


def _digit_found(total: int, b: int) -> str:
    """One digit of the quotient: guessed from leading digits, multiplied, compared, taken less, subtracted.

    Leading are the divisor's first digit and of the rest one more; a 1 says too little, and takes its neighbour along.

    >>> _digit_found(317, 48)
    'p3q1r7/4=7\\ny8*7+0=56x4*7+5=33:t3u3v6\\np3=t3,q1<u3\\n6\\ny8*6+0=48x4*6+4=28:t2u8v8\\np3>t2\\nr7v8-0=19q1u8-1=12p3t2-1=00'
    >>> _digit_found(17, 48)
    'p0q1r7/4=0'
    """
    size, divisor = len(str(b)), labelled(b, "xyz")
    above = list(zip("pqrs", map(int, str(total).zfill(size + 1)), strict=False))
    unit = 10 ** (size - (2 if divisor[0][1] == 1 else 1))
    guess = min(9, total // unit // (b // unit))
    lines = [f"{written(above)}/{b // unit}={guess}"]
    while guess:
        product = list(zip("tuvw", map(int, str(guess * b).zfill(size + 1)), strict=False))
        lines += [f"{_product(divisor, guess)}:{written(product)}", first_difference(above, product)]
        if guess * b <= total:
            return "\n".join([*lines, _difference(above, product)])
        guess -= 1
        lines.append(str(guess))
    return "\n".join(lines)


def _product(divisor: Labelled, digit: int) -> str:
    steps, carry = [], 0
    for letter, x in reversed(divisor):
        total = x * digit + carry
        steps.append(f"{letter}{x}*{digit}+{carry}={total:02d}")
        carry = total // 10
    return "".join(steps)


def _difference(above: Labelled, below: Labelled) -> str:
    steps, borrow = [], 0
    for (p, x), (q, y) in zip(reversed(above), reversed(below), strict=True):
        total = x - y - borrow
        steps.append(f"{p}{x}{q}{y}-{borrow}={int(total < 0)}{total % 10}")
        borrow = int(total < 0)
    return "".join(steps)


def _asked(random: Random, a: int, b: int, cell: str, remainder: str, alone: float = 0.2) -> Problem:
    """The question for both, or, of a part as large as `alone`, for the remainder alone.

    Of that the working says so first: the question is far away, and asked in other words each time, when it ends.
    """
    medium, high = divided(a, b, Effort.MEDIUM), divided(a, b, Effort.HIGH)
    if random.random() < alone:
        question = random.choice(_REMAINDERS).format(a=a, b=b)
        return Problem(remainder, question, str(a % b), thoughts(f"Remainder.\n{medium}", f"Remainder.\n{high}"))
    question = phrased(random, "/", a, b)
    return Problem(cell, question, _quotient_of(a, b), thoughts(medium, high))
