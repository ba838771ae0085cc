import random
from collections.abc import Iterator
from itertools import product

import pytest

from ossia.grammar import JsonObject, Rules, ToolRule
from ossia.grammar.header import CONTENT_TYPES, Opens
from ossia.harmony import Vocabulary, parse
from tests.grammar.walks import allowed, embedded, nano, takes, texts_next, tokens, walk

TOOLS = (
    ToolRule(recipient="functions.add"),
    ToolRule(recipient="functions.a.b"),
    ToolRule(recipient="python", text=True, channel="analysis"),
    ToolRule(recipient="browser.search", channel="analysis"),
)
RULES = Rules(tools=TOOLS)
CHANNELS = {"commentary": ("commentary",), "analysis": ("analysis", "commentary")}


def clean_headers() -> Iterator[str]:
    """Every form that Harmony has for the assistant: source, docs/format.md of openai/harmony, and what models write.

    [ to=recipient]<|channel|>channel[ to=recipient][ type | [ ]<|constrain|>type]<|message|>
    """
    types = ("", *(f" {kind}" for kind in CONTENT_TYPES), *(f"<|constrain|>{kind}" for kind in CONTENT_TYPES))
    types = (*types, *(f" <|constrain|>{kind}" for kind in CONTENT_TYPES))
    for tool in TOOLS:
        for channel, kind in product(CHANNELS[tool.channel], types):
            yield f" to={tool.recipient}<|channel|>{channel}{kind}<|message|>"
            yield f"<|channel|>{channel} to={tool.recipient}{kind}<|message|>"
    yield "<|channel|>analysis<|message|>"
    yield "<|channel|>commentary<|message|>"
    for kind in types:
        if "<" in kind or not kind:
            yield f"<|channel|>final{kind}<|message|>"


@pytest.mark.parametrize("vocabulary", [embedded(), nano()], ids=["o200k", "nano"])
def test_every_clean_header_is_taken_first_and_later(vocabulary: Vocabulary):
    for header in clean_headers():
        later = "<|channel|>analysis<|message|>x<|end|><|start|>assistant" + header
        for text in (header, later):
            assert all(map(walk(RULES, vocabulary).accept, tokens(text, vocabulary))), text


def test_every_header_that_is_taken_is_clean():
    # Headers at random: the parser, which was written apart from the masks, repairs none of them.
    rng, v = random.Random(5), nano()
    seen = set()
    for _ in range(400):
        grammar, drawn = walk(RULES, v), []
        while v.message not in drawn:
            may = allowed(grammar).tolist()
            control = [token for token in may if v.is_control(token)]
            drawn.append(rng.choice(control if control and rng.random() < 0.5 else may))
            assert grammar.accept(drawn[-1])
            assert len(drawn) < 100
        parsed = parse([*drawn, v.end], v)
        assert parsed.repairs == ()
        header = parsed.messages[0]
        seen.add((header.channel, header.recipient, header.content_type))
        named = {tool.recipient: tool for tool in TOOLS}
        if header.recipient is None:
            assert header.content_type is None or header.channel == "final"
        else:
            assert header.channel in CHANNELS[named[header.recipient].channel]
    assert len(seen) > 40


@pytest.mark.parametrize(
    "header",
    [
        "<|message|>",
        "<|channel|><|message|>",
        "<|channel|>finals<|message|>",
        "<|channel|>final json<|message|>",
        "<|channel|>final <|message|>",
        "<|channel|>analysis <|constrain|>json<|message|>",
        "<|channel|>final to=functions.add<|message|>",
        "<|channel|>analysis to=functions.add<|message|>",
        "<|channel|>commentary to=functions.sub<|message|>",
        "<|channel|>commentary to=functions.ad<|message|>",
        "<|channel|>commentary to=functions.add to=python<|message|>",
        "<|channel|>commentary to=functions.add  json<|message|>",
        "<|channel|>commentary to=functions.add xml<|message|>",
        "<|channel|>commentary to=functions.addjson<|message|>",
        "<|channel|>commentary<|constrain|>json to=functions.add<|message|>",
        "<|channel|>commentary to=functions.add<|channel|>",
        "<|channel|>commentary to=functions.add<|constrain|><|message|>",
        " to=functions.add<|message|>",
        " to=functions.add<|channel|>final<|message|>",
        " to=functions.add<|channel|>commentary to=functions.add<|message|>",
        " to=functions.aXb<|channel|>commentary<|message|>",
        "to=functions.add<|channel|>commentary<|message|>",
        "assistant<|channel|>final<|message|>",
        "user<|channel|>final<|message|>",
        "<|start|>assistant<|channel|>final<|message|>",
        "<|end|>",
        "<|return|>",
    ],
)
def test_nothing_else_is_taken(header: str):
    assert not takes(walk(RULES), header)


@pytest.mark.parametrize("role", ["user", "system", "tool", "functions.add", "assistant:x", "Assistant", " assistant"])
def test_nobody_else_speaks(role: str):
    before = "<|channel|>analysis<|message|>x<|end|><|start|>"
    assert takes(walk(RULES), f"{before}assistant<|channel|>")
    assert not takes(walk(RULES), f"{before}{role}<|channel|>")


def test_only_where_something_else_may_begin_has_final_a_type():
    assert Opens(False, False, True, False).typed_final is False
    assert Opens(True, False, True, False).typed_final is True
    assert Opens(True, True, False, True).typed_final is False


def test_an_answer_with_a_form_has_no_preamble_before_it():
    rules = Rules(tools=TOOLS, answer=JsonObject())
    for header in clean_headers():
        assert takes(walk(rules), header) == (header != "<|channel|>commentary<|message|>"), header


def test_without_tools_there_are_three_headers():
    assert texts_next(walk(Rules())) == {"<|channel|>"}
    grammar = walk(Rules())
    assert takes(grammar, "<|channel|>")
    assert {text[0] for text in texts_next(grammar)} == {"a", "c", "f"}
