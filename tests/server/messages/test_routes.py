"""Anthropic's Messages over the real application, judged by the anthropic package's types and its stream reader."""

import contextlib
import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ossia.server.messages import endpoints
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids
from tests.server.playing import Player
from tests.server.serving import client_for, service_for

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
ANSWER = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
PREAMBLE = "<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant"
CALL = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2}<|call|>'
THINKING = "<|channel|>analysis<|message|>I add.<|end|><|start|>assistant"
ADD = {"name": "add", "input_schema": {"type": "object"}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]
SHOWN = {"type": "enabled", "budget_tokens": 1024}
OURS = {"repetition", "cancelled", "error"}


def post(*answers: Any, player: Player | None = None, status: int = 200, path: str = "", **fields: Any) -> Any:
    player = player or Player(VOCABULARY, *answers, endless=True)
    body = {"model": "tiny", "messages": ASKED} | ({} if path else {"max_tokens": 500}) | fields
    response = client_for(service_for(player), endpoints).post(f"/v1/messages{path}", json=body)
    assert response.status_code == status, response.text
    if status != 200 or not fields.get("stream"):
        return response.json()
    events = []
    for part in response.text.split("\n\n"):
        if part:
            name, data = part.split("\n")
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
    return events


def judged(body: dict[str, Any]) -> Message:
    plain = json.loads(json.dumps(body))
    plain["stop_reason"] = "end_turn" if plain["stop_reason"] in OURS else plain["stop_reason"]
    return Message.model_validate(plain)


def read(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a stream adds up to, by a reader that follows Anthropic's documentation."""
    assert [event["type"] for event in (events[0], *events[-2:])] == ["message_start", "message_delta", "message_stop"]
    message, open_block, pieces = events[0]["message"], None, ""
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block, pieces = event["index"], ""
            assert open_block == len(message["content"])
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
            block, delta = message["content"][-1], event["delta"]
            for name in ("text", "thinking", "signature"):
                if name in delta:
                    block[name] += delta[name]
            pieces += delta.get("partial_json", "")
        else:
            assert event == {"type": "content_block_stop", "index": open_block}
            open_block = None
            if message["content"][-1]["type"] == "tool_use":
                with contextlib.suppress(ValueError, RecursionError):
                    message["content"][-1]["input"] = json.loads(pieces)
    assert open_block is None
    return message | events[-2]["delta"] | {"usage": events[-2]["usage"]}


def blocks(body: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(block["type"], block.get("text", block.get("thinking", block.get("input")))) for block in body["content"]]


def test_text_comes_first_unless_thinking_is_asked_for():
    body = post(ANSWER)
    assert judged(body).content[0].type == "text"
    assert blocks(body) == [("text", "It is 4.")]
    assert body["ossia"]["reasoning"] == "Easy.", "not shown, and not lost"
    assert (body["stop_reason"], body["usage"]["output_tokens"]) == ("end_turn", len(ids(VOCABULARY, ANSWER)))
    assert body["usage"]["cache_read_input_tokens"] == 1


def test_thinking_is_a_block_with_a_signature():
    body = post(ANSWER, thinking=SHOWN)
    judged(body)
    assert blocks(body) == [("thinking", "Easy."), ("text", "It is 4.")]
    assert body["content"][0]["signature"]
    assert post(ANSWER, thinking={"type": "adaptive", "display": "omitted"})["content"][0]["type"] == "text"


def test_a_stream_is_the_same_message():
    said = PREAMBLE + THINKING + CALL
    events = post(said, tools=[ADD], thinking=SHOWN, stream=True)
    for event in events:
        EVENT.validate_python(event)
    whole = post(said, tools=[ADD], thinking=SHOWN)
    message = read(events)
    assert blocks(message) == blocks(whole) == [
        ("text", "One moment."), ("thinking", "I add."), ("tool_use", {"a": 2}),
    ]  # fmt: skip
    assert message["stop_reason"] == whole["stop_reason"] == "tool_use"
    assert message["usage"] == whole["usage"]
    assert events[-2]["ossia"]["finish"] == "tool_calls"


@pytest.mark.parametrize("arguments", ['{"a": "\\ud800"}', '{"a": NaN}', "[1]"])
def test_arguments_that_no_json_can_carry_are_told_as_they_are(arguments: str):
    whole = post(CALL.replace('{"a": 2}', arguments), tools=[ADD], grammar="off")
    assert judged(whole).content[0].type == "tool_use"
    assert blocks(whole) == [("tool_use", {})]
    assert whole["ossia"]["incomplete_calls"] == [{"name": "add", "arguments": arguments}]


def test_a_tool_loop():
    player = Player(VOCABULARY, THINKING + CALL, ANSWER)
    client = client_for(service_for(player), endpoints)
    ask = {"model": "tiny", "max_tokens": 500, "tools": [ADD]}
    first = client.post("/v1/messages", json=ask | {"messages": ASKED}).json()
    result = {
        "type": "tool_result",
        "tool_use_id": first["content"][0]["id"],
        "content": [{"type": "text", "text": "4"}],
    }
    said = [*ASKED, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    second = client.post("/v1/messages", json=ask | {"messages": said}).json()
    assert blocks(second) == [("text", "It is 4.")]
    assert (
        THINKING + CALL + "<|start|>functions.add to=assistant<|channel|>commentary<|message|>4<|end|>"
        in player.prompts[1]
    )


def test_a_result_that_is_an_error_says_so():
    player = Player(VOCABULARY, ANSWER)
    use = {"type": "tool_use", "id": "t1", "name": "add", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "no such file", "is_error": True}
    post(
        player=player, messages=[*ASKED, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    )
    assert "<|message|>Error: no such file<|end|>" in player.prompts[0]


def test_instructions_thinking_and_hints_of_agents():
    player = Player(VOCABULARY, ANSWER)
    hint = {"type": "ephemeral"}
    body = post(
        player=player,
        system=[{"type": "text", "text": "A", "cache_control": hint}, {"type": "text", "text": "B"}],
        output_config={"effort": "low"},
        metadata={"user_id": "x"},
        betas=["some-beta"],
        tools=[
            ADD | {"cache_control": hint, "description": "Adds."},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
    )
    assert "# Instructions\n\nA\n\nB" in player.prompts[0]
    assert (body["ossia"]["effort"], body["ossia"]["declined"]) == ("low", ["tools[1]: web_search_20250305"])
    assert post(ANSWER, thinking={"type": "disabled"})["ossia"]["effort"] == "none"
    assert post(ANSWER, thinking=SHOWN)["ossia"]["max_reasoning_tokens"] == 375, "a quarter is left to the answer"


def test_a_stop_sequence_is_named():
    body = post(ANSWER, stop_sequences=[" 4"])
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", " 4")
    judged(body)


def test_a_call_that_was_cut_off_is_not_lost():
    limit = len(ids(VOCABULARY, CALL)) - 3
    body = post(CALL, tools=[ADD], max_tokens=limit)
    judged(body)
    assert body["stop_reason"] == "max_tokens"
    assert body["ossia"]["incomplete_calls"][0]["arguments"].startswith('{"a')


def test_tokens_are_counted_without_an_answer():
    player = Player(VOCABULARY, ANSWER, endless=True)
    counted = post(player=player, path="/count_tokens", system="A", tools=[ADD])
    assert player.wanted == []
    post(player=player, system="A", tools=[ADD])
    assert counted == {"input_tokens": len(player.wanted[0].prompt)}


@pytest.mark.parametrize(
    "fields",
    [
        {"nonsense": 1},
        {"messages": []},
        {"max_tokens": 0},
        {"max_tokens": 100_000},
        {"messages": [{"role": "robot", "content": ""}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
        {"messages": [*ASKED, {"role": "assistant", "content": "It"}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9", "content": "4"}]}]},
        {"tools": [{"name": "a b", "input_schema": {}}]},
        {"tools": [ADD], "tool_choice": {"type": "tool", "name": "sub"}},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "sometimes"}},
        {"thinking": {"type": "maybe"}},
        {"thinking": {"type": "enabled", "budget_tokens": 0}},
        {"output_config": {"effort": "lots"}},
        {"mcp_servers": [{"url": "http://x"}]},
        {"container": "c"},
        {"service_tier": "priority"},
    ],
)
def test_what_cannot_be_honoured_is_refused_in_anthropics_shape(fields: dict[str, Any]):
    error = post(ANSWER, status=400, **fields)
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert post(ANSWER, status=400, stream=True, **fields) == error


def test_an_unknown_model_is_not_found():
    assert post(ANSWER, status=404, model="claude-9")["error"]["type"] == "not_found_error"


TOKENS = st.lists(
    st.one_of(st.sampled_from(sorted(VOCABULARY.control.values())), st.integers(0, VOCABULARY.size - 1)), max_size=40
)


@settings(max_examples=50)
@given(TOKENS)
def test_whatever_a_model_writes_the_blocks_are_well_formed(tokens: list[int]):
    tokens = tokens or [VOCABULARY.return_]
    shown = {"type": "adaptive"}  # what bounds the reasoning is a grammar
    events = post(player=Player(VOCABULARY, tokens), grammar="off", tools=[ADD], thinking=shown, stream=True)
    whole = post(player=Player(VOCABULARY, tokens, per_step=3), grammar="off", tools=[ADD], thinking=shown)
    judged(whole)
    events[-2]["delta"]["stop_reason"] = "end_turn"
    for event in events:
        EVENT.validate_python(event)
    assert blocks(read(events)) == blocks(whole)


@pytest.mark.parametrize("said", [{"role": "assistant", "content": ""}, {"role": "user", "content": []}])
def test_a_conversation_in_which_nothing_is_said_is_refused(said: dict[str, Any]):
    for path in ("", "/count_tokens"):
        assert "nothing is said" in post(messages=[said], path=path, status=400)["error"]["message"]


def test_reasoning_that_is_empty_leaves_no_gap():
    empty = "<|channel|>analysis<|message|><|end|><|start|>assistant"
    assert post(empty + ANSWER, grammar="off")["ossia"]["reasoning"] == "Easy."
