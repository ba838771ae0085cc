import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.harmony import Effort
from recipes.nano.arithmetic import OPERATIONS, arithmetic, compared, held_out, long_arithmetic, problem, working
from recipes.nano.problem import Problem

ADDENDS = st.integers(0, 999_999)
LONGER, SHORTER = st.integers(0, 999_999), st.integers(0, 999)

RESULTS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def result_of_steps(text: str) -> int:
    """What the last part of a working at medium effort says, read from its units."""
    steps = text.removeprefix("-").rsplit(";", 1)[-1].rsplit(":", 1)[-1].split(",")
    return int(steps[-1] + "".join(step[1] for step in reversed(steps[:-1])))


@given(ADDENDS, ADDENDS)
def test_the_steps_of_an_addition_give_the_sum(a: int, b: int):
    assert result_of_steps(working("+", a, b, Effort.MEDIUM)) == a + b
    text = working("+", a, b, Effort.HIGH)
    for x, y, carry, total in re.findall(r"[a-f](\d)(?:[u-z](\d))?\+(\d)=(\d\d)", text):
        assert int(x) + int(y or 0) + int(carry) == int(total)
    assert text.endswith(f"\n={a + b}")


@given(ADDENDS, ADDENDS)
def test_the_steps_of_a_subtraction_give_the_difference(a: int, b: int):
    text = working("-", a, b, Effort.MEDIUM)
    assert result_of_steps(text) == abs(a - b)
    assert text.startswith("-") == (a < b)
    lines = working("-", a, b, Effort.HIGH).split("\n")
    assert lines[1] == compared(a, b)
    assert lines[-1] == f"={a - b}"


@given(ADDENDS, ADDENDS)
def test_a_comparison_ends_with_the_sign(a: int, b: int):
    assert re.findall("[<=>]", compared(a, b))[-1] == ("<" if a < b else ">" if a > b else "=")


@given(LONGER, SHORTER)
def test_every_equation_of_a_multiplication_holds(a: int, b: int):
    text = working("*", a, b, Effort.HIGH)
    equations = re.findall(r"[a-f](\d)\*(\d)\+(\d)=(\d\d)", text)
    assert len(equations) == len(str(a)) * len(str(b))
    for x, y, carry, total in equations:
        assert int(x) * int(y) + int(carry) == int(total)
    for x, y, carry, total in re.findall(r"[A-X](\d)[H-NZYg-n](\d)\+(\d)=(\d\d)", text):
        assert int(x) + int(y) + int(carry) == int(total)
    assert text.endswith(f"\n={a * b}")


@given(st.integers(100, 999_999), st.integers(10, 999))
def test_the_steps_of_a_multiplication_give_the_product(a: int, b: int):
    assert result_of_steps(working("*", a, b, Effort.MEDIUM)) == a * b


@given(LONGER, SHORTER)
def test_no_letter_of_a_multiplication_stands_for_two_digits(a: int, b: int):
    text = working("*", a, b, Effort.HIGH)
    shown: dict[str, str] = {}
    for letter, digit in re.findall(r"([A-Za-z])(\d)", text):
        assert shown.setdefault(letter, digit) == digit


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("draw", [arithmetic, long_arithmetic])
def test_a_question_asks_what_is_answered(draw: Callable[..., Problem], operation: str, held: bool):
    random = Random(0)
    for _ in range(300):
        drawn = draw(random, operation, held=held)
        a, b = (int(number) for number in re.findall(r"\d+", drawn.question))
        if re.search(r"(?i)\bfrom\b", drawn.question):
            a, b = b, a
        assert drawn.right(str(RESULTS[operation](a, b)))
        assert not drawn.right(str(RESULTS[operation](a, b) + 1))
        assert held_out(operation, a, b) == held


@given(ADDENDS, ADDENDS)
def test_numbers_are_held_out_in_either_order(a: int, b: int):
    assert held_out("+", a, b) == held_out("+", b, a)


def test_about_a_tenth_is_held_out():
    pairs = [(a, b) for a in range(10, 100) for b in range(10, 100)]
    share = sum(held_out("*", a, b) for a, b in pairs) / len(pairs)
    # Four standard deviations of a proportion of 4,095 unordered pairs.
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / 4095) ** 0.5


def test_products_of_digits_are_all_learned():
    assert not any(held_out("*", a, b) for a in range(10) for b in range(10))


def test_only_low_effort_is_without_working():
    assert set(problem("*", 37, 48).reasoning) == {Effort.MEDIUM, Effort.HIGH}


@pytest.mark.parametrize(
    ("operation", "a", "b", "cell"),
    [
        ("+", 7, 12345, "addition 5"),
        ("-", 12, 7, "subtraction 2"),
        ("-", 7, 12, "subtraction below zero"),
        ("*", 7, 123, "multiplication 3x1"),
    ],
)
def test_cells(operation: str, a: int, b: int, cell: str):
    assert problem(operation, a, b).cell == cell
