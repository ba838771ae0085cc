import contextlib
import random
import time

import numpy as np
import pytest
from llguidance import LLParserLimits

from ossia.errors import GrammarError
from ossia.grammar import Choice, JsonSchema, Lark, Regex, Rules, ToolRule, matching, plan
from ossia.grammar.plan import MOST_MESSAGES, Plan
from ossia.grammar.tokens import Tokens
from tests.grammar.hostile import ANSWERS, LONGEST
from tests.grammar.walks import allowed, nano, takes, walk

LONGEST_COMPILATION, LONGEST_MASK = 3.0, 0.5
"""Seconds of computing: many times what is measured, for machines that do other work."""


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_grammar_is_refused_or_costs_little(name: str):
    begin = time.thread_time()
    try:
        grammar = walk(Rules(answer=ANSWERS[name]))
    except GrammarError:
        return
    finally:
        assert time.thread_time() - begin < LONGEST_COMPILATION
    assert takes(grammar, "<|channel|>final<|message|>")
    rng = random.Random(1)
    for _ in range(60):
        begin = time.thread_time()
        grammar.forced()
        may = allowed(grammar)
        assert time.thread_time() - begin < LONGEST_MASK
        if not len(may):
            break
        assert grammar.accept(int(rng.choice(may.tolist())))
        assert nano().end not in may


@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_compilations_end_within_seconds(name: str):
    begin = time.thread_time()
    with contextlib.suppress(GrammarError):
        Plan(Tokens(nano()), Rules(answer=JsonSchema(LONGEST[name], strict=False)))
    assert time.thread_time() - begin < 15.0, "some four were measured"


def test_tools_that_take_too_long_together_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "MOST_SECONDS", 0.3)
    schema = {"properties": {f"p{n}": {"type": "string", "pattern": f"^{n}+$"} for n in range(800)}}
    tools = tuple(ToolRule(recipient=f"functions.f{number}", parameters=schema) for number in range(200))
    begin = time.thread_time()
    with pytest.raises(
        GrammarError, match=r"before the grammar of functions\.f\d+ has taken more than 0.3 sec"
    ) as caught:
        Plan(Tokens(nano()), Rules(tools=tools))
    assert time.thread_time() - begin < 5.0
    assert caught.value.where in {tool.recipient for tool in tools[1:]}


def test_a_grammar_that_fails_says_so_and_can_be_taken_back(monkeypatch: pytest.MonkeyPatch):
    # What it takes to meet the real limits takes seconds.
    monkeypatch.setattr(matching, "LIMITS", LLParserLimits(max_items_in_row=2_000, verbose_errors=False))
    unions = [{"properties": {"kind": {"const": n}}, "required": ["kind"]} for n in range(2000)]
    grammar = walk(Rules(answer=JsonSchema({"anyOf": unions})))
    assert takes(grammar, "<|channel|>final<|message|>")
    count = 0
    while len(may := allowed(grammar)) and count < 300:
        assert grammar.accept(int(may[0]))
        count += 1
    assert grammar.failure
    assert not len(allowed(grammar))
    assert grammar.forced() == []
    grammar.rollback(count)
    assert grammar.failure is None
    assert len(allowed(grammar))


def test_errors_say_whose_grammar_it_is():
    tokens = Tokens(nano())
    for rules, where, words in (
        (Rules(answer=Regex("(")), "answer", "unclosed"),
        (Rules(answer=Regex("(?=a)b")), "answer", "look-around"),
        (Rules(answer=Lark("start: nothing")), "answer", "nothing"),
        (Rules(tools=(ToolRule(recipient="patch", text=True, lark="x"),)), "patch", "patch"),
        (Rules(answer=Choice(())), "answer", "1 to 4096"),
    ):
        with pytest.raises(GrammarError, match=words) as caught:
            Plan(tokens, rules)
        assert caught.value.where == where


def test_all_of_it_in_one_request():
    tools = tuple(ToolRule(recipient=f"functions.f{n}", parameters={"required": [f"p{n}"]}) for n in range(100))
    plan = Plan(Tokens(nano()), Rules(tools=tools, answer=JsonSchema({"type": "array"}), max_reasoning_tokens=5))
    assert len(plan.calls) == 100
    assert plan.loosened == []
    assert plan.opens(5, 0, called=False, hurried=False) == (False, False, True, True)
    assert plan.opens(5, 0, called=False, hurried=True) == (False, False, True, False)
    assert plan.opens(0, 1, called=True, hurried=False) == (True, False, False, True)
    assert plan.opens(0, MOST_MESSAGES, called=False, hurried=False) == (False, False, True, True)


def test_a_preamble_is_for_answers_of_any_form():
    for answer, free in ((None, True), (Regex("a"), False), (Choice(("a",)), False), (JsonSchema(True), False)):
        for tools in ((), (ToolRule(recipient="f"),)):
            plan = Plan(Tokens(nano()), Rules(tools=tools, answer=answer))
            assert plan.opens(0, 0, called=False, hurried=False).preamble == free


def test_masks_of_one_plan_do_not_touch_each_other():
    plan = Rules(answer=Choice(("abc", "abd")))
    one, other = walk(plan), walk(plan)
    assert takes(one, "<|channel|>final<|message|>ab")
    assert takes(other, "<|channel|>")
    np.testing.assert_array_equal(allowed(other), allowed(other))
    assert takes(one, "d<|return|>")
    assert takes(other, "final<|message|>abc<|return|>")
