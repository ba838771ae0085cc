"""Whole and streamed, whatever the model writes."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    ADD,
    FINAL,
    HELLO,
    PREAMBLE,
    THOUGHT,
    URL,
    added_up,
    answer,
    ask,
    events,
    judged,
    nameless,
    serving,
    stream,
)


@pytest.mark.parametrize(
    ("text", "fields", "status", "reason", "finish"),
    [
        (answer(), {"max_output_tokens": 9}, "incomplete", "max_output_tokens", "length"),
        (f"{THOUGHT}{'again and ' * 400}", {}, "incomplete", "repetition", "repetition"),
        (answer("One, two, three"), {"stop": "two"}, "completed", None, "stop"),
    ],
)
def test_how_it_ends_is_said(text: str, fields: dict[str, Any], status: str, reason: str | None, finish: str):
    body = ask(text, **fields)
    assert (body["status"], body["ossia"]["finish"]) == (status, finish)
    assert (body["incomplete_details"] or {}).get("reason") == reason
    assert body["output"][-1]["status"] == status
    told = events(text, **fields)
    assert told[-1]["type"] == f"response.{status}"
    assert nameless(told[-1]["response"]) == nameless(body)


PIECES = st.sampled_from(
    [
        *(f"<|{name}|>" for name in ("start", "end", "message", "channel", "constrain", "return", "call")),
        *("assistant", "analysis", "commentary", "final", "user", " to=functions.add", " json", "{", '"a": 1', "}"),
        *("Hello", " wörld", "\n", "🎼", " ", '"'),
        THOUGHT,
        FINAL,
        PREAMBLE,
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, min_size=1, max_size=30), st.integers(1, 4), st.booleans())
def test_whatever_is_written_streams_add_up_to_the_whole(pieces: list[str], per_step: int, custom: bool):
    written = "".join(pieces)
    tool = {"type": "custom", "name": "add"} if custom else ADD
    fields = {**HELLO, "tools": [tool], "grammar": "off"}
    with serving(Player(VOCABULARY, written, per_step=per_step, endless=True)) as client:
        whole = judged(client.post(URL, json=fields).json())
        told = stream(client, fields)
        assert nameless(told[-1]["response"]) == nameless(whole)
        assert nameless(added_up(told)) == nameless(whole["output"])
        stored = client.get(f"{URL}/{whole['id']}").json()
        assert stored == whole


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 700), min_size=1, max_size=60))
def test_whatever_tokens_are_drawn_the_answer_is_well_formed(tokens: list[int]):
    with serving(Player(VOCABULARY, tokens, endless=True)) as client:
        whole = judged(client.post(URL, json=HELLO).json())
        told = stream(client, HELLO)
        assert nameless(told[-1]["response"]) == nameless(whole)
        assert nameless(added_up(told)) == nameless(whole["output"])
        again = {**HELLO, "input": [*whole["output"], {"role": "user", "content": "Hm"}]}
        assert client.post(URL, json=again).status_code == 200, "whatever was written can be sent back"
