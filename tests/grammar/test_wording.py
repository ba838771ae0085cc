"""Errors in words for whoever wrote the grammar: nothing of the engine's own is in them, whatever it refuses."""

import random

import pytest
from llguidance import LLParserLimits

from ossia.errors import GrammarError
from ossia.grammar import JsonSchema, Lark, Regex, Rules, matching
from ossia.grammar.plan import Plan
from ossia.grammar.tokens import Tokens
from ossia.grammar.walk import Walk
from ossia.grammar.wording import in_our_words
from tests.grammar.hostile import ANSWERS
from tests.grammar.walks import allowed, nano, takes

INTERNALS = (
    "fuel", "lexer", "lexeme", "earley", "parser", "ff_tokens", "verbose", "guidance", "noextension", "row", "item",
    "whole-schema", "no_forcing", "unsatisfiable",
)  # fmt: skip

TIGHT = [
    {"initial_lexer_fuel": 20},
    {"max_grammar_size": 5},
    {"step_lexer_fuel": 10},
    {"step_max_items": 10},
    {"max_lexer_states": 3},
    {"max_items_in_row": 2},
]


def said_of(rules: Rules) -> str | None:
    """What is said of rules that are refused, or of an answer under them that fails."""
    try:
        grammar = Walk(Plan(Tokens(nano()), rules))
    except GrammarError as error:
        return str(error)
    assert takes(grammar, "<|channel|>final<|message|>")
    chance = random.Random(0)
    for _ in range(100):
        if not (may := allowed(grammar).tolist()):
            break
        grammar.accept(chance.choice(may))
    return grammar.failure


@pytest.mark.parametrize("limits", TIGHT)
def test_limits_are_told_without_internals(monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]):
    tight = LLParserLimits(**limits, verbose_errors=False)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(matching, "LIMITS", tight)
    rules = [
        Rules(answer=JsonSchema(ANSWERS["schema: many unions"].schema)),  # type: ignore[union-attr]
        Rules(answer=ANSWERS["text: a subset construction"]),
        Rules(answer=ANSWERS["text: mutual"]),
    ]
    said = [words for each in rules if (words := said_of(each))]
    assert said, "the limits are tight"
    assert [(words, mark) for words in said for mark in INTERNALS if mark in words.lower()] == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Lark("start: x"), 'line 1, column 8: unknown name: "x"'),
        (Lark('start: a\na: "b'), "line 2, column 6: what stands here begins no part of a grammar"),
        (Lark("start: /(/"), "line 1, column 8: a regular expression: unclosed group"),
        (Lark("start: /[^\\s\\S]/"), "no text follows it"),
        (Regex("(?=a)b"), "a regular expression: look-around"),
        (Regex("(a)\\1"), "a regular expression: backreferences are not supported"),
        (JsonSchema({"properties": {"l": {"$ref": "#/nowhere"}}}), r"\('#/nowhere' leads nowhere\)"),
        (JsonSchema({"pattern": "("}), r"\(a regular expression: unclosed group\)"),
        (
            JsonSchema({"type": "integer", "minimum": 5, "maximum": 3}),
            r"\(minimum \(5\) is greater than maximum \(3\)\)",
        ),
        (JsonSchema(False), "is false, which nothing follows"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(answer: Lark | Regex | JsonSchema, words: str):
    with pytest.raises(GrammarError, match=words) as caught:
        Plan(Tokens(nano()), Rules(answer=answer))
    assert [mark for mark in INTERNALS if mark in str(caught.value).lower()] == []


def test_a_schema_that_is_true_is_any_json():
    grammar = Walk(Plan(Tokens(nano()), Rules(answer=JsonSchema(True))))
    assert takes(grammar, '<|channel|>final<|message|>[1, "a"]<|return|>')


def test_a_clients_own_words_are_left_alone():
    for said in ("no start rule found", 'unknown name: "fuel"', "x: 5 is too much"):
        assert in_our_words(said) == said
