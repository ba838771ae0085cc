"""What is done for an ask: the prompt, the rules, the bounds, and the settings that are reported."""

from dataclasses import replace
from typing import Any

import pytest

from ossia.errors import ContextLengthError, RequestError
from ossia.grammar import JsonSchema
from ossia.harmony import Effort, ResponseFormat, Vocabulary
from ossia.server.ask import Ask, Called, Replied, Returned, Spoken, Thought, Tool
from ossia.server.plan import Plan, plan
from ossia.server.recall import Recall
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import OneModel

ADD = Tool(name="add", description="Adds.", parameters={"type": "object", "properties": {"a": {"type": "integer"}}})
HI = (Spoken("user", "Hi"),)


def planned(*, context: int = 4096, **fields: Any) -> Plan:
    player = Player(VOCABULARY)
    player.context = context
    fields.setdefault("items", HI)
    return plan(Ask(**fields), OneModel(player).served, Recall(), b"me")


def text(done: Plan) -> str:
    return VOCABULARY.decode(done.prompt)


def test_instructions_come_first_and_together():
    done = planned(items=(Spoken("system", "B"), Spoken("developer", "C"), *HI), instructions="A")
    assert "# Instructions\n\nA\n\nB\n\nC<|end|>" in text(done)


def test_rules_are_checked_for_the_vocabulary_of_the_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Vocabulary, "embedded", lambda: pytest.fail("its tables would take seconds and 170 MiB"))
    assert planned(tools=(ADD,)).rules is not None


def test_the_effort_is_asked_for_written_or_the_models_own():
    assert planned().settings["effort"] == "medium"
    assert planned(effort=Effort.HIGH).settings["effort"] == "high"
    written = (Spoken("system", "Reasoning: low"), *HI)
    assert planned(items=written).settings["effort"] == "low"
    assert planned(items=written, effort=Effort.HIGH).settings["effort"] == "high"
    assert text(planned(effort=Effort.NONE)).endswith("<|channel|>analysis<|message|><|end|><|start|>assistant")


def test_tools_are_shown_in_full():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}
    assert "minimum: 3" in text(planned(tools=(replace(ADD, parameters=schema),)))
    assert "type run = (_: string) => any;" in text(planned(tools=(Tool(name="run", custom=True),)))


def test_tools_that_may_not_be_called_are_still_shown():
    done = planned(tools=(ADD,), choice="none")
    assert "type add" in text(done)
    assert done.rules is not None
    assert (done.rules.choice, done.rules.offered) == ("none", ())
    limited = planned(tools=(ADD, Tool(name="sub")), allowed=("functions.sub",))
    assert limited.rules is not None
    assert [tool.recipient for tool in limited.rules.tools] == ["functions.sub"]
    assert "type add" in text(limited)


def test_a_form_is_shown_and_held():
    schema = {"type": "object"}
    done = planned(answer=JsonSchema(schema), formats=(ResponseFormat("sum", schema),))
    assert "# Response Formats\n\n## sum" in text(done)
    assert done.rules is not None
    assert done.rules.answer == JsonSchema(schema)


@pytest.mark.parametrize(
    "fields",
    [
        {"choice": "required"},
        {"choice": "functions.add"},
        {"choice": "functions.sub", "tools": (ADD,)},
        {"choice": "functions.add", "tools": (ADD,), "allowed": ()},
        {"grammar": False, "answer": JsonSchema({})},
        {"grammar": False, "tools": (ADD,), "choice": "required"},
        {"grammar": False, "tools": (Tool(name="run", custom=True, regex="a"),)},
        {"answer": JsonSchema({"not": {"type": "string"}})},
        {"tools": (Tool(name="add", parameters={"uniqueItems": True}, strict=True),)},
    ],
)
def test_what_cannot_be_guaranteed_is_refused(fields: dict[str, Any]):
    with pytest.raises(RequestError):
        planned(**fields)


def test_what_is_loosened_is_named():
    tool = Tool(name="add", parameters={"type": "object", "properties": {"l": {"uniqueItems": True}}})
    assert planned(tools=(tool,)).settings["loosened"] == [
        {"where": "functions.add", "path": "/properties/l", "keyword": "uniqueItems"}
    ]


def test_reasoning_leaves_room_for_the_answer():
    bounded = planned(max_reasoning_tokens=1000, sampling={"max_tokens": 100})
    assert bounded.settings["max_reasoning_tokens"] == 75
    assert planned(max_reasoning_tokens=10, sampling={"max_tokens": 100}).settings["max_reasoning_tokens"] == 10
    assert planned(sampling={"max_tokens": 100}).settings["max_reasoning_tokens"] is None


def test_a_parameter_that_is_none_is_named():
    with pytest.raises(RequestError, match="top_p is 0") as refused:
        planned(sampling={"top_p": 0.0})
    assert refused.value.param == "top_p"


def turns(count: int) -> tuple[Any, ...]:
    said = [
        (Spoken("user", f"Question {n} " + "x " * 40), Thought("Hm."), Replied(f"Answer {n}")) for n in range(count)
    ]
    return tuple(item for each in said for item in each)


def test_a_conversation_that_does_not_fit_is_refused_with_numbers():
    needed = len(planned(items=(*turns(20), *HI)).prompt)
    with pytest.raises(ContextLengthError, match=f"the prompt has {needed} tokens .* the context holds 500"):
        planned(items=(*turns(20), *HI), context=500)


def test_truncation_drops_whole_old_turns_and_no_instructions():
    items = (Spoken("system", "Be kind."), *turns(20), Spoken("developer", "Be brief."), *HI)
    done = planned(items=items, truncate=True, context=600, sampling={"max_tokens": 50})
    assert len(done.prompt) + 50 <= 600
    gone = done.settings["dropped_turns"]
    assert 0 < gone < 20
    shown = text(done)
    assert ("Be kind." in shown, "Be brief." in shown, f"Answer {gone}" in shown) == (True, True, True)
    assert f"Question {gone - 1} " not in shown
    one_more = planned(items=(items[0], *items[1 + 3 * (gone - 1) :]), sampling={"max_tokens": 50})
    assert len(one_more.prompt) + 50 > 600, "no more than had to go"


def test_the_last_turn_is_never_dropped():
    with pytest.raises(ContextLengthError):
        planned(items=(*turns(3), *HI), truncate=True, context=100)


def test_dropped_reasoning_is_counted():
    assert planned(items=(*turns(2), *HI)).settings["dropped_reasoning"] == 2
    call = Called("c", "functions.add", "{}")
    loop = (Spoken("user", "?"), Thought("Hm."), call, Returned("c", "4"))
    assert planned(items=loop, tools=(ADD,)).settings["dropped_reasoning"] == 0
