"""Expressions, what is told as one, and numbers that are too long."""

import re
from collections.abc import Callable
from fractions import Fraction
from random import Random

import pytest

from ossia.harmony import Effort
from recipes.nano.errands import errand
from recipes.nano.problem import Problem, kept
from recipes.nano.terms import Term, expression, fits, operations, value, worked_out
from recipes.nano.too_large import TOO_LARGE, too_large

MANY = 400
SIGNS = str.maketrans({"x": "*", "\u00d7": "*", "\u00f7": "/"})


def drawn(draw: Callable[..., Problem], held: bool, **more: int) -> list[Problem]:
    random = Random(0)
    return [draw(random, held=held, **more) for _ in range(MANY)]


def as_python(question: str) -> str:
    """The question's term; a list of numbers is joined by the sign that its noun stands for."""
    numbers = re.findall(r"\d+", question)
    if re.search("sum|total|together", question, re.I):
        return "+".join(numbers)
    if re.search("product", question, re.I):
        return "*".join(numbers)
    for word, sign in (("plus", "+"), ("minus", "-"), ("divided by", "/"), ("times", "*")):
        question = question.replace(word, sign)
    return "".join(re.findall(r"[\d+*/()-]", question.translate(SIGNS)))


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_expressions_are_worth_what_python_says(held: bool, count: int):
    for one in drawn(expression, held, count=count):
        term = as_python(one.question)
        assert eval(term) == int(one.answer), one
        assert len(re.findall(r"\d+", term)) == count


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("draw", [expression, errand])
def test_every_line_of_a_term_is_worth_the_answer(draw: Callable[..., Problem], held: bool):
    for one in drawn(draw, held):
        terms = one.reasoning[Effort.MEDIUM].split("=")
        assert [Fraction(eval(term)) for term in terms] == [int(one.answer)] * len(terms)
        high = one.reasoning[Effort.HIGH].split("\n")
        places = [high.index(term) for term in terms[:-1]]
        assert places == sorted(places)
        assert re.fullmatch(rf"={re.escape(one.answer)}(r0)?", high[-1])


def test_an_operation_is_written_alone_before_it_is_worked_out():
    term: Term = [100, "-", "(", 2, "+", 3, ")", "*", 4]
    lines = worked_out(term)[Effort.HIGH].split("\n")
    assert lines[:2] == ["100-(2+3)*4", "2+3"]
    assert lines[5:7] == ["100-5*4", "5*4"]
    assert [line for line in lines if line.startswith("=")] == ["=5", "=20", "=80"]
    assert operations(term) == [("+", 2, 3), ("*", 5, 4), ("-", 100, 20)]
    assert value(term) == 80


@pytest.mark.parametrize(
    ("term", "fine"),
    [
        ([1, "-", 5, "+", 2], True),
        ([1, "-", 5, "*", 2], True),
        (["(", 1, "-", 5, ")", "*", 2], False),
        ([8, "-", "(", 1, "-", 5, ")"], False),
        ([8, "/", 3, "*", 3], False),
        ([90, "/", 10, "+", 1], False),
        ([120, "*", 120, "+", 1], False),
        ([9999, "*", 99, "+", 1], False),
    ],
)
def test_only_what_is_taught_is_part_of_a_term(term: Term, fine: bool):
    assert fits(term) == fine


def test_every_sign_and_bracket_is_met():
    questions = [one.question.translate(SIGNS) for one in drawn(expression, False)]
    assert all(any(sign in question for question in questions) for sign in "+-*/()")
    products = [question for question in questions if re.search(r"\d ?\* ?\d+ ?\* ?\d", question)]
    assert products


def test_kept_shapes_of_four_numbers_are_never_learned():
    def shape(one: Problem) -> str:
        return re.sub(r"\d+", "n", one.reasoning[Effort.MEDIUM].split("=")[0])

    assert not any(kept(shape(one)) for one in drawn(expression, False, count=4))
    assert any(kept(shape(one)) for one in drawn(expression, True, count=4))


@pytest.mark.parametrize("draw", [expression, errand])
def test_terms_that_are_kept_are_not_learned(draw: Callable[..., Problem]):
    for held in (True, False):
        assert all(kept(one.reasoning[Effort.MEDIUM].split("=")[0]) == held for one in drawn(draw, held))


def test_an_errand_tells_the_numbers_of_its_term():
    for one in drawn(errand, held=False):
        term = one.reasoning[Effort.MEDIUM].split("=")[0]
        told = set(re.findall(r"\d+", one.question))
        # A mean is divided by how many there are, and two sides of a rectangle are counted twice.
        assert set(re.findall(r"\d+", term)) - told <= {"2", "3"}
        assert told <= set(re.findall(r"\d+", term))


def test_the_kept_wordings_of_errands_are_not_learned():
    learned = {re.sub(r"\d+", "n", one.question) for one in drawn(errand, held=False)}
    assert not any(re.search(r"What is the change|mean value|lies in the middle", text) for text in learned)
    evaluated = [one.question for one in drawn(errand, held=True)]
    assert any("What is the change" in text for text in evaluated)


@pytest.mark.parametrize("held", [True, False])
def test_what_is_too_large_has_a_digit_too_many(held: bool):
    edges = set[tuple[str, int, int]]()
    for one in drawn(too_large, held):
        assert one.answer == TOO_LARGE
        a, b = (len(number) for number in re.findall(r"\d+", one.question))
        by = re.search(r"(?i)[*/x\u00d7\u00f7]|times|divide|multiply|multiplied|product", one.question)
        divided = re.search(r"(?i)[/\u00f7]|divide", one.question)
        long, short = (a, b) if divided else (max(a, b), min(a, b))
        assert long > 6 or (by and short > 3) or (not by and max(a, b) > 6)
        edges.add(("*/"[divided is not None] if by else "+", long, short))
    assert {sign for sign, *_ in edges} == {"*", "/", "+"}
    assert any(long == 7 and short == 1 for _, long, short in edges)
    assert ("*", 4, 4) in edges


def test_the_working_begins_and_stops_at_the_first_digit_too_many():
    for one in drawn(too_large, False):
        begun, said = one.reasoning[Effort.HIGH].split("\n")
        assert said == "Too large."
        first, *rest = re.split(r"[-+*/]", begun)
        numbers = re.findall(r"\d+", one.question)
        digits = "".join(re.findall(r"\d", first))
        assert any(number.startswith(digits) for number in numbers)
        assert (len(digits) == 6 and not rest) or digits in numbers
