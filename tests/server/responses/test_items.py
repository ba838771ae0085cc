"""What was said before, in every form in which clients send it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.errors import RequestError
from ossia.server.ask import Called, Item, Replied, Returned, Spoken, Thought
from ossia.server.clients import ANYONE
from ossia.server.faults import RefusedError
from ossia.server.responses.items import ABSENT, Reading, kind_of, later_tools
from ossia.server.responses.tools import offer
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import ADD, HELLO, URL, answer, called, conversation, judged, serving

RESULT = {"type": "function_call_output", "call_id": "call_other", "output": "2"}


def read(*items: dict[str, Any]) -> list[Item]:
    return list(Reading(ANYONE, offer([ADD])).read(items))


def passed_over(*items: dict[str, Any]) -> list[str]:
    reading = Reading(ANYONE)
    list(reading.read(items))
    return reading.passed_over


MESSAGES: list[tuple[dict[str, Any], Item]] = [
    ({"role": "user", "content": "Hi"}, Spoken("user", "Hi")),
    ({"role": "developer", "content": [{"type": "input_text", "text": "Be."}]}, Spoken("developer", "Be.")),
    ({"role": "system", "content": [], "type": "message"}, Spoken("system", "")),
    ({"role": "assistant", "content": "Yes"}, Replied("Yes")),
    ({"role": "assistant", "content": "Hm", "phase": "commentary"}, Replied("Hm", True)),
    ({"role": "assistant", "content": "Yes", "phase": "final_answer"}, Replied("Yes", False)),
    ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}, Replied("No")),
    (
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]},
        Spoken("user", "ab"),
    ),
]


@pytest.mark.parametrize(("item", "told"), MESSAGES)
def test_messages(item: dict[str, Any], told: Item):
    assert read(item) == [told]


CALLS: list[tuple[dict[str, Any], Item]] = [
    ({"name": "add"}, Called("c", "functions.add", "{}")),
    ({"name": "gone"}, Called("c", "functions.gone", "{}")),
    ({"name": "add", "namespace": "mcp__sums"}, Called("c", "mcp__sums.add", "{}")),
    ({"name": "browser.search"}, Called("c", "browser.search", "{}")),
]


@pytest.mark.parametrize(("fields", "told"), CALLS)
def test_calls(fields: dict[str, Any], told: Item):
    assert read({"type": "function_call", "call_id": "c", "arguments": "{}", **fields}) == [told]


def test_a_call_whose_namespace_got_lost_finds_its_tool():
    reading = Reading(ANYONE, offer([{"type": "namespace", "name": "mcp__sums", "tools": [ADD]}]))
    call = {"type": "function_call", "call_id": "c", "arguments": "{}", "name": "add"}
    assert list(reading.read([call])) == [Called("c", "mcp__sums.add", "{}")]


OTHERS: list[tuple[dict[str, Any], list[Item]]] = [
    (
        {"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": "text(1)"},
        [Called("c", "functions.exec", "text(1)", True)],
    ),
    ({"type": "custom_tool_call_output", "call_id": "c", "output": "1"}, [Returned("c", "1")]),
    (
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "1"}]},
        [Returned("c", "1")],
    ),
    ({"type": "function_call_output", "output": "1", "name": "add"}, [Returned(None, "1", "add")]),
    (
        {"type": "local_shell_call", "id": "l", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}},
        [Called("c", "functions.local_shell", '{"command": ["ls"]}')],
    ),
    ({"type": "local_shell_call_output", "id": "c", "output": "a.txt"}, [Returned("c", "a.txt")]),
    (
        {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"], "timeout_ms": None}},
        [Called("c", "functions.shell", '{"commands": ["ls"]}')],
    ),
    (
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "é", "stderr": ""}]},
        [Returned("c", '[{"stdout": "é", "stderr": ""}]')],
    ),
    (
        {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file", "path": "a"}},
        [Called("c", "functions.apply_patch", '{"type": "delete_file", "path": "a"}')],
    ),
    (
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed"},
        [Returned("c", '{"status": "failed"}')],
    ),
    (
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}},
        [Called("w", "browser.search", '{"query": "q"}'), Returned("w", '{"status": "completed"}')],
    ),
    (
        {"type": "web_search_call", "id": "w", "status": "failed", "action": {"type": "open_page", "url": "u"}},
        [Called("w", "browser.open", '{"url": "u"}'), Returned("w", '{"status": "failed"}')],
    ),
    (
        {"type": "file_search_call", "id": "f", "queries": ["q"], "status": "completed", "results": [{"text": "t"}]},
        [
            Called("f", "functions.file_search", '{"queries": ["q"]}'),
            Returned("f", '{"status": "completed", "results": [{"text": "t"}]}'),
        ],
    ),
    (
        {
            "type": "code_interpreter_call",
            "id": "p",
            "code": "print(1)",
            "container_id": "x",
            "status": "completed",
            "outputs": [{"type": "logs", "logs": "1\n"}],
        },
        [Called("p", "python", "print(1)", True), Returned("p", "1\n")],
    ),
    (
        {"type": "mcp_call", "id": "m", "server_label": "notes", "name": "find", "arguments": "{}", "output": "none"},
        [Called("m", "notes.find", "{}"), Returned("m", "none")],
    ),
    (
        {"type": "mcp_call", "id": "m", "server_label": "notes", "name": "find", "arguments": "{}", "error": "down"},
        [Called("m", "notes.find", "{}"), Returned("m", "down")],
    ),
    (
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "q"}},
        [Called("c", "functions.tool_search", '{"query": "q"}')],
    ),
    ({"type": "tool_search_output", "call_id": "c", "tools": []}, [Returned("c", "[]")]),
    ({"type": "additional_tools", "role": "developer", "tools": [ADD]}, []),
    ({"type": "reasoning", "summary": []}, []),
    ({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm"}]}, [Thought("Hm")]),
    ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}, [Thought("Hm")]),
]


@pytest.mark.parametrize(("item", "told"), OTHERS)
def test_items_of_tools_that_others_ran_are_told_as_what_they_were(item: dict[str, Any], told: list[Item]):
    assert read(item) == told
    assert passed_over(item) == []


def test_what_cannot_be_told_is_refused_by_name():
    for kind in ABSENT:
        with pytest.raises(RefusedError, match=kind) as caught:
            read({"role": "user", "content": "a"}, {"type": kind, "id": "x"})
        assert caught.value.param == "input[1]"
    with pytest.raises(RefusedError, match="'poem'; known: additional_tools"):
        read({"type": "poem"})


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "tool", "content": "a"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "assistant", "content": "a", "phase": "first"}, "input[0].phase"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0]"),
        ({"type": "function_call", "call_id": "c", "name": "a b", "arguments": ""}, "input[0].name"),
        ({"type": "function_call", "call_id": "c", "name": "<|end|>", "arguments": ""}, "input[0].name"),
        ({"type": "function_call", "call_id": 1, "name": "a", "arguments": ""}, "input[0].call_id"),
        ({"type": "mcp_call", "id": "m", "server_label": "a b", "name": "f", "arguments": ""}, "input[0].server_label"),
        (
            {"type": "code_interpreter_call", "id": "p", "outputs": [{"type": "image", "url": "u"}]},
            "input[0].outputs[0]",
        ),
    ],
)
def test_the_field_at_fault_is_named(item: dict[str, Any], param: str):
    with pytest.raises(RefusedError) as caught:
        read(item)
    assert caught.value.param == param


def test_what_nobody_knows_is_passed_over_and_reported():
    message = {"role": "user", "content": [{"type": "input_text", "text": "a", "mood": 1}], "id": "m", "turn": 2}
    assert passed_over(message) == ["input[0].turn", "input[0].content[0].mood"]
    assert passed_over({"type": "mcp_list_tools", "tools": []}) == ["input[0].tools", "input[0]"]
    assert passed_over({"type": "reasoning", "encrypted_content": "x"}) == ["input[0].encrypted_content"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("role", "content", "id", "call_id", "name", "arguments", "input", "output", "action", "summary", "tools")


@given(
    st.sampled_from([each["type"] for each, _ in OTHERS] + ["message", "function_call"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
)
def test_whatever_an_item_holds_it_is_read_or_refused(kind: str, fields: dict[str, Any]):
    item = {"type": kind, **fields}
    try:
        for told in read(item):
            assert isinstance(told, Item)
        offer([], later_tools([item]))
    except RequestError:
        return


def test_a_type_may_be_left_out():
    assert kind_of({"role": "user"}) == "message"
    assert kind_of({"id": "msg_1"}) == "item_reference"
    assert kind_of({}) == ""


def test_tools_may_come_with_the_input():
    later = {"type": "additional_tools", "role": "developer", "tools": [{**ADD, "name": "late"}]}
    player = Player(VOCABULARY, answer())
    with serving(player) as client:
        body = {**HELLO, "input": [later, {"role": "user", "content": "Hi"}], "tools": [ADD]}
        client.post(URL, json=body).raise_for_status()
    recipients = [tool["recipient"] for tool in json.loads(player.wanted[0].grammar)["tools"]]
    assert recipients == ["functions.add", "functions.late"]
    assert "type late" in player.prompts[0]


def test_reasoning_comes_back_in_every_form():
    player = Player(VOCABULARY, called("functions.add", '{"a":1}', "Adding."), answer(), endless=True)
    with serving(player) as client:
        fields = {"tools": [ADD], "store": False, "include": ["reasoning.encrypted_content"]}
        (first,) = conversation(client, fields)
        thought, call = first["output"]
        # Another id: nothing is to be found in the server's own memory.
        call = {**call, "call_id": "call_other"}
        user = {"role": "user", "content": "Hello"}

        def sent_back(form: dict[str, Any]) -> list[str]:
            body = {**HELLO, "input": [user, form, call, RESULT], "tools": [ADD]}
            return judged(client.post(URL, json=body).json())["ossia"]["passed_over"]

        forms = [
            {"type": "reasoning", "summary": [], "content": thought["content"], "encrypted_content": None},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": thought["encrypted_content"]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Adding."}]},
        ]
        assert [sent_back(form) for form in forms] == [[], [], []]
        foreign = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABo"}
        assert sent_back(foreign) == ["input[1].encrypted_content"]
    for prompt in player.prompts[1:4]:
        assert "<|channel|>analysis<|message|>Adding.<|end|>" in prompt
    assert "Adding." not in player.prompts[4]
