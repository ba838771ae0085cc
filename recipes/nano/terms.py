"""Expressions of three and four numbers, written anew after each operation until one number is left."""

from collections.abc import Iterator
from random import Random

from ossia.harmony import Effort
from recipes.nano.arithmetic import asked
from recipes.nano.expressions import Step, any_kept, line, result
from recipes.nano.problem import Problem, kept

__all__ = ["Term", "expression", "fits", "operations", "value", "worked_out", "written"]

Term = list[int | str]
"""Numbers, signs and brackets in the order in which they are written."""

_PATTERNS = {
    3: ("n.n.n", "(n.n).n", "n.(n.n)"),
    4: ("n.n.n.n", "(n.n).n.n", "n.(n.n).n", "n.n.(n.n)", "(n.n).(n.n)", "(n.n.n).n", "n.(n.n.n)"),
}
_BEYOND = {5: ("n.n.n.n.n", "(n.n).n.(n.n)", "(n.n.n).(n.n)", "n.(n.n).n.n")}
_SIGNS = "++++---***/"
_LARGEST, _DIVISORS = 99_999, range(2, 10)
_SAID = {
    "+": ("the sum of {}", "the total of {}", "{} together"),
    "*": ("the product of {}",),
}
_SPELLED = {"+": " plus ", "-": " minus ", "*": " times ", "/": " divided by "}
_DRAWN = {"*": ("*", "*", "x", "\u00d7"), "/": ("/", "/", "\u00f7")}


def expression(random: Random, *, held: bool, count: int | None = None) -> Problem:
    """Three or four numbers, or so many, with any signs; some shapes of four are kept for evaluation."""
    count = count or random.choice((3, 3, 4))
    while True:
        shape = _shape(random, count)
        term = _filled(random, shape)
        if kept(written(term)) != held or not fits(term) or (count == 4 and not held and kept(shape)):
            continue
        if held or not any_kept(operations(term)):
            break
    return Problem(f"expression of {count}", _question(random, term), str(value(term)), worked_out(term))


def worked_out(term: Term) -> dict[Effort, str]:
    """The term, the operation that comes first with its working, the term that this leaves, and so on.

    >>> print(worked_out([8, "-", "(", 1, "+", 2, ")"])[Effort.HIGH])
    8-(1+2)
    1+2
    a1+v2
    a1v2+0=03
    =3
    8-3
    a8-v3
    a=v,a8>v3
    a8v3-0=05
    =5
    >>> worked_out([1, "+", 2, "*", 4])[Effort.MEDIUM]
    '1+2*4=1+8=9'
    """
    high, medium = list[str](), list[str]()
    for left, (sign, a, b) in _reduced(term):
        high += [written(left), *([f"{a}{sign}{b}"] if len(left) > 3 else []), line(sign, a, b)]
        medium.append(written(left))
    return {Effort.MEDIUM: "=".join([*medium, str(value(term))]), Effort.HIGH: "\n".join(high)}


def operations(term: Term) -> list[Step]:
    """The operations in the order in which they are done.

    >>> operations([2, "+", 3, "*", "(", 7, "-", 5, ")"])
    [('-', 7, 5), ('*', 3, 2), ('+', 2, 6)]
    """
    return [step for _, step in _reduced(term)]


def fits(term: Term) -> bool:
    """Whether it can be worked out by what is taught: whole quotients of small divisors, numbers that stay small.

    What is below zero stands at the beginning, where something is added to it or taken from it.

    >>> fits([7, "/", 2, "+", 1]), fits([3, "-", 7, "+", 1]), fits(["(", 3, "-", 7, ")", "*", 2])
    (False, True, False)
    """
    for left, (sign, a, b) in _reduced(term):
        if b < 0 or (a < 0 and (sign in "*/" or left[0] != a)):
            return False
        if sign == "/" and (b not in _DIVISORS or a % b):
            return False
        if sign == "*" and (min(a, b) > 99 or max(a, b) > 9999):
            return False
        if abs(result((sign, a, b))) > _LARGEST:
            return False
    return True


def written(term: Term) -> str:
    """The term without spaces."""
    return "".join(map(str, term))


def value(term: Term) -> int:
    """What its last operation gives."""
    return result(operations(term)[-1])


def _reduced(term: Term) -> Iterator[tuple[Term, Step]]:
    """The term with its first operation, what that leaves with its own, and so on until one number is left."""
    while len(term) > 1:
        yield term, _first(term)[1]
        term = _after(term)


def _first(term: Term) -> tuple[int, Step]:
    """Where the sign of the first operation stands, and the operation: of the first brackets, products before sums.

    >>> _first([2, "+", 3, "*", "(", 7, "-", 5, ")"])
    (6, ('-', 7, 5))
    """
    end = term.index(")") if ")" in term else len(term)
    begin = max((place for place in range(end) if term[place] == "("), default=-1) + 1
    signs = [place for place in range(begin + 1, end) if isinstance(term[place], str)]
    place = next((place for place in signs if term[place] in ("*", "/")), signs[0])
    return place, (str(term[place]), int(term[place - 1]), int(term[place + 1]))


def _after(term: Term) -> Term:
    """The term with its first operation done; brackets around what is one number then are left out."""
    place, step = _first(term)
    begin, end = place - 1, place + 2
    if begin and term[begin - 1] == "(" and term[end] == ")":
        begin, end = begin - 1, end + 1
    return [*term[:begin], result(step), *term[end:]]


def _shape(random: Random, count: int) -> str:
    pattern = random.choice((_PATTERNS | _BEYOND)[count])
    return "".join(random.choice(_SIGNS) if sign == "." else sign for sign in pattern)


def _filled(random: Random, shape: str) -> Term:
    """The shape with numbers: small ones beside a product, and such as can be divided before a quotient."""
    term: Term = list(shape)
    for place in [place for place, sign in enumerate(shape) if sign == "n"][::-1]:
        before, after = shape[place - 1 : place], shape[place + 1 : place + 2]
        if before == "/":
            term[place] = random.choice(_DIVISORS)
        elif after == "/" and shape[place + 2] == "n":
            term[place] = int(term[place + 2]) * random.randrange(1, random.choice((10, 10, 40)))
        elif "*" in (before, after):
            term[place] = random.randrange(2, random.choice((10, 10, 13, 100)))
        else:
            term[place] = random.randrange(1, random.choice((10, 30, 100, 100, 1000)))
    return term


def _question(random: Random, term: Term) -> str:
    signs = {sign for sign in term if isinstance(sign, str)}
    if len(signs) == 1 and (said := _SAID.get(min(signs))) and random.random() < 0.3:
        *numbers, last = (str(number) for number in term if isinstance(number, int))
        return asked(random, random.choice(said).format(f"{', '.join(numbers)} and {last}"))
    if "(" not in signs and random.random() < 0.1:
        return asked(random, "".join(_SPELLED.get(str(part), str(part)) for part in term))
    drawn = {sign: random.choice(ways) for sign, ways in _DRAWN.items()}
    space = random.choice((" ", " ", ""))
    parts = (
        part if part in ("(", ")") or isinstance(part, int) else f"{space}{drawn.get(part, part)}{space}"
        for part in term
    )
    return asked(random, "".join(map(str, parts)))
