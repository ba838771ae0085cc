import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ossia.engine import Grammar
from ossia.errors import GrammarError, RequestError
from ossia.grammar import Checked, Compiler, JsonObject, JsonSchema, Loosened, Regex, Rules, ToolRule, check, compiler
from ossia.grammar.compiler import MOST_PLANS
from ossia.grammar.tokens import Tokens
from ossia.harmony import Vocabulary
from tests.grammar.walks import allowed, nano, takes


def test_rules_compile_to_what_the_engine_calls_a_grammar():
    rules = Rules(tools=(ToolRule(recipient="functions.add"),), answer=JsonObject())
    assert check(rules, nano()) == Checked()
    grammar = Compiler(nano()).compile(rules.to_source())
    assert isinstance(grammar, Grammar)
    assert takes(grammar, "<|channel|>final<|message|>{}<|return|>")


def test_the_published_vocabulary_is_taken_where_none_is_given():
    assert check(Rules(answer=Regex("a+"))) == Checked()


def test_what_is_loosened_is_reported_in_order():
    tools = tuple(
        ToolRule(recipient=name, parameters={"properties": {"x": {"not": {}}}}) for name in ("functions.a", "b")
    )
    loosened = check(Rules(tools=tools, answer=JsonSchema({"uniqueItems": True}, strict=False)), nano()).loosened
    assert set(loosened) == {
        Loosened("functions.a", "/properties/x", "not"),
        Loosened("b", "/properties/x", "not"),
        Loosened("answer", "", "uniqueItems"),
    }


def test_a_tool_that_is_not_offered_is_not_compiled():
    bad = ToolRule(recipient="bad", parameters={"not": {}}, strict=True)
    tools = (bad, ToolRule(recipient="good"))
    assert check(Rules(tools=tools, choice="good"), nano()) == check(Rules(tools=tools, choice="none"), nano())
    with pytest.raises(GrammarError, match="'not'"):
        check(Rules(tools=tools), nano())


def test_grammars_of_the_same_rules_are_apart():
    compiler, source = Compiler(nano()), Rules().to_source()
    one, other = compiler.compile(source), compiler.compile(source)
    assert one.accept(nano().channel)
    assert nano().channel in allowed(other)


def test_few_plans_are_remembered():
    compiler = Compiler(nano())
    for number in range(MOST_PLANS + 5):
        compiler.compile(Rules(max_reasoning_tokens=number).to_source())
    assert len(compiler._plans) == MOST_PLANS


def test_threads_may_compile_at_once():
    compiler = Compiler(nano())
    sources = [Rules(answer=Regex(f"a{{{number % 7}}}b")).to_source() for number in range(60)]
    with ThreadPoolExecutor(4) as threads:
        grammars = list(threads.map(compiler.compile, sources))
    for number, grammar in enumerate(grammars):
        assert takes(grammar, f"<|channel|>final<|message|>{'a' * (number % 7)}b<|return|>")


def test_a_source_that_is_none_is_the_requests_fault():
    with pytest.raises(RequestError):
        Compiler(nano()).compile("nonsense")


def test_the_tables_of_a_vocabulary_are_made_once_for_all_who_come_at_the_same_time(monkeypatch: pytest.MonkeyPatch):
    made: list[Vocabulary] = []

    def counted(vocabulary: Vocabulary) -> Tokens:
        made.append(vocabulary)
        time.sleep(0.05)
        return Tokens(vocabulary)

    monkeypatch.setattr(compiler, "Tokens", counted)
    fresh = Vocabulary.embedded().shortened(700)
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: check(Rules(), fresh), range(8))] == [Checked()] * 8
    assert len(made) == 1
