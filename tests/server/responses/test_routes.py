"""Responses over the real application: what the openai package says about it, and what Codex sends."""

from typing import Any

import pytest
from openai import NotFoundError, OpenAI
from pydantic import BaseModel

from ossia.server.clients import Keys
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    ADD,
    HELLO,
    URL,
    answer,
    ask,
    called,
    conversation,
    judged_item,
    serving,
    stream,
)


def test_a_whole_answer():
    body = ask(answer())
    assert body["status"] == "completed"
    thought, message = body["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "A greeting."}]
    assert (thought["summary"], thought["encrypted_content"]) == ([], None)
    assert (message["phase"], message["content"][0]["text"]) == ("final_answer", "Hello!")
    # Its end is a token of it.
    thinking = len(VOCABULARY.encode("A greeting.")) + 1
    assert body["usage"]["output_tokens_details"] == {"reasoning_tokens": thinking}
    assert body["usage"]["total_tokens"] == body["usage"]["input_tokens"] + body["usage"]["output_tokens"]
    assert (body["ossia"]["effort"], body["ossia"]["finish"]) == ("medium", "stop")


CODEX: dict[str, Any] = {
    "model": "tiny",
    "instructions": "You are Codex.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]},
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "I look."}],
            "encrypted_content": None,
        },
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object", "properties": {}}},
        {
            "type": "custom",
            "name": "apply_patch",
            "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
        },
        {
            "type": "namespace",
            "name": "mcp__notes",
            "description": "Notes of the user.",
            "tools": [{"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}],
        },
        {"type": "web_search", "external_web_access": False},
        {"type": "something_new"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "low", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "a-b-c",
    "client_metadata": {"x-codex-installation-id": "1"},
    "text": {
        "format": {"type": "json_schema", "strict": True, "name": "codex_output_schema", "schema": {"type": "object"}}
    },
}


def test_a_request_of_codex():
    player = Player(VOCABULARY, answer("{}"))
    with serving(player) as client:
        told = stream(client, CODEX)
    final = told[-1]["response"]
    assert final["status"] == "completed"
    assert final["ossia"]["declined"] == ["tools[3]: web_search", "tools[4]: something_new"]
    assert final["ossia"]["passed_over"] == []
    assert "whole reasoning" in final["ossia"]["reasoning_summary"]
    assert [tool["type"] for tool in final["tools"]] == ["function", "custom", "namespace"]
    (prompt,) = player.prompts
    for words in ("You are Codex.", "<permissions>", "Reasoning: low", "namespace mcp__notes", "Notes of the user."):
        assert words in prompt
    assert "I look." in prompt
    assert "web_search" not in prompt
    assert final["output"][0]["encrypted_content"].startswith("ossia.1.")


def test_stored_responses_are_retrieved_listed_and_deleted():
    with serving(Player(VOCABULARY, answer("One."), answer("Two."))) as client:
        first, second = conversation(client, {"input": "Count."}, {"input": [{"role": "user", "content": "On."}]})
        assert client.get(f"{URL}/{first['id']}").json() == first
        listed = client.get(f"{URL}/{second['id']}/input_items", params={"order": "asc"}).json()
        kinds = [judged_item(item)["type"] for item in listed["data"]]
        assert kinds == ["message", "reasoning", "message", "message"]
        assert listed["data"][3]["content"] == [{"type": "input_text", "text": "On."}]
        pages: list[str] = []
        query: dict[str, Any] = {"limit": 3}
        while True:
            page = client.get(f"{URL}/{second['id']}/input_items", params=query).json()
            pages += [item["id"] for item in page["data"]]
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        assert pages == [item["id"] for item in reversed(listed["data"])]
        assert client.delete(f"{URL}/{first['id']}").json()["deleted"] is True
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            gone = client.request(method, f"{URL}/{first['id']}{path}")
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "response_not_found")
        going_on = client.post(URL, json={**HELLO, "previous_response_id": second["id"]})
        assert going_on.status_code == 404
        assert first["id"] in going_on.json()["error"]["message"]


KEYS = "me:0123456789abcdef0123,you:fedcba98765432100123"


def test_nobody_sees_what_is_anothers():
    me, you = ({"Authorization": f"Bearer {key.partition(':')[2]}"} for key in KEYS.split(","))
    player = Player(VOCABULARY, answer(), endless=True)
    with serving(player, keys=Keys.parse(KEYS, "test")) as client:
        mine = client.post(URL, json=HELLO, headers=me).json()
        assert client.get(f"{URL}/{mine['id']}", headers=me).json() == mine
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            assert client.request(method, f"{URL}/{mine['id']}{path}", headers=you).status_code == 404
        going_on = {**HELLO, "previous_response_id": mine["id"]}
        assert client.post(URL, json=going_on, headers=you).status_code == 404
        item = {**HELLO, "input": [{"type": "item_reference", "id": mine["output"][0]["id"]}]}
        assert client.post(URL, json=item, headers=you).status_code == 404
        assert client.post(URL, json=going_on, headers=me).status_code == 200


def test_tokens_are_counted_without_an_answer():
    player = Player(VOCABULARY, answer())
    with serving(player) as client:
        count = client.post(f"{URL}/input_tokens", json={**HELLO, "tools": [ADD], "instructions": "Be."}).json()
        assert not player.wanted
        body = client.post(URL, json={**HELLO, "tools": [ADD], "instructions": "Be."}).json()
    assert count == {"object": "response.input_tokens", "input_tokens": body["usage"]["input_tokens"]}


def test_compacting_is_refused():
    with serving(Player(VOCABULARY)) as client:
        error = client.post(f"{URL}/compact", json={"model": "tiny"})
    assert (error.status_code, error.json()["error"]["code"]) == (400, "unsupported")


class Sum(BaseModel):
    a: int


def test_the_openai_package_is_at_home():
    written = [answer('{"a": 4}'), answer('{"a": 4}'), called("functions.add", '{"a": 1}'), answer("Bye")]
    with serving(Player(VOCABULARY, *written)) as client:
        sdk = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none", http_client=client, max_retries=0)
        parsed = sdk.responses.parse(model="tiny", input="Hello", text_format=Sum)
        assert parsed.output_parsed == Sum(a=4)
        with sdk.responses.stream(model="tiny", input="Hello", text_format=Sum) as streamed:
            kinds = {event.type for event in streamed}
            assert streamed.get_final_response().output_parsed == Sum(a=4)
        assert {"response.output_text.delta", "response.completed"} <= kinds
        call = sdk.responses.create(model="tiny", input="Hello", tools=[ADD])  # type: ignore[list-item]
        assert call.output[1].type == "function_call"
        result = {"type": "function_call_output", "call_id": call.output[1].call_id, "output": "2"}
        last = sdk.responses.create(model="tiny", input=[result], previous_response_id=call.id)  # type: ignore[list-item]
        assert last.output_text == "Bye"
        assert sdk.responses.retrieve(last.id, include=["message.output_text.logprobs"]).output_text == "Bye"
        items = [item.type for item in sdk.responses.input_items.list(last.id, order="asc", limit=2)]
        assert items == ["message", "reasoning", "function_call", "function_call_output"]
        assert sdk.responses.input_tokens.count(model="tiny", input="Hello").input_tokens > 0
        sdk.responses.delete(last.id)
        with pytest.raises(NotFoundError):
            sdk.responses.retrieve(last.id)
