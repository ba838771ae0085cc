"""Fractions, percentages, units and dates, judged by the standard library and by pint."""

import re
from calendar import isleap
from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import prod
from random import Random

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.harmony import Effort
from recipes.nano.arithmetic import held_out, working
from recipes.nano.calendars import MONTHS, WEEKDAYS, calendar_question, leap
from recipes.nano.fractions import fraction, reduced, reducing
from recipes.nano.percentages import percentage, shifted
from recipes.nano.problem import Problem
from recipes.nano.units import units

MANY = 400
HELD = pytest.mark.parametrize("held", [True, False])


def drawn(draw: object, held: bool) -> list[Problem]:
    random = Random(0)
    return [draw(random, held=held) for _ in range(MANY)]  # type: ignore[operator] # the skills themselves


@given(st.integers(0, 264), st.integers(1, 12), st.integers(1, 12))
def test_reducing_keeps_the_value_and_ends_in_lowest_terms(a: int, b: int, d: int):
    lines = reduced(a, b * d)
    assert {Fraction(line) for line in lines} == {Fraction(a, b * d)}
    assert lines[-1] == str(Fraction(a, b * d))


@given(st.integers(1, 264), st.integers(1, 12), st.integers(1, 12))
def test_every_prime_of_a_denominator_is_tried(a: int, b: int, d: int):
    below, tried = b * d, set[int]()
    for line in reducing(a, b * d):
        if line.startswith(":"):
            assert prod(int(factor) for factor in line[1:].split(",") if factor) == below
        elif ":" in line:
            prime, steps = line.split(":")
            tried.add(int(prime))
            rest, digits = 0, ""
            for (quotient, left), digit in zip(re.findall(r"(\d)r(\d+)", steps), str(a), strict=True):
                assert divmod(10 * rest + int(digit), int(prime)) == (int(quotient), int(left))
                rest, digits = int(left), digits + quotient
            a, below = (int(digits), below // int(prime)) if rest == 0 else (a, below)
        else:
            assert line in (f"{a}/{below}", str(a))
    assert all((b * d) % prime for prime in {2, 3, 5, 7, 11} - tried)


NAMED = {"half": Fraction(1, 2), "a third": Fraction(1, 3), "one third": Fraction(1, 3), "two thirds": Fraction(2, 3)}
NAMED |= {"quarter": Fraction(1, 4), "one fourth": Fraction(1, 4), "three fourths": Fraction(3, 4)}
NAMED |= {"three quarters": Fraction(3, 4), "fifth": Fraction(1, 5), "tenth": Fraction(1, 10)}


def fraction_expected(cell: str, question: str) -> Fraction:
    """What the question of that cell is worth, by Python's fractions."""
    numbers = [Fraction(text) for text in re.findall(r"\d+(?:/\d+)?", question)]
    match cell:
        case "fraction of a number" if len(numbers) == 1:
            names = [name for name in NAMED if name in question]
            return NAMED[max(names, key=len)] * numbers[0]
        case "fraction of a number" | "fraction *":
            return numbers[0] * numbers[1]
        case "fractions compared":
            return (max if re.search("larger|more|greater", question) else min)(numbers)
        case "fraction +":
            return numbers[0] + numbers[1]
        case "fraction -":
            return numbers[0] - numbers[1]
        case "fraction /":
            return numbers[0] / numbers[1]
        case _:
            return numbers[0]


@HELD
def test_fractions_are_worth_what_python_says(held: bool):
    cells = set[str]()
    for one in drawn(fraction, held):
        cells.add(one.cell)
        expected = fraction_expected(one.cell, one.question)
        assert Fraction(one.answer) == expected, one
        assert one.cell == "fractions compared" or one.answer == str(expected)
        assert one.cell == "fractions compared" or one.reasoning[Effort.HIGH].endswith(one.answer)
        products = re.findall(r"(\d+)\*(\d+)=(\d+)", one.reasoning[Effort.HIGH])
        assert all(int(a) * int(b) == int(product) for a, b, product in products)
    assert cells == {
        *(f"fraction {sign}" for sign in "+-*/"),
        "fraction, reduced",
        "fraction of a number",
        "fractions compared",
    }


@HELD
def test_crosswise_products_have_the_order_of_the_fractions(held: bool):
    for one in (one for one in drawn(fraction, held) if one.cell == "fractions compared"):
        first, second = (Fraction(text) for text in re.findall(r"\d+/\d+", one.question))
        x, sign, y = re.findall(r"(\d+)([<>])(\d+)", one.reasoning[Effort.HIGH])[0]
        assert (sign == "<") == (first < second) == (int(x) < int(y))
        assert one.reasoning[Effort.MEDIUM] == sign


@HELD
def test_percentages_are_exact(held: bool):
    cells = set[str]()
    for one in drawn(percentage, held):
        cells.add(one.cell)
        numbers = [int(number) for number in re.findall(r"\d+", one.question)]
        if one.cell == "percentage":
            x, n = numbers
            assert Fraction(one.answer) == Fraction(x * n, 100)
            assert not re.search(r"\.\d*0$", one.answer)
        elif one.cell == "percentage, changed":
            x = int(re.findall(r"(\d+)%", one.question)[0])
            n = next(number for number in reversed(numbers) if number != x) if len(set(numbers)) > 1 else x
            more = re.search(r"(?i)plus| and \d|incr|rais|more|dearer|rises|goes up|tax", one.question) is not None
            assert Fraction(one.answer) == n * (1 + Fraction(x if more else -x, 100)), one
        else:
            part = Fraction(int(one.answer.removesuffix("%")), 100)
            of = re.search(r"(?:percent|percentage)(?:age)? of (\d+) is|of (\d+)|out of (\d+)", one.question)
            assert of
            n = int(next(group for group in of.groups() if group))
            assert sorted([n, int(part * n)]) == sorted(numbers)
            assert part * n == int(part * n)
    assert cells == {"percentage", "percentage, changed", "percentage, part"}


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_shifted_point_divides_by_a_power_of_ten(number: int, places: int):
    assert Fraction(shifted(number, places)) == Fraction(number, 10**places)


REGISTRY = pint.UnitRegistry(non_int_type=Fraction)  # type: ignore[arg-type] # any number will do
UNITS = {"Celsius": "degC", "Fahrenheit": "degF", "C": "degC", "F": "degF", "t": "metric_ton", "tonne": "metric_ton"}
UNITS |= {"tonnes": "metric_ton", "centuries": "century", "l": "liter", "months": "month"}
# There a decade is one of the logarithm's.
REGISTRY.define("ten_years = 10 * year")
UNITS |= {"decades": "ten_years", "decade": "ten_years"}


def worth(text: str, of: str) -> Fraction:
    of = of.removeprefix("degrees ").removeprefix("\u00b0")
    return REGISTRY.Quantity(Fraction(text), UNITS.get(of, of)).to_base_units().magnitude


def converted(question: str) -> tuple[str, str, str]:
    """The amount, its unit, and the one that it is asked for in."""
    amount = r"(?P<n>-?[\d.]+) (?P<of>.+?)"
    for form in (
        rf"How many (?P<to>.+?) (?:are|are in|is) {amount}\?",
        rf"Convert {amount} (?:to|into) (?P<to>.+?)\.?",
        rf"What (?:is|are) {amount} in (?P<to>.+?)\?",
        rf"{amount} (?:in|to|= \?) (?P<to>.+?)\??",
    ):
        if found := re.fullmatch(form, question):
            return found["n"], found["of"], found["to"]
    raise AssertionError(question)


@HELD
def test_units_are_converted_as_pint_does(held: bool):
    seen = set[str]()
    for one in drawn(units, held):
        seen.add(one.cell)
        if one.cell in ("unit, time", "unit, imperial"):
            count, of = re.findall(r"(\d+) (\w+)", one.question)[-1]
            told = sum(worth(part, unit) for part, unit in re.findall(r"(\d+) (\w+)", one.answer))
            assert told == worth(count, of), one
            continue
        n, of, to = converted(one.question)
        if " " in one.answer:
            assert one.cell == "unit, divided"
            (whole, large), (rest, small) = re.findall(r"(\d+) (\w+)", one.answer)
            assert worth(whole, large) + worth(rest, small) == worth(n, of), one
            assert 0 < worth(rest, small) < worth("1", large) == worth("1", to)
        elif one.cell == "unit, across":
            # The factor is rounded to three digits behind the point.
            factor = Fraction(one.answer) / int(n)
            assert abs(factor - worth("1", of) / worth("1", to)) <= Fraction(1, 2000), one
        else:
            assert worth(one.answer, to) == worth(n, of), one
    kinds = "to smaller", "to larger", "time", "imperial", "divided", "decimal", "across", "temperature"
    assert seen == {f"unit, {kind}" for kind in kinds}


@HELD
def test_units_have_the_number_that_they_need(held: bool):
    irregular = {"foot": "feet", "inch": "inches", "century": "centuries"}
    one_of = {
        *irregular,
        "yard",
        "pound",
        "ounce",
        "gallon",
        "quart",
        "mile",
        "hour",
        "minute",
        "second",
        "day",
        "week",
    }
    one_of |= {"month", "year", "decade"}
    for one in drawn(units, held):
        for number, unit in re.findall(r"([\d.]+) ([a-z]{3,})", f"{one.question} {one.answer}"):
            assert unit not in irregular if number != "1" else unit not in irregular.values()
            if unit.removesuffix("s") in one_of:
                assert (number == "1") == (unit in one_of), one
        assert not re.search("What are 1 ", one.question)


@HELD
def test_units_end_at_their_answer_whose_working_is_that_of_each_operation(held: bool):
    for one in drawn(units, held):
        high = one.reasoning[Effort.HIGH]
        if found := re.search(r"=(\d+)r(\d+)$", high):
            whole, rest = found.groups()
            numbers = re.findall(r"\d+", one.answer)
            assert [int(whole), int(rest)] == [*map(int, numbers), 0][:2], one
        else:
            assert re.split("[=\n]", high)[-1] == one.answer, one
        if one.cell == "unit, across":
            said, term, *steps, moved = high.split("\n")
            a, b = term.split("*")
            assert "\n".join(steps) == working("*", int(a), int(b), Effort.HIGH)
            product, ten = moved.split("=")[0].split("/")
            assert int(product) == int(a) * int(b)
            assert Fraction(int(b), int(ten)) == Fraction(re.findall(r"=([\d.]+)", said)[0])
        if one.cell == "unit, decimal":
            a, b = re.findall(r"^([\d.]+)\*(\d+)$", high, re.M)[0]
            assert Fraction(a) * int(b) == Fraction(one.answer)
            assert "." in a
            assert re.fullmatch(r"\d+|\d+(\*|/)10+=[\d.]+", high.split("\n")[-1])


def weekday_moved(one: Problem) -> str:
    day, count = next(day for day in WEEKDAYS if day in one.question), int(re.findall(r"\d+", one.question)[0])
    back = "ago" in one.question or "before" in one.question
    # 2024-01-01 was a Monday.
    there = date(2024, 1, 1) + timedelta(WEEKDAYS.index(day)) + timedelta(-count if back else count)
    return f"{there:%A}"


def day_said(question: str) -> date:
    """2024-02-29, 29 February 2024 or February 29, 2024."""
    for form, shape in (
        (r"\d{4}-\d\d-\d\d", "%Y-%m-%d"),
        (r"\d+ [A-Z]\w+ \d{4}", "%d %B %Y"),
        (r"[A-Z]\w+ \d+, \d{4}", "%B %d, %Y"),
    ):
        if found := re.search(form, question):
            return datetime.strptime(found[0], shape).date()
    raise AssertionError(question)


@HELD
def test_the_codes_of_a_date_add_up_step_by_step(held: bool):
    seen = 0
    for one in drawn(calendar_question, held):
        if one.cell == "weekday of a date":
            _, sums, division, *_, last = one.reasoning[Effort.HIGH].split("\n")
            assert all(eval(re.sub("[a-z]", "", a)) == int(b) for a, b in (step.split("=") for step in sums.split(",")))
            assert sums.endswith(f"={division.removesuffix('/7')}")
            assert last.startswith(str(int(division.removesuffix("/7")) % 7))
            seen += 1
    assert seen > 50


@HELD
def test_dates_are_those_of_the_calendar(held: bool):
    for one in drawn(calendar_question, held):
        days = [date.fromisoformat(text) for text in re.findall(r"\d{4}-\d\d-\d\d", one.question)]
        match one.cell:
            case "weekday":
                expected = weekday_moved(one)
            case "days between":
                expected = str((days[1] - days[0]).days)
            case "date after":
                count = re.findall(r"\b(\d+) days", one.question)[0]
                expected = str(days[0] + timedelta(int(count)))
            case "weekday of a date":
                expected = f"{day_said(one.question):%A}"
            case _:
                expected = "Yes." if isleap(int(re.findall(r"\d{4}", one.question)[0])) else "No."
        assert one.answer == expected, one


@HELD
def test_a_weekday_at_medium_effort_is_a_few_glances(held: bool):
    for one in drawn(calendar_question, held):
        if one.cell == "weekday":
            *steps, last = one.reasoning[Effort.MEDIUM].split(",")
            rest = 0
            for step, digit in zip(steps, re.findall(r"\d+", one.question)[0], strict=True):
                quotient, left = step.split("r")
                assert divmod(10 * rest + int(digit), 7) == (int(quotient), int(left))
                rest = int(left)
            day, sign, by, moved = re.fullmatch(r"(\d)([+-])(\d)=(-?\d+)", last).groups()  # type: ignore[union-attr]
            assert WEEKDAYS[int(day) - 1] in one.question
            assert int(by) == rest
            assert WEEKDAYS[(eval(f"{day}{sign}{by}") - 1) % 7] == WEEKDAYS[(int(moved) - 1) % 7] == one.answer


@HELD
def test_units_at_medium_effort_have_what_high_effort_works_out(held: bool):
    for one in drawn(units, held):
        medium = one.reasoning[Effort.MEDIUM]
        if terms := re.findall(r"^(\d+)([*/])(\d+)=(\S+)$", medium, re.M):
            for a, sign, b, result in terms:
                assert Fraction(result) == (int(a) * int(b) if sign == "*" else Fraction(int(a), int(b)))
            assert terms[-1][-1] == one.answer
        elif one.cell == "unit, decimal":
            assert medium.endswith(f"\n{one.answer}")
        elif found := re.fullmatch(r"(-?\d+)(\+32|\*5/9)", medium):
            assert int(one.answer) == (int(found[1]) + 32 if "+" in medium else Fraction(int(found[1]) * 5, 9))
        else:
            # Of each step the digit of the quotient stands first, the rest last.
            a, b = re.findall(r"^(\d+)/(\d+)$", medium, re.M)[0]
            steps = [re.split("[r:]", step) for step in medium.split("\n")[-1].split(",")]
            assert (int("".join(step[0] for step in steps)), int(steps[-1][-1])) == divmod(int(a), int(b))


@HELD
def test_every_equation_of_quantities_holds(held: bool):
    for draw in (calendar_question, units, fraction):
        for one in drawn(draw, held):
            lines = one.reasoning[Effort.HIGH].split("\n")
            for line in lines:
                if found := re.fullmatch(
                    r"(?:[A-Z]\w+ (?:[\d:]+/4=\dr\d:\w+ )?(?:\d+:)?)?(-?\d+)([-+*])(\d+)=(-?\d+)", line
                ):
                    a, sign, b, result = found.groups()
                    assert eval(f"{a}{sign}{b}") == int(result), line


@HELD
def test_february_is_as_long_as_its_year_says(held: bool):
    for one in drawn(calendar_question, held):
        for verdict, days in re.findall(r"February \S+:(leap|no) (\d+)[-:\n]", one.reasoning[Effort.HIGH] + "\n"):
            assert int(days) == (29 if verdict == "leap" else 28), one


@given(st.integers(1600, 2399))
def test_leap_years(year: int):
    assert leap(year).endswith(":leap") == isleap(year)


def test_months_and_weekdays_are_those_of_the_standard_library():
    assert [f"{date(2024, month, 1):%B}" for month in range(1, 13)] == list(MONTHS)


@pytest.mark.parametrize("draw", [fraction, percentage, units, calendar_question])
def test_what_is_kept_is_never_learned(draw: object):
    def numbers(held: bool) -> set[tuple[str, str]]:
        return {(one.cell, " ".join(re.findall(r"\w*\d+|[A-Z]\w+day", one.question))) for one in drawn(draw, held)}

    both = numbers(True) & numbers(False)
    # The same numbers may stand in questions of other units, and of either direction.
    assert not both if draw not in (units, calendar_question) else len(both) < MANY / 10


@pytest.mark.parametrize("draw", [fraction, percentage, units])
def test_workings_that_are_learned_show_no_product_that_is_kept(draw: Callable[..., Problem]):
    random, seen = Random(0), 0
    for _ in range(1000):
        for a, b in re.findall(r"(\d+)\*(\d+)(?![\d/])", draw(random, held=False).reasoning[Effort.HIGH]):
            if not re.fullmatch("10+", b):  # digits that are only moved
                seen += 1
                assert not held_out("*", int(a), int(b))
    assert seen > 200
