"""Ollama's chat and generate over the real application, judged by the ollama package's types."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse

from ossia.harmony import Effort
from ossia.server.ollama import endpoints
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids
from tests.server.playing import Player
from tests.server.serving import OneModel, client_for, service_for

ANSWER = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
CALL = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2}<|call|>'
THINKING = "<|channel|>analysis<|message|>I add.<|end|><|start|>assistant"
ADD = {"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object"}}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def post(path: str, *answers: Any, player: Player | None = None, status: int = 200, **fields: Any) -> Any:
    """The answer, or its lines when it is streamed, which it is unless told."""
    player = player or Player(VOCABULARY, *answers, endless=True)
    response = client_for(service_for(player), endpoints).post(path, json={"model": "tiny"} | fields)
    assert response.status_code == status, response.text
    if status != 200 or fields.get("stream") is False:
        return response.json()
    return [json.loads(line) for line in response.text.splitlines()]


def chat(*answers: Any, **fields: Any) -> Any:
    fields.setdefault("messages", ASKED)
    return post("/api/chat", *answers, **fields)


def test_a_stream_of_lines_is_the_whole_answer():
    lines = chat(ANSWER)
    whole = chat(ANSWER, stream=False)
    for line in [*lines, whole]:
        ChatResponse.model_validate(line)
    assert "".join(line["message"]["content"] for line in lines) == whole["message"]["content"] == "It is 4."
    assert "".join(line["message"].get("thinking", "") for line in lines) == whole["message"]["thinking"] == "Easy."
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (whole["done_reason"], whole["eval_count"]) == ("stop", len(ids(VOCABULARY, ANSWER)))
    assert 0 <= whole["prompt_eval_duration"] <= whole["total_duration"]
    assert whole["ossia"]["finish"] == "stop"


def test_a_call_has_an_object_of_arguments():
    lines = chat(THINKING + CALL, tools=[ADD])
    calls = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in calls] == [("add", {"a": 2})]
    assert (
        chat(THINKING + CALL, tools=[ADD], stream=False)["message"]["tool_calls"][0]["function"] == calls[0]["function"]
    )


def test_a_call_that_was_cut_off_is_not_lost():
    limit = len(ids(VOCABULARY, CALL)) - 3
    whole = chat(CALL, tools=[ADD], stream=False, options={"num_predict": limit})
    assert whole["done_reason"] == "length"
    assert "tool_calls" not in whole["message"]
    assert whole["ossia"]["incomplete_calls"][0]["arguments"].startswith('{"a')


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("arguments", ['{"a": "\\ud800"}', '{"a": NaN}', "[1]"])
def test_arguments_that_no_json_can_carry_are_told_as_they_are(arguments: str, streamed: bool):
    lines = chat(CALL.replace('{"a": 2}', arguments), tools=[ADD], stream=streamed, grammar="off")
    last = lines[-1] if streamed else lines
    assert last["ossia"]["incomplete_calls"] == [{"name": "add", "arguments": arguments}]


def test_a_tool_loop_without_ids():
    player = Player(VOCABULARY, ANSWER)
    call = {"function": {"name": "add", "arguments": {"a": 2}}}
    said = [*ASKED, {"role": "assistant", "content": "", "thinking": "I add.", "tool_calls": [call]}]
    chat(player=player, messages=[*said, {"role": "tool", "tool_name": "add", "content": "4"}], tools=[ADD])
    assert "<|channel|>analysis<|message|>I add.<|end|>" in player.prompts[0]
    assert "<|start|>functions.add to=assistant<|channel|>commentary<|message|>4<|end|>" in player.prompts[0]


def test_a_tool_loop_with_ids_keeps_the_reasoning_that_the_client_drops():
    player = Player(VOCABULARY, THINKING + CALL, ANSWER)
    client = client_for(service_for(player), endpoints)
    ask = {"model": "tiny", "stream": False, "tools": [ADD]}
    first = client.post("/api/chat", json=ask | {"messages": ASKED}).json()["message"]
    said = [*ASKED, {"role": "assistant", "content": "", "tool_calls": first["tool_calls"]}]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "4"}
    client.post("/api/chat", json=ask | {"messages": [*said, result]})
    assert THINKING + CALL + "<|start|>functions.add" in player.prompts[1]


@pytest.mark.parametrize(
    ("think", "effort"),
    [(False, Effort.NONE), ("low", Effort.LOW), ("high", Effort.HIGH), (True, Effort.MEDIUM), (None, Effort.MEDIUM)],
)
def test_how_long_it_thinks(think: Any, effort: Effort):
    assert chat(ANSWER, think=think, stream=False)["ossia"]["effort"] == effort.value


def test_options_are_the_parameters():
    player = Player(VOCABULARY, ANSWER, endless=True)
    options = {
        "temperature": 0.5,
        "top_k": 7,
        "seed": 5,
        "num_predict": 50,
        "stop": [" 4"],
        "num_ctx": 2048,
        "num_gpu": 1,
    }
    whole = chat(player=player, options=options, stream=False)
    params = player.wanted[0].params
    assert (params.temperature, params.top_k, params.seed, params.max_tokens) == (0.5, 7, 5, 50)
    assert whole["message"]["content"] == "It is"
    chat(player=player, options={"num_predict": -1})
    assert player.wanted[1].params.max_tokens is None


def test_a_form_of_the_answer():
    player = Player(VOCABULARY, '<|channel|>final<|message|>{"n": 4}<|return|>', endless=True)
    chat(player=player, format={"type": "object", "properties": {"n": {"type": "integer"}}})
    chat(player=player, format="json")
    assert "# Response Formats" in player.prompts[0]
    assert '"json_object"' in player.wanted[1].grammar


def test_a_prompt_is_a_conversation_of_one_message():
    player = Player(VOCABULARY, ANSWER, endless=True)
    lines = post("/api/generate", player=player, prompt="2 + 2?", system="Be kind.")
    whole = post("/api/generate", player=player, prompt="2 + 2?", stream=False)
    for line in [*lines, whole]:
        GenerateResponse.model_validate(line)
    assert "".join(line["response"] for line in lines) == whole["response"] == "It is 4."
    assert whole["thinking"] == "Easy."
    assert "# Instructions\n\nBe kind." in player.prompts[0]


def test_a_raw_prompt_is_taken_as_it_is():
    player = Player(VOCABULARY, ANSWER, endless=True)
    whole = post("/api/generate", player=player, prompt="<|start|>assistant", raw=True, stream=False)
    assert player.wanted[0].prompt == tuple(ids(VOCABULARY, "<|start|>assistant"))
    assert whole["response"] == ANSWER
    assert whole["eval_count"] == len(ids(VOCABULARY, ANSWER))


def test_log_probabilities():
    whole = chat(ANSWER, logprobs=True, top_logprobs=2, stream=False)
    ChatResponse.model_validate(whole)
    assert "".join(entry["token"] for entry in whole["logprobs"]) == "Easy.It is 4."


def test_without_a_message_the_model_is_loaded():
    assert chat(messages=[], stream=False)["done_reason"] == "load"
    assert post("/api/generate", stream=False)["done_reason"] == "load"
    assert post("/api/generate")[0]["done_reason"] == "load"


@pytest.mark.parametrize(
    "fields",
    [
        {"nonsense": 1},
        {"options": {"nonsense": 1}},
        {"options": {"temperature": "hot"}},
        {"options": {"repeat_penalty": 1.1}},
        {"options": {"mirostat": 2}},
        {"options": {"num_ctx": 100_000}},
        {"options": {"num_predict": 100_000}},
        {"messages": [{"role": "robot", "content": ""}]},
        {"messages": [{"role": "user", "content": "", "images": ["aGk="]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a b", "arguments": {}}}]}]},
        {"messages": [{"role": "tool", "content": "4"}]},
        {"format": "xml"},
        {"think": "lots"},
        {"keep_alive": "soon"},
        {"top_logprobs": 3},
    ],
)
def test_what_cannot_be_honoured_is_refused(fields: dict[str, Any]):
    error = chat(ANSWER, status=400, **fields)
    assert set(error) == {"error"}
    assert isinstance(error["error"], str)


def test_an_unknown_model_is_not_found():
    assert "tiny" in chat(ANSWER, status=404, model="gpt-9")["error"]


TOKENS = st.lists(
    st.one_of(st.sampled_from(sorted(VOCABULARY.control.values())), st.integers(0, VOCABULARY.size - 1)), max_size=40
)


@settings(max_examples=50)
@given(TOKENS)
def test_whatever_a_model_writes_the_lines_are_well_formed(tokens: list[int]):
    tokens = tokens or [VOCABULARY.return_]
    lines = chat(player=Player(VOCABULARY, tokens), grammar="off", tools=[ADD])
    whole = chat(player=Player(VOCABULARY, tokens, per_step=3), grammar="off", tools=[ADD], stream=False)
    for line in [*lines, whole]:
        ChatResponse.model_validate(line)
    assert "".join(line["message"]["content"] for line in lines) == whole["message"]["content"]
    calls = [call["function"] for line in lines for call in line["message"].get("tool_calls", [])]
    assert calls == [call["function"] for call in whole["message"].get("tool_calls", [])]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_client_cannot_unload_the_model_that_the_server_was_started_with(path: str):
    said = post(path, stream=False, keep_alive=0)
    assert (said["done"], said["done_reason"]) == (True, "load")
    assert "the server was started with it" in said["ossia"]["kept"]
    asked: dict[str, Any] = {"messages": ASKED} if path == "/api/chat" else {"prompt": "2 + 2?"}
    forms: list[dict[str, Any]] = [{}, {"raw": True}] if path == "/api/generate" else [{}]
    for more in forms:
        *_, last = post(path, ANSWER, keep_alive="5m", **asked, **more)
        assert "the server was started with it" in last["ossia"]["kept"]
    *_, last = post(path, ANSWER, keep_alive=-1, **asked)
    assert "kept" not in last["ossia"], "it stays as long as was asked for"


@pytest.mark.parametrize(("came", "reason", "kept"), [("unloaded", "unload", False), ("in use", "unload", True)])
def test_what_is_said_of_other_models_is_what_came_of_them(
    monkeypatch: pytest.MonkeyPatch, came: str, reason: str, kept: bool
):
    async def stop(self: object, name: str) -> str:
        return came

    monkeypatch.setattr(OneModel, "stop", stop)
    said = post("/api/generate", stream=False, keep_alive=0)
    assert (said["done_reason"], "ossia" in said) == (reason, kept)
