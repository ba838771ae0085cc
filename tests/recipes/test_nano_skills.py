"""The skills of whole numbers beyond one operation: division, comparison, expressions, stories."""

import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.harmony import Effort
from recipes.nano.comparison import comparison
from recipes.nano.division import divided, division, long_division
from recipes.nano.expressions import expression, story
from recipes.nano.problem import Problem
from recipes.nano.stories import long_story

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


@given(st.integers(0, 999_999), st.integers(10, 999))
def test_every_step_of_a_long_division_holds(a: int, b: int):
    text = divided(a, b, Effort.HIGH)
    for x, y, carry, total in re.findall(r"[xyz](\d)\*(\d)\+(\d)=(\d\d)", text):
        assert int(x) * int(y) + int(carry) == int(total)
    for x, y, borrow, new, digit in re.findall(r"[pqrs](\d)[tuvw](\d)-(\d)=(\d)(\d)", text):
        assert int(x) - int(y) - int(borrow) == int(digit) - 10 * int(new)
    for total, leading, guess in re.findall(r":((?:[pqrs]\d)+)/(\d+)=(\d)", text):
        number = int("".join(re.findall(r"\d", total)))
        shown = number // 10 ** (len(str(b)) - len(leading))
        assert int(guess) == min(9, shown // int(leading))
        assert int(guess) >= number // b  # so that going down finds it
    assert text.endswith(f"\n={a // b}r{a % b}")
    steps = re.findall(r"(\d+)r(\d+)", divided(a, b, Effort.MEDIUM))
    assert int("".join(quotient for quotient, _ in steps)) == a // b
    assert int(steps[-1][1]) == a % b


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("draw", [division, long_division])
def test_divisions_ask_what_is_answered(draw: object, held: bool):
    for one in drawn(draw, held):
        a, b = (int(number) for number in re.findall(r"\d+", one.question))
        expected = (
            str(a % b)
            if one.cell.startswith("remainder")
            else f"{a // b} remainder {a % b}".removesuffix(" remainder 0")
        )
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


@pytest.mark.parametrize("held", [True, False])
def test_long_stories_go_on_from_what_there_is(held: bool):
    counts = set()
    for one in drawn(long_story, held):
        steps = re.findall(r"(\d+)([+*/-])(\d+)=(\d+)", one.reasoning[Effort.MEDIUM])
        told = re.findall(r"\d+", one.question)
        assert told == [steps[0][0], *(b for _, _, b, _ in steps)]
        for (*_, before), (after, *_) in pairwise(steps):
            assert before == after
        assert all(eval(f"{a}{sign}{b}") == int(result) for a, sign, b, result in steps)
        assert steps[-1][3] == one.answer
        counts.add(len(steps))
    assert counts == {2, 3, 4}


def test_sentences_that_are_kept_are_not_learned():
    learned = " ".join(one.question for one in drawn(long_story, False))
    kept = " ".join(one.question for one in drawn(long_story, True))
    for words in ("starts with", "Another", "disappear", "Soon there", "only one box", "remain?"):
        assert words in kept
        assert words not in learned


@pytest.mark.parametrize("draw", [division, long_division, comparison])
def test_numbers_that_are_kept_are_never_learned(draw: object):
    kept, learned = ({re.sub(r"\D+", " ", one.question) for one in drawn(draw, held)} for held in (True, False))
    assert not kept & learned


@pytest.mark.parametrize("draw", [expression, story])
def test_first_steps_that_are_kept_are_never_learned(draw: object):
    kept, learned = (
        {one.reasoning[Effort.MEDIUM].split(",")[0] for one in drawn(draw, held)} for held in (True, False)
    )
    assert not kept & learned
