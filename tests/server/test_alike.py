"""One conversation, or one wish, through every API: the same is done with it, or the same is refused."""

import json
from typing import Any

import pytest

from ossia.server.app import ENDPOINTS
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import client_for, service_for

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat")
ANSWER = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>"
ASKED: dict[str, Any] = {"role": "user", "content": "2 + 2?"}

Call = tuple[str, str]
"""An id and a name."""


def turns(path: str, *parts: dict[str, Any] | Call | str) -> list[dict[str, Any]]:
    """A conversation in the words of an API: messages, calls (tuples), and results (the ids of calls)."""
    return [_turn(path, part) if isinstance(part, tuple | str) else part for part in parts]


def _turn(path: str, part: Call | str) -> dict[str, Any]:
    match path, part:
        case "/v1/responses", (id_, name):
            return {"type": "function_call", "call_id": id_, "name": name, "arguments": "{}"}
        case "/v1/responses", str():
            return {"type": "function_call_output", "call_id": part, "output": "r"}
        case "/v1/messages", (id_, name):
            use = {"type": "tool_use", "id": id_, "name": name, "input": {}}
            return {"role": "assistant", "content": [use]}
        case "/v1/messages", str():
            return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": part, "content": "r"}]}
        case _, (id_, name):
            arguments: Any = {} if path == "/api/chat" else "{}"
            call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            return {"role": "assistant", "content": "", "tool_calls": [call]}
    return {"role": "tool", "tool_call_id": part, "content": "r"}


def post(path: str, conversation: list[dict[str, Any]], **fields: Any) -> Any:
    player = Player(VOCABULARY, ANSWER)
    name = "input" if path == "/v1/responses" else "messages"
    more = {"max_tokens": 50} if path == "/v1/messages" else {"stream": False} if path == "/api/chat" else {}
    body = {"model": "tiny", name: conversation} | more | fields
    return client_for(service_for(player), ENDPOINTS).post(path, json=body)


def message(response: Any) -> str:
    error = response.json()["error"]
    return error if isinstance(error, str) else error["message"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((ASKED, {"role": "assistant", "content": "The"}), "the last message is the assistant's"),
        ((ASKED, "lost"), "a tool's result is for 'lost', and no call before it is"),
        ((ASKED, ("a", "f"), "a", "a"), "a second result is for 'a'"),
        ((ASKED, ("a", "f"), ("a", "g"), "a"), "two calls have the id 'a'"),
    ],
)
def test_the_same_is_refused_by_all(path: str, parts: tuple[Any, ...], says: str):
    response = post(path, turns(path, *parts))
    assert response.status_code == 400, response.text
    assert says in message(response)


@pytest.mark.parametrize("path", PATHS)
def test_ids_may_come_again_once_they_have_been_answered(path: str):
    parts = (ASKED, ("call_0", "f"), "call_0", ("call_0", "g"), "call_0")
    assert post(path, turns(path, *parts)).status_code == 200


@pytest.mark.parametrize("lost", [{"tool_name": "f"}, {}])
def test_a_result_that_only_names_its_tool_has_a_call_too(lost: dict[str, str]):
    result = {"role": "tool", "content": "r"} | lost
    assert post("/api/chat", [ASKED, result]).status_code == 400
    called = turns("/api/chat", ("a", "f"))
    assert post("/api/chat", [ASKED, *called, result]).status_code == 200
    assert post("/api/chat", [ASKED, *called, result, result]).status_code == 400


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/v1/chat/completions", {"max_reasoning_tokens": 5}, "max_reasoning_tokens"),
        ("/v1/responses", {"max_reasoning_tokens": 5}, "max_reasoning_tokens"),
        ("/v1/messages", {"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ("/v1/chat/completions", {"parallel_tool_calls": False}, "calls one at a time"),
        ("/v1/chat/completions", {"tool_choice": "none"}, "tool_choice none"),
        (
            "/v1/chat/completions",
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
                }
            },
            "tool_choice allowed_tools",
        ),
        (
            "/v1/chat/completions",
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            "the form of functions.f",
        ),
    ],
)
def test_without_a_grammar_what_only_a_grammar_holds_is_refused_by_name(path: str, fields: dict[str, Any], says: str):
    tool = {"type": "function", "name": "f", "function": {"name": "f"}}
    if path != "/v1/chat/completions":
        tool = {"name": "f", "input_schema": {}} if path == "/v1/messages" else {"type": "function", "name": "f"}
    tools = [{key: value for key, value in tool.items() if path != "/v1/chat/completions" or key != "name"}]
    assert post(path, [ASKED], grammar="off", tools=tools).status_code == 200
    response = post(path, [ASKED], **{"grammar": "off", "tools": tools} | fields)
    assert response.status_code == 400
    assert says in message(response)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_options_of_a_stream_are_for_streams(path: str):
    said = {"messages": [ASKED]} if "chat" in path else {"input": "x"} if "responses" in path else {"prompt": "x"}
    body = {"model": "tiny", "stream_options": {"include_obfuscation": True}} | said
    client = client_for(service_for(Player(VOCABULARY, ANSWER)), ENDPOINTS)
    error = client.post(path, json=body).json()["error"]
    assert (error["param"], error["code"]) == ("stream_options", "invalid_value")
    assert client.post(path, json=body | {"stream": True}).status_code == 200


def test_what_nobody_reads_of_earlier_calls_is_reported():
    for path in ("/v1/chat/completions", "/api/chat"):
        called, result = turns(path, ("a", "f"), "a")
        (call,) = called["tool_calls"]
        call |= {"zzz": 1}
        call["function"]["mood"] = 2
        (call["function"] if path == "/api/chat" else call)["index"] = 0
        body = post(path, [ASKED, called, result]).json()
        where = "messages[1].tool_calls[0]"
        assert body["ossia"]["passed_over"] == [f"{where}.function.mood", f"{where}.zzz"]


@pytest.mark.parametrize("more", [{"messages": [ASKED]}, {"prompt": "2 + 2 ="}, {"prompt": "2 + 2 =", "raw": True}])
def test_a_smaller_context_is_not_had_and_that_is_said(more: dict[str, Any]):
    path = "/api/chat" if "messages" in more else "/api/generate"
    body = {"model": "tiny", "stream": False, "options": {"num_ctx": 64}} | more
    told = client_for(service_for(Player(VOCABULARY, ANSWER)), ENDPOINTS).post(path, json=body).json()["ossia"]
    assert told["context"] == Player.context
    assert told["passed_over"] == ["options.num_ctx: 64; a request may have all of the model's context"]


@pytest.mark.parametrize(
    "path", ["/v1/messages?beta=true", "/v1/messages/count_tokens?beta=true", "/v1/models?beta=true"]
)
def test_anthropics_clients_put_beta_into_the_path(path: str):
    client = client_for(service_for(Player(VOCABULARY, ANSWER)), ENDPOINTS)
    counted = {"model": "tiny", "messages": [ASKED]}
    body = counted if "count" in path else counted | {"max_tokens": 50}
    assert (client.get(path) if "models" in path else client.post(path, json=body)).status_code == 200
    assert client.post("/v1/messages?zeta=true", json=body).status_code == 400


def test_half_a_pair_and_an_empty_prompt_are_called_that():
    client = client_for(service_for(Player(VOCABULARY)), ENDPOINTS)
    half = client.post("/v1/completions", content=b'{"model": "tiny", "prompt": "\\ud800"}').json()["error"]
    assert "half of a character" in half["message"]
    for prompt in ("", []):
        error = client.post("/v1/completions", json={"model": "tiny", "prompt": prompt}).json()["error"]
        assert error["message"] == f"prompt is {json.dumps(prompt)}; a text, or at least one token id, is right"
    wrong = client.post("/render", json={"model": "tiny", "messages": [ASKED], "input": "x"}).json()["error"]
    assert (wrong["code"], "did you mean" in wrong["message"]) == ("unknown_field", False)
