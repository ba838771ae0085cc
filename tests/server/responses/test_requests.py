"""Fields: what is refused by its name, what is taken, what null means."""

import typing
from typing import Any

import pytest
from openai.types.responses import InputTokenCountParams, ResponseIncludable
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from ossia.server.responses.requests import INCLUDABLE, CountRequest, CreateRequest
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import (
    ADD,
    HELLO,
    URL,
    answer,
    ask,
    serving,
)

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
    ({"max_output_tokens": 2**31}, "max_output_tokens"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"max_reasoning_tokens": -1}, "max_reasoning_tokens"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"stop": [""]}, "stop[0]"),
    ({"grammar": {"type": "poem"}}, "grammar.type"),
    ({"grammar": {"type": "regex", "pattern": "a"}, "text": {"format": {"type": "json_object"}}}, "grammar"),
    ({"input": []}, "input"),
    ({"input": ""}, "input"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "none"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
    ({"tool_choice": {"type": "function", "name": "add", "x": 1}, "tools": [ADD]}, "tool_choice.x"),
    ({"tools": [{"name": "f", "parameters": {}}]}, "tools[0].type"),
    ({"input": [{"content": "x"}]}, "input[0].type"),
    ({"stream_options": {}, "stream": False}, "stream_options"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"tools": [ADD, ADD]}, "tools[1]"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{**ADD, "name": "a.b"}]}, "tools[0].name"),
    ({"tools": [{**ADD, "colour": "red"}]}, "tools[0].colour"),
    ({"frequency": 1}, "frequency"),
    ({"input": [{"type": "message", "role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_is_not_done_is_refused_by_name(fields: dict[str, Any], param: str):
    with serving(Player(VOCABULARY)) as client:
        for streamed in (False, True):
            response = client.post(URL, json={**HELLO, "stream": streamed, **fields})
            error = response.json()["error"]
            assert response.status_code in (400, 404), error
            assert error["param"] == param, error
            assert error["message"]
            assert error["code"]


def test_null_means_absent():
    fields = dict.fromkeys(CreateRequest.__struct_fields__)
    assert ask(answer(), **{**fields, **HELLO})["status"] == "completed"


def test_what_changes_nothing_is_taken_and_repeated():
    same = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "metadata": {"a": "b"}, "max_tool_calls": 3}
    body = ask(answer(), **same, prompt_cache_retention="24h", service_tier="auto", stream_options=None)
    assert {name: body[name] for name in same} == same


def test_every_field_that_the_openai_package_can_send_is_declared():
    sent = set(typing.get_type_hints(ResponseCreateParamsStreaming))
    assert sent - set(CreateRequest.__struct_fields__) == set()
    counted = set(typing.get_type_hints(InputTokenCountParams))
    assert counted - set(CountRequest.__struct_fields__) == set()


def test_every_value_of_include_is_known():
    assert set(typing.get_args(ResponseIncludable)) == INCLUDABLE
