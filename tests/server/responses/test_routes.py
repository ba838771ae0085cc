"""Responses over the real application: what the openai package and a scripted model say about it."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import NotFoundError, OpenAI
from pydantic import BaseModel

from tests.cli.tiny import VOCABULARY
from tests.scripted import ids
from tests.server.playing import Player
from tests.server.responses.responding import (
    FINAL,
    THOUGHT,
    URL,
    answer,
    called,
    judged,
    judged_item,
    serving,
    stream,
)

ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
HELLO: dict[str, Any] = {"model": "tiny", "input": "Hello"}
PREAMBLE = "<|start|>assistant<|channel|>commentary<|message|>One moment.<|end|>"


def ask(*answers: Any, status: int = 200, **fields: Any) -> Any:
    """The body of one answer."""
    with serving(Player(VOCABULARY, *answers, endless=True)) as client:
        response = client.post(URL, json={**HELLO, **fields})
        assert response.status_code == status, response.text
        return judged(response.json()) if status == 200 else response.json()["error"]


def events(*answers: Any, **fields: Any) -> list[dict[str, Any]]:
    with serving(Player(VOCABULARY, *answers, endless=True)) as client:
        return stream(client, {**HELLO, **fields})


def nameless(value: Any) -> Any:
    """A body without what differs from one request to the next: ids and times."""
    if isinstance(value, dict):
        own = ("id", "call_id", "item_id", "created_at", "completed_at", "encrypted_content")
        return {key: nameless(each) for key, each in value.items() if key not in own}
    return [nameless(each) for each in value] if isinstance(value, list) else value


def added_up(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output that the deltas add up to, by a reader that follows OpenAI's documentation alone."""
    output: list[dict[str, Any]] = []
    for event in told:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == len(output)
            assert event["item"]["status"] == "in_progress"
            output.append(json.loads(json.dumps(event["item"])))
        elif kind == "response.content_part.added":
            assert event["content_index"] == len(output[event["output_index"]]["content"])
            output[event["output_index"]]["content"].append(event["part"])
        elif kind in ("response.output_text.delta", "response.reasoning_text.delta"):
            item = output[event["output_index"]]
            assert event["item_id"] == item["id"]
            item["content"][event["content_index"]]["text"] += event["delta"]
        elif kind.endswith("arguments.delta") or kind.endswith("input.delta"):
            item = output[event["output_index"]]
            item["arguments" if "arguments" in kind else "input"] += event["delta"]
        elif kind == "response.output_item.done":
            item = output[event["output_index"]]
            assert nameless({**item, "status": ""}) == nameless({**event["item"], "status": ""})
            item["status"] = event["item"]["status"]
    return output


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


def test_the_order_of_events():
    told = [event["type"].removeprefix("response.") for event in events(answer("Hi", "Hm"))]
    text = ["output_item.added", "content_part.added", "{}.delta", "{}.done", "content_part.done", "output_item.done"]
    order = ["created", "in_progress"]
    order += [each.format("reasoning_text") for each in text] + [each.format("output_text") for each in text]
    assert list(dict.fromkeys(told)) == list(dict.fromkeys([*order, "completed"]))
    calls = [event["type"].removeprefix("response.") for event in events(called("functions.add", "{}"), tools=[ADD])]
    assert calls[-4:] == [
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_a_preamble_is_a_message_of_its_own():
    output = ask(f"{THOUGHT}Hm.<|end|>{PREAMBLE}{FINAL}Done.<|return|>")["output"]
    assert [(item["type"], item.get("phase")) for item in output] == [
        ("reasoning", None),
        ("message", "commentary"),
        ("message", "final_answer"),
    ]


def test_calls_are_items_with_the_names_that_clients_know():
    patch = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
    weather = {"type": "namespace", "name": "mcp__weather", "tools": [{**ADD, "name": "forecast"}]}
    written = (
        '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}<|call|>',
        "<|channel|>commentary to=functions.apply_patch<|message|>*** Begin<|call|>",
        '<|channel|>commentary to=mcp__weather.forecast <|constrain|>json<|message|>{"a": 2}<|call|>',
    )
    found = [ask(each, tools=[ADD, patch, weather])["output"][0] for each in written]
    assert [nameless(item) for item in found] == [
        {"type": "function_call", "name": "add", "arguments": '{"a": 1}', "status": "completed"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin", "status": "completed"},
        {
            "type": "function_call",
            "name": "forecast",
            "namespace": "mcp__weather",
            "arguments": '{"a": 2}',
            "status": "completed",
        },
    ]
    assert all(item["call_id"].startswith("call_") for item in found)


@pytest.mark.parametrize(
    ("text", "fields", "status", "reason", "finish"),
    [
        (answer(), {"max_output_tokens": 9}, "incomplete", "max_output_tokens", "length"),
        (f"{THOUGHT}{'again and ' * 400}", {}, "incomplete", None, "repetition"),
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
        again = {**HELLO, "input": whole["output"] or "Hm"}
        assert client.post(URL, json=again).status_code == 200, "whatever was written can be sent back"


def test_logprobs_are_given_by_channel():
    written = f"{THOUGHT}Hm.<|end|>{FINAL}Yes.<|return|>"
    body = ask(written, include=["message.output_text.logprobs"], top_logprobs=2)
    thought, message = (item["content"][0] for item in body["output"])
    for part in (thought, message):
        assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"]
        assert all(len(entry["top_logprobs"]) == 2 for entry in part["logprobs"])
    told = events(written, top_logprobs=2)
    scores = [each for event in told if event["type"].endswith("_text.delta") for each in event["logprobs"]]
    assert scores == [*thought["logprobs"], *message["logprobs"]]
    call = ask(called("functions.add", '{"a":1}'), tools=[ADD], top_logprobs=1)["output"][1]
    assert "".join(entry["token"] for entry in call["logprobs"]) == call["arguments"]
    assert all("logprobs" not in item["content"][0] or not item["content"][0]["logprobs"] for item in ask(written)["output"])


def conversation(client: Any, *turns: dict[str, Any]) -> list[dict[str, Any]]:
    """Answers to turns that each go on from the one before."""
    bodies: list[dict[str, Any]] = []
    for turn in turns:
        previous = {"previous_response_id": bodies[-1]["id"]} if bodies else {}
        response = client.post(URL, json={**HELLO, **previous, **turn})
        assert response.status_code == 200, response.text
        bodies.append(judged(response.json()))
    return bodies


def test_a_stored_response_is_gone_on_from_with_its_calls_and_reasoning():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer("It is 2."), answer("Bye."))
    with serving(player) as client:
        first = judged(
            client.post(URL, json={**HELLO, "tools": [ADD], "instructions": "Be terse."}).json(),
        )
        result = {"type": "function_call_output", "call_id": first["output"][1]["call_id"], "output": "2"}
        second = {**HELLO, "previous_response_id": first["id"], "input": [result], "tools": [ADD]}
        second = judged(client.post(URL, json=second).json())
        conversation(client, {"previous_response_id": second["id"], "input": "Thanks"})
    loop, last = player.prompts[1:]
    assert "Be terse." in player.prompts[0]
    assert "Be terse." not in loop, "instructions are not carried over"
    assert "<|channel|>analysis<|message|>Adding.<|end|>" in loop
    assert 'to=functions.add <|constrain|>json<|message|>{"a":1}<|call|>' in loop
    assert "<|start|>functions.add to=assistant<|channel|>commentary<|message|>2<|end|>" in loop
    assert '{"a":1}<|call|>' in last
    assert "It is 2.<|end|><|start|>user<|message|>Thanks<|end|>" in last
    assert "Adding." not in last, "reasoning goes with its turn"


def test_the_chain_of_thought_is_kept_when_the_client_drops_it():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer())
    with serving(player) as client:
        (first,) = conversation(client, {"tools": [ADD], "store": False})
        call = first["output"][1]
        said = [{"role": "user", "content": "Hello"}, call]
        said.append({"type": "function_call_output", "call_id": call["call_id"], "output": "2"})
        conversation(client, {"input": said, "tools": [ADD]})
    assert "<|channel|>analysis<|message|>Adding.<|end|>" in player.prompts[1]


def test_reasoning_comes_back_in_every_form():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer(), answer(), answer(), answer())
    with serving(player) as client:
        fields = {"tools": [ADD], "store": False, "include": ["reasoning.encrypted_content"]}
        (first,) = conversation(client, fields)
        thought, call = first["output"]
        # Another id: nothing is to be found in the server's own memory.
        call = {**call, "call_id": "call_other"}
        result = {"type": "function_call_output", "call_id": "call_other", "output": "2"}
        forms = [
            {"type": "reasoning", "summary": [], "content": thought["content"], "encrypted_content": None},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": thought["encrypted_content"]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Adding."}]},
        ]
        for form in forms:
            said = [{"role": "user", "content": "Hello"}, form, call, result]
            body = judged(client.post(URL, json={**HELLO, "input": said, "tools": [ADD]}).json())
            assert body["ossia"]["passed_over"] == []
        foreign = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABo"}
        body = client.post(URL, json={**HELLO, "input": [*said[:1], foreign, call, result], "tools": [ADD]}).json()
        assert body["ossia"]["passed_over"] == ["input[1].encrypted_content"]
    for prompt in player.prompts[1:4]:
        assert "<|channel|>analysis<|message|>Adding.<|end|>" in prompt
    assert "Adding." not in player.prompts[4]


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
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}},
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


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"moderation": {"model": "m"}}, "moderation"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"background": True, "store": False}, "background"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"truncation": "middle"}, "truncation"),
    ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
    ({"text": {"verbosity": "high"}}, "text.verbosity"),
    ({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}, "text.format.name"),
    ({"include": ["everything"]}, "include[0]"),
    ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
    ({"metadata": {"a": "b" * 513}}, "metadata"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"max_reasoning_tokens": -1}, "max_reasoning_tokens"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"stop": [""]}, "stop"),
    ({"grammar": {"type": "poem"}}, "grammar"),
    ({"grammar": {"type": "regex", "pattern": "a"}, "text": {"format": {"type": "json_object"}}}, "grammar"),
    ({"input": []}, "input"),
    ({"input": ""}, "input"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "none"}}, "tool_choice"),
    ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
    ({"tools": [ADD, ADD]}, "tools[1]"),
    ({"tools": [{"type": "function"}]}, "tools[0]"),
    ({"tools": [{**ADD, "name": "a.b"}]}, "tools[0].name"),
    ({"tools": [{**ADD, "colour": "red"}]}, "tools[0]"),
    ({"frequency": 1}, "frequency"),
    ({"input": [{"type": "message", "role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_is_not_done_is_refused_by_name(fields: dict[str, Any], param: str):
    with serving(Player(VOCABULARY)) as client:
        for streamed in (False, True):
            response = client.post(URL, json={**HELLO, **fields, "stream": streamed})
            error = response.json()["error"]
            assert response.status_code in (400, 404), error
            assert error["param"] == param, error
            assert error["message"]


def test_null_means_absent():
    from ossia.server.responses.requests import CreateRequest

    fields = dict.fromkeys(CreateRequest.__struct_fields__)
    assert ask(answer(), **{**fields, **HELLO})["status"] == "completed"


def test_what_changes_nothing_is_taken_and_repeated():
    same = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "metadata": {"a": "b"}, "max_tool_calls": 3}
    body = ask(answer(), **same, prompt_cache_retention="24h", service_tier="auto", stream_options={})
    assert {name: body[name] for name in same} == same


def test_forms_of_answers_reach_the_engine():
    player = Player(VOCABULARY, answer("{}"), endless=True)
    with serving(player) as client:
        for fields in (
            {"text": {"format": {"type": "json_object"}}},
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}},
            {"grammar": {"type": "choice", "values": ["{}"]}},
            {"grammar": "off"},
        ):
            client.post(URL, json={**HELLO, **fields}).raise_for_status()
    sources = [wanted.grammar for wanted in player.wanted]
    assert [source and json.loads(source).get("answer", {}).get("type") for source in sources] == [
        "json_object",
        "json_schema",
        "choice",
        None,
    ]
    assert sources[3] is None
    assert '"type":"object"' in player.prompts[1].replace(" ", "")


def test_choices_reach_the_engine():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}'), endless=True)
    tools = [ADD, {**ADD, "name": "subtract"}, {"type": "namespace", "name": "n", "tools": [ADD]}]
    named = {"type": "function", "name": "add"}
    with serving(player) as client:
        for choice in (
            "required",
            named,
            {**named, "namespace": "n"},
            {"type": "allowed_tools", "mode": "auto", "tools": [named, {"type": "web_search"}]},
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "n"}]},
        ):
            fields = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": False}
            client.post(URL, json={**HELLO, **fields}).raise_for_status()
    rules = [json.loads(wanted.grammar) for wanted in player.wanted]
    assert [each.get("choice", "auto") for each in rules] == [
        "required",
        "functions.add",
        "n.add",
        "auto",
        "required",
    ]
    assert [[tool["recipient"] for tool in each["tools"]] for each in rules[3:]] == [["functions.add"], ["n.add"]]
    assert not any(each["parallel"] for each in rules)


def test_truncation_drops_old_turns_and_says_so():
    long = [{"role": "user", "content": "word " * 900}, {"role": "assistant", "content": "Yes."}]
    said = [{"role": "developer", "content": "Be kind."}, *long, *long, *long, {"role": "user", "content": "And now?"}]
    error = ask(answer(), status=400, input=said)
    assert error["code"] == "context_length_exceeded"
    player = Player(VOCABULARY, answer())
    with serving(player) as client:
        body = judged(client.post(URL, json={**HELLO, "input": said, "truncation": "auto"}).json())
    assert body["ossia"]["dropped_turns"] > 0
    assert "Be kind." in player.prompts[0]
    assert "And now?" in player.prompts[0]


def eventually(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in 20 seconds")


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


def test_items_can_be_named_instead_of_sent():
    player = Player(VOCABULARY, answer("One."), answer("Two."))
    with serving(player) as client:
        (first,) = conversation(client, {"input": "Count."})
        items = [{"type": "item_reference", "id": first["output"][1]["id"]}, {"role": "user", "content": "On."}]
        client.post(URL, json={**HELLO, "input": items}).raise_for_status()
    assert "<|channel|>final<|message|>One.<|end|>" in player.prompts[1]


def test_what_is_not_to_be_stored_is_not():
    with serving(Player(VOCABULARY, answer())) as client:
        (body,) = conversation(client, {"store": False})
        assert body["store"] is False
        assert client.get(f"{URL}/{body['id']}").status_code == 404


KEYS = "me:0123456789abcdef0123,you:fedcba98765432100123"


def test_nobody_sees_what_is_anothers():
    from ossia.server.clients import Keys

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
