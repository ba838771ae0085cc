"""The skills of whole numbers beyond one operation: division, comparison, expressions, stories."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.harmony import Effort
from recipes.nano.comparison import comparison
from recipes.nano.division import divided, division
from recipes.nano.expressions import expression, story
from recipes.nano.problem import Problem

MANY = 300


def drawn(draw: object, held: bool) -> list[Problem]:
    random = Random(0)
    return [draw(random, held=held) for _ in range(MANY)]  # type: ignore[operator] # the skills themselves


@given(st.integers(0, 99_999), st.integers(2, 9))
def test_every_step_of_a_division_holds(a: int, b: int):
    text = divided(a, b, Effort.HIGH)
    rest = 0
    for before, digit, quotient, left in re.findall(r"[a-e](\d)(\d)=(\d)r(\d)", text):
        assert int(before) == rest
        assert divmod(10 * rest + int(digit), b) == (int(quotient), int(left))
        rest = int(left)
    assert text.endswith(f"\n={a // b}r{a % b}")
    assert int("".join(re.findall(r"(\d)r", divided(a, b, Effort.MEDIUM)))) == a // b


@pytest.mark.parametrize("held", [True, False])
def test_divisions_ask_what_is_answered(held: bool):
    for one in drawn(division, held):
        a, b = (int(number) for number in re.findall(r"\d+", one.question))
        expected = str(a % b) if one.cell == "remainder" else f"{a // b} remainder {a % b}".removesuffix(" remainder 0")
        assert one.answer == expected


@pytest.mark.parametrize("held", [True, False])
def test_comparisons_name_one_of_the_two(held: bool):
    for one in drawn(comparison, held):
        numbers = [int(number) for number in re.findall(r"\d+", one.question)]
        larger = re.search("larger|bigger|greater", one.question) is not None
        assert int(one.answer) == (max(numbers) if larger else min(numbers))


@pytest.mark.parametrize("held", [True, False])
def test_expressions_are_worth_what_python_says(held: bool):
    for one in drawn(expression, held):
        term = "".join(re.findall(r"[\d+*()-]", one.question))
        assert int(one.answer) == eval(term)
        assert one.reasoning[Effort.HIGH].endswith(f"={one.answer}")


@pytest.mark.parametrize("held", [True, False])
def test_stories_follow_from_their_numbers(held: bool):
    for one in drawn(story, held):
        steps = re.findall(r"(\d+)([+*-])(\d+)=(\d+)", one.reasoning[Effort.MEDIUM])
        assert {number for a, _, b, _ in steps for number in (a, b)} <= {
            *re.findall(r"\d+", one.question),
            steps[0][3],
        }
        assert all(eval(f"{a}{sign}{b}") == int(result) for a, sign, b, result in steps)
        assert steps[-1][3] == one.answer


@pytest.mark.parametrize("draw", [division, comparison])
def test_numbers_that_are_kept_are_never_learned(draw: object):
    kept, learned = ({re.sub(r"\D+", " ", one.question) for one in drawn(draw, held)} for held in (True, False))
    assert not kept & learned


@pytest.mark.parametrize("draw", [expression, story])
def test_first_steps_that_are_kept_are_never_learned(draw: object):
    kept, learned = (
        {one.reasoning[Effort.MEDIUM].split(",")[0] for one in drawn(draw, held)} for held in (True, False)
    )
    assert not kept & learned
