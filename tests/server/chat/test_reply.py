"""Events to deltas, and deltas to a whole."""

import math

from ossia.assistant import DrawnToken, Kind, Text
from ossia.engine import Logprob
from ossia.server.chat.reply import Deltas, Whole
from ossia.server.scores import LEAST_LOGPROB
from ossia.server.turns import Call, Opened
from tests.cli.tiny import VOCABULARY


def whole(*events: object, logprobs: bool = False) -> Whole:
    deltas, found = Deltas(VOCABULARY, logprobs), Whole()
    for event in events:
        for delta in deltas.of(event):  # type: ignore[arg-type]
            found.add(*delta)
    return found


def test_two_messages_of_a_kind_have_an_empty_line_between_them():
    found = whole(
        Opened(Kind.ANSWER), Text(Kind.ANSWER, "a"), Text(Kind.ANSWER, "b"), Opened(Kind.ANSWER), Text(Kind.ANSWER, "c")
    )
    assert found.message()["content"] == "ab\n\nc"


def test_messages_without_a_text_leave_no_gap():
    found = whole(Opened(Kind.REASONING), Opened(Kind.REASONING), Text(Kind.REASONING, "a"), Opened(Kind.REASONING))
    assert found.message()["reasoning"] == "a"


def test_a_call_without_content_is_a_call():
    message = whole(Opened(Kind.CALL, Call("call_1", "functions.now", None))).message()
    assert message["content"] is None
    assert message["tool_calls"] == [{"id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}]


def test_half_a_character_has_its_bytes():
    half = VOCABULARY.encode("ß")[0]
    (entry,) = whole(
        Opened(Kind.ANSWER),
        Text(Kind.ANSWER, "\ufffd", drawn=(DrawnToken(half, Logprob(-math.inf, ())),)),
        logprobs=True,
    ).logprobs["content"]
    assert entry["logprob"] == LEAST_LOGPROB
    assert bytes(entry["bytes"]) == VOCABULARY.bytes_of(half)
