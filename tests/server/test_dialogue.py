"""From items to messages: instructions, turns, results and what is taken from memory."""

import pytest

from ossia.harmony import Conversation, DeveloperContent, Message, render
from ossia.server.ask import Called, Replied, Returned, Spoken, Thought
from ossia.server.dialogue import dialogue
from ossia.server.faults import RefusedError
from ossia.server.recall import Recall
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids

ADD = Called("call_1", "functions.add", '{"a": 2}')
WRITTEN = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2}<|call|>'
KEPT = (
    Message("assistant", "I add.", channel="analysis"),
    Message(
        "assistant", '{"a": 2}', channel="commentary", recipient="functions.add", tokens=tuple(ids(VOCABULARY, WRITTEN))
    ),
)


def said(*items, recall: Recall | None = None):
    return dialogue(items, recall or Recall(), b"me")


def kept() -> Recall:
    recall = Recall()
    recall.keep(b"me", KEPT, ["call_1"])
    return recall


def test_leading_instructions_are_told_apart_from_later_ones():
    found = said(Spoken("system", "A"), Spoken("developer", "B"), Spoken("user", "Hi"), Spoken("system", "C"))
    assert found.instructions == ("A", "B")
    assert [message.role for message in found.messages] == ["user", "developer"]
    assert found.messages[1].content == DeveloperContent("C")


def test_a_reply_before_a_call_is_a_preamble():
    found = said(
        Spoken("user", "?"), Thought("Hm."), Replied("One moment."), ADD, Returned("call_1", "4"), Replied("4")
    )
    assert [(m.role, m.channel, m.recipient, m.name) for m in found.messages] == [
        ("user", None, None, None),
        ("assistant", "analysis", None, None),
        ("assistant", "commentary", None, None),
        ("assistant", "commentary", "functions.add", None),
        ("tool", "commentary", "assistant", "functions.add"),
        ("assistant", "final", None, None),
    ]


def test_the_api_may_say_which_it_is():
    found = said(Replied("a", preamble=True), Replied("b", preamble=False), ADD)
    assert [message.channel for message in found.messages] == ["commentary", "final", "commentary"]


def test_a_call_is_rendered_as_json_and_a_custom_one_as_text():
    custom = Called("call_2", "functions.apply_patch", "*** Begin Patch", custom=True)
    text = VOCABULARY.decode(render(Conversation(said(ADD, custom).messages), VOCABULARY, as_="conversation"))
    assert text == (
        '<|start|>assistant to=functions.add<|channel|>commentary <|constrain|>json<|message|>{"a": 2}<|call|>'
        "<|start|>assistant to=functions.apply_patch<|channel|>commentary<|message|>*** Begin Patch<|call|>"
    )


def test_reasoning_that_the_client_dropped_comes_back():
    found = said(Spoken("user", "?"), ADD, Returned("call_1", "4"), recall=kept())
    assert found.messages[1:3] == KEPT
    assert found.messages[2].tokens == KEPT[1].tokens, "the very tokens that the model wrote"


def test_json_written_otherwise_is_the_same_call():
    spaced = Called("call_1", "functions.add", '{ "a":2 }')
    assert said(spaced, recall=kept()).messages == KEPT


@pytest.mark.parametrize(
    "items",
    [
        (Called("call_1", "functions.add", '{"a": 3}'),),
        (Called("call_1", "functions.subtract", '{"a": 2}'),),
        (ADD, Called("call_2", "functions.add", '{"a": 2}')),
        (Thought("I think otherwise."), ADD),
        (Replied("I said otherwise."), ADD),
    ],
)
def test_what_the_client_has_changed_is_taken_from_the_client(items):
    found = said(*items, recall=kept())
    assert found.messages == said(*items).messages


def test_the_clients_own_copy_of_the_reasoning_changes_nothing():
    assert said(Thought("I add."), ADD, recall=kept()).messages == KEPT


def test_an_answer_comes_back_as_the_tokens_that_it_was():
    recall = Recall()
    recall.keep(b"me", (Message("assistant", "4", channel="final", tokens=(1, 2)),), [])
    assert said(Replied("4"), recall=recall).messages[0].tokens == (1, 2)
    assert said(Replied("5"), recall=recall).messages[0].tokens is None


def test_results_without_ids_go_by_name_and_by_order():
    calls = [Called(None, f"functions.{name}", "{}") for name in ("one", "two")]
    found = said(*calls, Returned(None, "2", "two"), Returned(None, "1", "one"))
    assert [message.name for message in found.messages[2:]] == ["functions.two", "functions.one"]
    found = said(*calls, Returned(None, "1"), Returned(None, "2"))
    assert [message.name for message in found.messages[2:]] == ["functions.one", "functions.two"]


def test_a_result_without_its_call_is_refused_by_its_id():
    with pytest.raises(RefusedError, match="'call_9'"):
        said(ADD, Returned("call_9", "4"))
    with pytest.raises(RefusedError, match="neither id nor name"):
        said(Spoken("user", "?"), Returned(None, "4"))


def test_deep_json_in_arguments_is_only_text():
    deep = Called("call_1", "functions.add", "[" * 100_000)
    assert said(deep, recall=kept()).messages[0].text == deep.arguments
