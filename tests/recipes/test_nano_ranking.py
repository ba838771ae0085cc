"""Rankings, judged by every order that the premises allow."""

import re
from itertools import pairwise, permutations
from random import Random

import pytest

from ossia.harmony import Effort
from recipes.nano.problem import Problem
from recipes.nano.ranking import ranked

MORE = ("taller", "older", "faster", "heavier", "larger", "richer")
MORE += tuple(word.removesuffix("er") + "est" for word in MORE)
HELD = pytest.mark.parametrize("held", [True, False])


def drawn(held: bool) -> list[Problem]:
    random = Random(0)
    return [ranked(random, held=held) for _ in range(600)]


def before(a: str, word: str, b: str) -> tuple[str, str]:
    return (a, b) if word in MORE else (b, a)


def orders(question: str) -> list[tuple[str, ...]]:
    told = [before(*found) for found in re.findall(r"(\w+) is (\w+) than (\w+)\.", question)]
    people = {name for pair in told for name in pair}
    return [order for order in permutations(sorted(people)) if all(order.index(a) < order.index(b) for a, b in told)]


@HELD
def test_rankings_leave_one_order_and_are_answered_from_it(held: bool):
    seen = set[str]()
    for one in drawn(held):
        (order,) = orders(one.question)
        asked = one.question.split(". ")[-1]
        if found := re.fullmatch(r"Is (\w+) (\w+) than (\w+)\?", asked):
            a, b = before(*found.groups())
            expected, kind = "Yes." if order.index(a) < order.index(b) else "No.", "whether"
        elif found := re.fullmatch(r"Who is (\w+), (\w+) or (\w+)\?", asked):
            word, a, b = found.groups()
            expected, kind = (a if before(a, word, b) in ordered_pairs(order) else b), "which"
        else:
            found = re.fullmatch(r"Who is (?:the )?(\w+)\?", asked)
            assert found, one
            assert found[1].endswith("er" if len(order) == 2 else "est")
            expected, kind = order[0 if before("first", found[1], "last")[0] == "first" else -1], "who"
        seen |= {kind, str(len(order))}
        assert one.answer == expected, one
    assert seen == {"whether", "which", "who", "2", "3", "4"}


def ordered_pairs(order: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]


@HELD
def test_a_ranking_is_worked_out_from_what_is_read_to_the_answer(held: bool):
    for one in drawn(held):
        ((*order,),) = orders(one.question)
        lines = one.reasoning[Effort.HIGH].split("\n")
        told = [">".join(before(*found)) for found in re.findall(r"(\w+) is (\w+) than (\w+)\.", one.question)]
        assert lines[: len(told)] == told
        assert lines[-2] == one.reasoning[Effort.MEDIUM] == ">".join(order)
        if len(told) > 1:
            up = lines[len(told)].split("<")
            assert up[0] == told[0].split(">")[0]
            assert up[-1] == order[0]
            assert {f"{a}>{b}" for b, a in pairwise(up)} <= {*told}
        assert lines[-1].split(":")[1] in (one.answer, one.answer.lower().rstrip("."))


def test_people_that_are_kept_are_never_learned():
    def people(held: bool) -> set[str]:
        return {name for one in drawn(held) for name in orders(one.question)[0]}

    assert not people(True) & people(False)
