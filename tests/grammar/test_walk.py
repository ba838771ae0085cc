import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ossia.grammar import AnswerRule, Choice, JsonObject, JsonSchema, Lark, Regex, Rules, ToolRule
from ossia.grammar.plan import MOST_MESSAGES
from ossia.grammar.walk import FARTHEST_ROLLBACK
from ossia.harmony import Message, parse
from tests.grammar.walks import allowed, embedded, nano, takes, texts_next, tokens, walk, wander

ADD = ToolRule(
    recipient="functions.add",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "yz"]}},
        "required": ["a"],
        "additionalProperties": False,
    },
    strict=True,
)
PYTHON = ToolRule(recipient="python", text=True, channel="analysis")
COLOUR = JsonSchema({"type": "object", "properties": {"c": {"enum": ["red", "green"]}}, "required": ["c"]})
EVERYTHING = Rules(tools=(ADD, PYTHON), answer=COLOUR, max_reasoning_tokens=20)

REASONED = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"


def kinds(messages: tuple[Message, ...]) -> list[str]:
    return [message.recipient or message.channel or "" for message in messages]


@pytest.mark.parametrize("choice", ["auto", "none", "required", "functions.add", "python"])
@pytest.mark.parametrize("parallel", [True, False])
def test_whatever_is_drawn_is_clean_and_complete(choice: str, parallel: bool):
    rules = Rules(tools=(ADD, PYTHON), choice=choice, parallel=parallel, answer=COLOUR, max_reasoning_tokens=20)
    rng, v, done = random.Random(f"{choice}{parallel}"), nano(), 0
    for _ in range(40):
        drawn = wander(walk(rules), rng)
        if drawn is None:
            continue
        done += 1
        parsed = parse(drawn, v)
        assert parsed.repairs == ()
        *before, last = parsed.messages
        calls = [message for message in parsed.messages if message.recipient]
        reasoning = sum(len(v.encode(m.text)) for m in parsed.messages if m.channel == "analysis" and not m.recipient)
        assert reasoning <= 20 * 3 + 3  # drawn tokens need not be canonical: of each, three bytes may be a token
        assert {message.recipient for message in calls} <= {tool.recipient for tool in rules.offered}
        assert drawn[-1] == (v.call if last.recipient else v.return_)
        assert (last.recipient is not None) if rules.call_due else True
        assert all(message.channel != "final" for message in before)
        assert len(calls) <= 1 or parallel
        for message in calls:
            if message.recipient == "functions.add":
                check_add(message.text)
        if last.channel == "final":
            assert json.loads(last.text)["c"] in ("red", "green")
    assert done >= 30


FORMS: list[tuple[AnswerRule, Callable[[str], bool]]] = [
    (COLOUR, lambda text: json.loads(text)["c"] in ("red", "green")),
    (JsonObject(), lambda text: isinstance(json.loads(text), dict)),
    (Regex("[a-c]{1,3}[0-9]*"), lambda text: re.fullmatch("[a-c]{1,3}[0-9]*", text) is not None),
    (Choice(("yes", "no", "both")), lambda text: text in ("yes", "no", "both")),
    (Lark('start: "a" b*\nb: /[0-9]/ ","'), lambda text: re.fullmatch("a([0-9],)*", text) is not None),
]


@pytest.mark.parametrize(("answer", "judge"), FORMS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("tools", [(), (ADD, PYTHON)], ids=["alone", "with tools"])
def test_what_is_said_to_the_user_is_the_answer_alone(
    answer: AnswerRule, judge: Callable[[str], bool], tools: tuple[ToolRule, ...]
):
    rules, v, found = Rules(tools=tools, answer=answer, max_reasoning_tokens=2), nano(), Counter[str]()
    rng = random.Random(f"{answer}{tools}")
    for begun in ["", "", "<|channel|>final<|message|>"] * 15:  # most headers that may be drawn are those of calls
        grammar = walk(rules)
        assert takes(grammar, begun)
        drawn = wander(grammar, rng)
        if drawn is None:
            continue
        messages = parse([*tokens(begun, v), *drawn], v).messages
        said = [message for message in messages if message.channel != "analysis" and not message.recipient]
        if messages[-1].recipient:
            assert said == []
            found["calls"] += 1
            continue
        assert [message.channel for message in said] == ["final"]
        assert judge(said[0].text), said
        found["answers"] += 1
    assert found["answers"] > 5, found
    assert bool(found["calls"]) == bool(tools)


def check_add(text: str) -> None:
    arguments = json.loads(text)
    assert isinstance(arguments["a"], int)
    assert arguments.get("b", "x") in ("x", "yz")
    assert arguments.keys() <= {"a", "b"}


def test_the_reasoning_budget_is_kept_exactly():
    v = embedded()
    grammar = walk(Rules(answer=COLOUR, max_reasoning_tokens=5), v)
    assert takes(grammar, "<|channel|>analysis<|message|>", v)
    words = v.encode(" one two three four five six")
    for count, word in enumerate(words[:5]):
        assert (len(allowed(grammar)) > 1000, grammar.accept(word)) == (True, True), count
    assert allowed(grammar).tolist() == [v.end]
    assert not grammar.accept(words[5])
    opening = tokens("<|end|><|start|>assistant<|channel|>final<|message|>", v)
    # and what the schema forces, as far as it is sure how it is cut
    assert list(grammar.forced())[: len(opening)] == opening
    assert all(map(grammar.accept, opening))
    assert takes(grammar, '{"c": "red"}<|return|>', v)
    assert len(allowed(grammar)) == 0


@pytest.mark.parametrize(
    ("choice", "header"),
    [
        ("functions.add", "<|channel|>commentary to=functions.add<|message|>"),
        ("functions.add", " to=functions.add<|channel|>commentary<|message|>"),
        ("required", "<|channel|>analysis to=python code<|message|>"),
        ("required", " to=python<|channel|>commentary<|message|>"),
    ],
)
def test_a_budget_opens_the_call_that_is_due(choice: str, header: str):
    v = embedded()
    rules, cut_short = Rules(tools=(ADD, PYTHON), choice=choice, max_reasoning_tokens=2), "<|end|><|start|>assistant"
    spent = f"<|channel|>analysis<|message|> one two{cut_short}"
    grammar = walk(rules, v)
    assert takes(grammar, spent.removesuffix(cut_short), v)
    assert v.decode(grammar.forced()) == cut_short
    assert takes(grammar, cut_short + header, v)
    for other in ("analysis<|message|>", "commentary<|message|>", "final<|message|>"):
        assert not takes(walk(rules, v), f"{spent}<|channel|>{other}", v)


def test_a_budget_of_several_messages():
    v = embedded()
    grammar = walk(Rules(max_reasoning_tokens=3), v)
    assert takes(grammar, "<|channel|>analysis<|message|> one two<|end|><|start|>assistant<|channel|>", v)
    assert takes(grammar, "commentary<|message|> four five six seven<|end|><|start|>assistant<|channel|>analysis", v)
    assert takes(grammar, "<|message|> three", v)
    assert allowed(grammar).tolist() == [v.end]


def test_no_reasoning_at_all():
    grammar = walk(Rules(max_reasoning_tokens=0))
    assert takes(grammar, "<|channel|>")
    assert {text[0] for text in texts_next(grammar)} == {"c", "f"}


def test_a_budget_never_cuts_a_character():
    v = nano()
    grammar = walk(Rules(max_reasoning_tokens=2))
    assert takes(grammar, "<|channel|>analysis<|message|>a")
    single = {v.bytes_of(token): token for token in range(v.size) if len(v.bytes_of(token)) == 1}
    assert grammar.accept(single[b"\xf0"])
    for byte in (b"\x9f", b"\x98"):
        assert all(0x80 <= v.bytes_of(token)[0] < 0xC0 for token in allowed(grammar).tolist())
        assert not grammar.accept(v.end)
        assert grammar.accept(single[byte])
    assert grammar.accept(single[b"\x80"])
    assert allowed(grammar).tolist() == [v.end]


def test_an_answer_cannot_stop_early():
    v = nano()
    assert not takes(walk(Rules()), "<|channel|>analysis<|message|>x<|return|>")
    assert not takes(walk(Rules()), "<|channel|>commentary<|message|>x<|call|>")
    assert not takes(walk(Rules()), "<|channel|>final<|message|>x<|end|>")
    assert takes(walk(Rules()), "<|channel|>final<|message|><|return|>")
    for rule in (COLOUR, JsonObject(), Regex("a+"), Choice(("a",)), Lark('start: "a"')):
        assert not takes(walk(Rules(answer=rule)), "<|channel|>final<|message|><|return|>")
    assert v.endoftext not in allowed(walk(Rules()))


def test_control_tokens_never_come_within_a_content():
    v = nano()
    for rules, before, ends in (
        (Rules(), "<|channel|>final<|message|>x", {v.return_}),
        (Rules(), "<|channel|>analysis<|message|>x", {v.end}),
        (Rules(answer=Regex("(?s:.)*")), "<|channel|>final<|message|>x", {v.return_}),
        (Rules(answer=Lark("start: /(.|\\n)*/")), "<|channel|>final<|message|>x", {v.return_}),
        (Rules(answer=JsonObject()), '<|channel|>final<|message|>{"x', set[int]()),
        (Rules(tools=(PYTHON,)), "<|channel|>analysis to=python code<|message|>1", {v.call, v.end}),
        (Rules(tools=(PYTHON,), parallel=False), " to=python<|channel|>analysis<|message|>1", {v.call}),
    ):
        grammar = walk(rules)
        assert takes(grammar, before)
        may = allowed(grammar).tolist()
        assert {token for token in may if v.is_control(token)} == ends
        assert max(may) < v.size
        assert len(may) > 1000


def test_calls_one_after_another():
    call = '<|channel|>commentary to=functions.add<|message|>{"a":1}'
    assert takes(walk(EVERYTHING), f"{call}<|end|><|start|>assistant{call}<|call|>")
    assert not takes(walk(EVERYTHING), f"{call}<|end|><|start|>assistant<|channel|>final")
    alone = Rules(tools=(ADD,), parallel=False)
    assert takes(walk(alone), f"{call}<|call|>")
    assert not takes(walk(alone), f"{call}<|end|>")


def test_after_many_messages_only_an_end_is_left():
    grammar = walk(Rules())
    preamble = "<|channel|>commentary<|message|>x<|end|><|start|>assistant"
    assert takes(grammar, preamble * MOST_MESSAGES)
    assert nano().decode(grammar.forced()) == "<|channel|>final<|message|>"
    grammar = walk(Rules(tools=(ADD,), choice="required"))
    call = ' to=functions.add<|channel|>commentary<|message|>{"a":1}'
    assert takes(grammar, f"{call}<|end|><|start|>assistant" * MOST_MESSAGES)
    assert not takes(grammar, f"{call}<|end|>")
    assert takes(grammar, "<|call|>")


@pytest.mark.parametrize("vocabulary", [embedded(), nano()], ids=["o200k", "nano"])
def test_rollback_leads_back_over_everything(vocabulary):
    text = (
        "<|channel|>analysis<|message|> one é two three<|end|><|start|>assistant<|channel|>commentary<|message|>ok"
        '<|end|><|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 12}<|end|>'
        '<|start|>assistant to=python<|channel|>analysis code<|message|>print("é")<|call|>'
    )
    rng, drawn = random.Random(3), tokens(text, vocabulary)
    grammar, masks = walk(replace(EVERYTHING, answer=None), vocabulary), []
    forced = []
    for token in drawn:
        masks.append(allowed(grammar))
        forced.append(grammar.forced())
        assert grammar.accept(token)
    at = len(drawn)
    for _ in range(60):
        back = rng.randint(0, at)
        grammar.rollback(at - back)
        at = back
        np.testing.assert_array_equal(allowed(grammar), masks[at] if at < len(drawn) else [])
        assert grammar.forced() == (forced[at] if at < len(drawn) else [])
        for token in drawn[at : rng.randint(at, len(drawn))]:
            assert grammar.accept(token)
            at += 1


def test_more_than_was_taken_cannot_be_taken_back():
    grammar = walk(Rules())
    assert takes(grammar, "<|channel|>analysis<|message|>" + "x " * FARTHEST_ROLLBACK)
    with pytest.raises(ValueError, match="at most 4096"):
        grammar.rollback(FARTHEST_ROLLBACK + 1)
    grammar.rollback(FARTHEST_ROLLBACK)


@pytest.mark.parametrize("vocabulary", [embedded(), nano()], ids=["o200k", "nano"])
def test_what_is_forced_must_come(vocabulary):
    """Whatever the grammar lets come, its bytes go on from those that are forced; and they are cut as the text is."""
    rng = random.Random(9)
    rules = Rules(tools=(ADD,), answer=COLOUR, max_reasoning_tokens=3)
    for _ in range(25):
        grammar, drawn = walk(rules, vocabulary), []
        for _ in range(60):
            must = list(grammar.forced())
            if must:
                expected = b"".join(map(vocabulary.bytes_of, must))
                assert go_on(grammar, rng, vocabulary, len(expected)).startswith(expected)
            may = allowed(grammar)
            if not len(may):
                break
            drawn.append(must[0] if must else int(rng.choice(may.tolist())))
            assert grammar.accept(drawn[-1])


def go_on(grammar, rng, vocabulary, length: int) -> bytes:
    """Bytes that a random way on from here has; the way is taken back."""
    text, taken = b"", 0
    while len(text) < length:
        token = int(rng.choice(allowed(grammar).tolist()))
        assert grammar.accept(token)
        text += vocabulary.bytes_of(token)
        taken += 1
    grammar.rollback(taken)
    return text


def test_forced_tokens_are_canonical():
    v = embedded()
    grammar = walk(Rules(answer=Choice(("internationalisation",)), max_reasoning_tokens=0), v)
    assert takes(grammar, "<|channel|>final<|message|>", v)
    assert grammar.forced() == [*v.encode("internationalisation"), v.return_]
    grammar = walk(Rules(answer=Choice(("international", "internationalisation"))), v)
    assert takes(grammar, "<|channel|>final<|message|>", v)
    # Whether a piece goes on decides how it is cut: nothing of it is sure.
    assert grammar.forced() == []


def test_numbers_do_not_go_on_for_ever():
    grammar = walk(Rules(answer=JsonSchema({"type": "number"})))
    assert takes(grammar, "<|channel|>final<|message|>" + "7" * 64)
    assert not any(text[0].isdigit() for text in texts_next(grammar))
    assert takes(grammar, "." + "7" * 64 + "e")
    assert takes(grammar, "99<|return|>")
    v = embedded()
    grammar = walk(Rules(answer=JsonSchema({"type": "number"})), v)
    assert takes(grammar, "<|channel|>final<|message|>7e", v)
    assert max(len(text) for text in texts_next(grammar, v) if text.isdigit()) == 2


def test_a_number_that_must_go_on_does():
    grammar = walk(Rules(answer=JsonSchema({"type": "integer", "multipleOf": 7})))
    assert takes(grammar, "<|channel|>final<|message|>" + "1" * 64)
    assert {text[0] for text in texts_next(grammar)} == set("0123456789")  # the remainder is 5, so it cannot end
    assert takes(grammar, "6<|return|>")


def test_whitespace_does_not_go_on_for_ever():
    before = "<|channel|>final<|message|>{"
    for fine in (
        '"a": 1}',
        ' "a" : 1 }',
        '\n    "a": 1\n}',
        '\r\n\t"a":1}',
        '\n        "a": {\n            "b": [\n                1\n            ]\n        }\n}',
        "}",
        " }",
        '"a":[1, 2,\n3]}',
    ):
        assert takes(walk(Rules(answer=JsonObject())), before + fine + "<|return|>"), fine
    for endless in (" " * 2, "\n" * 2, "\n" + " " * 33, "\n" + "\t" * 9, "\n \t", " \n", "\n \n", "\t"):
        assert not takes(walk(Rules(answer=JsonObject())), before + endless + "}"), endless
    assert not takes(walk(Rules(answer=JsonObject())), "<|channel|>final<|message|> {")
    assert not takes(walk(Rules(answer=JsonObject())), before + "}\n")


def test_a_model_that_likes_whitespace_comes_to_its_end():
    keys = {"properties": {"a": {"const": [1, 2]}, "b": {"const": {"c": 3}}}, "required": ["a", "b"]}
    grammar = walk(Rules(answer=JsonSchema(keys | {"type": "object", "additionalProperties": False})))
    assert takes(grammar, "<|channel|>final<|message|>")
    text = ""
    while len(may := allowed(grammar).tolist()) and may != [nano().return_]:
        pieces = {nano().decode([token]): token for token in may}
        text += (most := max(pieces, key=lambda piece: (piece.isspace(), len(piece), piece)))
        assert grammar.accept(pieces[most])
    assert json.loads(text) == {"a": [1, 2], "b": {"c": 3}}
    parts = 17  # { "a" : [ 1 , 2 ] , "b" : { "c" : 3 } }
    assert 8 < text.count("\n") < parts
    assert len(text) < 30 + (parts - 1) * (len("\r\n") + 32)


@pytest.mark.parametrize(
    ("answer", "good", "bad"),
    [
        (Regex(r"^\d{3}-[a-z]+$"), ["123-ab"], ["12", "123-", "123-ab1", " 123-a"]),
        (Choice(("yes", "no", "a|b", "é\n<|end|>")), ["yes", "no", "a|b"], ["ye", "yesno", "a", "Yes"]),
        (Lark('start: "a" b*\nb: /[0-9]/ ","'), ["a", "a1,2,"], ["a1", "b", "a12,"]),
        (JsonObject(), ["{}", '{"a": [1, {"b": null}], "c": "é\\n\\u0000"}'], ["[]", "1", '"a"', '{"a"}', "{'a':1}"]),
    ],
)
def test_answers_of_every_kind(answer, good: list[str], bad: list[str]):
    for text in good:
        assert takes(walk(Rules(answer=answer)), f"<|channel|>final<|message|>{text}<|return|>"), text
    for text in bad:
        assert not takes(walk(Rules(answer=answer)), f"<|channel|>final<|message|>{text}<|return|>"), text


def test_a_name_of_a_control_token_in_an_answer_is_text():
    grammar, v = walk(Rules(answer=Choice(("<|end|>",)))), nano()
    assert takes(grammar, "<|channel|>final<|message|>")
    assert v.end not in allowed(grammar)
    assert all(map(grammar.accept, [*v.encode("<|end|>"), v.return_]))


def test_text_tools_with_grammars():
    patch = ToolRule(recipient="patch", text=True, lark='start: "+" /.*/')
    tools = (patch, ToolRule(recipient="n", text=True, regex="[0-9]"))
    for call, fine in (("patch", "+ab"), ("n", "7")):
        assert takes(walk(Rules(tools=tools)), f"<|channel|>commentary to={call}<|message|>{fine}<|call|>")
        assert not takes(walk(Rules(tools=tools)), f"<|channel|>commentary to={call}<|message|>x<|call|>")


def test_arguments_without_a_schema_are_an_object():
    rules = Rules(tools=(ToolRule(recipient="f"), ToolRule(recipient="g", parameters={})))
    for name in "fg":
        assert takes(walk(rules), f' to={name}<|channel|>commentary<|message|>{{"any": [1]}}<|call|>')
        assert not takes(walk(rules), f" to={name}<|channel|>commentary<|message|>[1]<|call|>")


def test_what_is_refused_changes_nothing():
    v = nano()
    grammar = walk(EVERYTHING)
    assert takes(grammar, REASONED + '<|channel|>commentary to=functions.add<|message|>{"a"')
    before = allowed(grammar)
    for token in (v.end, v.call, v.start, v.endoftext, -1, v.size, 10**9, v.encode("x")[0]):
        assert not grammar.accept(token)
    np.testing.assert_array_equal(allowed(grammar), before)
    assert takes(grammar, ": 1}<|call|>")
    assert not grammar.accept(v.start)
    assert grammar.forced() == []
