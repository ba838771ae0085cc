from typing import Any

import pytest

from ossia.errors import GrammarError
from ossia.grammar import Choice, JsonSchema, Lark, Regex, Rules, ToolRule
from ossia.grammar.limits import check_rules, check_size

BAD: dict[str, tuple[Rules, str]] = {
    "an empty name": (Rules(tools=(ToolRule(recipient=""),)), "a tool is called ''"),
    "a space": (Rules(tools=(ToolRule(recipient="functions.a b"),)), "letters"),
    "a control token": (Rules(tools=(ToolRule(recipient="a<|end|>"),)), "letters"),
    "a line": (Rules(tools=(ToolRule(recipient="a\n"),)), "letters"),
    "another alphabet": (Rules(tools=(ToolRule(recipient="füge"),)), "letters"),
    "all": (Rules(tools=(ToolRule(recipient="all"),)), 'not "all"'),
    "a long name": (Rules(tools=(ToolRule(recipient="a" * 257),)), "256"),
    "twice": (Rules(tools=(ToolRule(recipient="a"), ToolRule(recipient="a"))), "two tools are called 'a'"),
    "many": (Rules(tools=tuple(ToolRule(recipient=f"t{n}") for n in range(1025))), "at most 1024"),
    "a channel": (Rules(tools=(ToolRule(recipient="a", channel="final"),)), "channel"),  # type: ignore[arg-type]
    "a grammar of JSON": (Rules(tools=(ToolRule(recipient="a", regex="b"),)), "text=True"),
    "two grammars": (Rules(tools=(ToolRule(recipient="a", regex="b", lark="c", text=True),)), "both"),
    "required": (Rules(choice="required"), "there are no tools"),
    "unknown": (Rules(choice="b", tools=(ToolRule(recipient="a"),)), "not among the tools: a"),
    "less than nothing": (Rules(max_reasoning_tokens=-1), "whole number"),
    "true": (Rules(max_reasoning_tokens=True), "whole number"),
    "no values": (Rules(answer=Choice(())), "1 to 4096"),
    "empty value": (Rules(answer=Choice(("a", ""))), "empty"),
    "value": (Rules(answer=Choice((1,))), "no text"),  # type: ignore[arg-type]
    "long": (Rules(answer=Regex("a" * 65_537)), "at most 65536"),
    "half a character": (Rules(answer=Regex("\ud800")), "surrogate"),
    "token": (Rules(answer=Lark("start: <|end|>")), "control tokens never"),
    "number": (Rules(answer=Lark('start: "<" <[200007]>')), "control tokens never"),
    "any": (Rules(answer=Lark("start: /a\\/</ <[*]>")), "control tokens never"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rules_are_refused(name: str):
    rules, words = BAD[name]
    with pytest.raises(GrammarError, match=words):
        check_rules(rules)


def test_a_bracket_in_text_names_no_token():
    check_rules(Rules(answer=Lark('start: "<[1]>" /<|end|>/ // <|end|>\nx: "\\"<"')))


def nested(depth: int) -> Any:
    schema: Any = True
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def test_depth_and_size_are_bounded():
    check_size("it", nested(128))
    with pytest.raises(GrammarError, match="more than 128 deep"):
        check_size("it", nested(129))
    with pytest.raises(GrammarError, match="more than 128 deep"):
        check_size("it", nested(100_000))
    with pytest.raises(GrammarError, match="more than 50000 values"):
        check_size("it", {"enum": list(range(50_000))})


def test_a_schema_needs_no_check_of_the_rest():
    check_rules(Rules(answer=JsonSchema({"type": "nonsense"})))
