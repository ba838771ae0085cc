"""What is at fault is named by the request's own field, whichever part of the server finds it."""

import re
from collections.abc import AsyncGenerator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ossia.engine import Engine, EngineConfig, Output
from ossia.loading import load_weights
from ossia.server.app import ENDPOINTS
from tests.cli.tiny import CONFIG, VOCABULARY, write_tiny
from tests.grammar.walks import compiler
from tests.server.playing import Player
from tests.server.serving import client_for, service_for

ASKED = [{"role": "user", "content": "2 + 2?"}]
UNIQUE = {"type": "object", "properties": {"l": {"type": "array", "uniqueItems": True}}}
NOWHERE = {"type": "object", "properties": {"l": {"$ref": "#/nowhere"}}}


@cache
def engine() -> Engine:
    with TemporaryDirectory() as folder:
        model = load_weights(str(write_tiny(Path(folder) / "tiny")), backend="reference").model
    return Engine(model, EngineConfig(context=CONFIG.max_position_embeddings), compiler(VOCABULARY).compile)


class Checked(Player):
    """Plays, but refuses what a real engine refuses."""

    context = CONFIG.max_position_embeddings

    async def generate(self, wanted: Any) -> AsyncGenerator[Output, None]:
        engine().cancel(engine().add(wanted.prompt, wanted.params, grammar=wanted.grammar))
        async for output in super().generate(wanted):
            yield output


def refusal(path: str, body: dict[str, Any]) -> tuple[str | None, str]:
    """The field at fault, and the message."""
    player = Checked(VOCABULARY, "<|channel|>final<|message|>4<|return|>", endless=True)
    response = client_for(service_for(player), ENDPOINTS).post(path, json={"model": "tiny"} | body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    if isinstance(error, str):
        return None, error
    return error.get("param"), error["message"]


def chat_tool(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **more}}


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


OTHER = {"type": "function", "function": {"name": "other"}}
LARK = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
LOST = [*ASKED, {"role": "tool", "tool_call_id": "lost", "content": "4"}]
LONG = [{"role": "user", "content": "one two " * 400}]

CHAT: list[tuple[dict[str, Any], str, str]] = [
    (
        {"response_format": schema_format(UNIQUE)},
        "response_format.json_schema.schema",
        "'uniqueItems' at /properties/l",
    ),
    ({"response_format": schema_format(NOWHERE)}, "response_format.json_schema.schema", r"'\$ref' at /properties/l"),
    ({"tools": [OTHER, chat_tool(UNIQUE, strict=True)]}, "tools[1].function.parameters", "'uniqueItems'"),
    ({"tools": [OTHER, chat_tool({"type": "string"})]}, "tools[1].function.parameters", "an object is right"),
    ({"tools": [chat_tool(NOWHERE)]}, "tools[0].function.parameters", "leads nowhere"),
    (
        {"tools": [{"type": "custom", "custom": {"name": "c", "format": LARK}}]},
        "tools[0].custom.format.grammar.definition",
        "the grammar of functions.c",
    ),
    ({"grammar": {"type": "regex", "pattern": "("}}, "grammar.pattern", "cannot be guaranteed"),
    ({"grammar": {"type": "choice", "values": []}}, "grammar.values", "there are 0 values"),
    ({"grammar": {"type": "lark", "source": "start: <x>"}}, "grammar.source", "only text"),
    ({"grammar": "off", "tools": [OTHER], "tool_choice": "required"}, "grammar", "only a grammar guarantees"),
    ({"max_completion_tokens": 0}, "max_completion_tokens", "max_completion_tokens is 0; an integer from 1"),
    ({"max_tokens": -3}, "max_tokens", "max_tokens is -3; an integer from 1"),
    ({"max_completion_tokens": 10_000}, "max_completion_tokens", "the answer may take 10000 more"),
    ({"messages": LONG}, "messages", r"the prompt has \d+ tokens"),
    ({"logprobs": True, "top_logprobs": -1}, "top_logprobs", "top_logprobs is -1; an integer from 0"),
    ({"logprobs": True, "top_logprobs": 5000}, "top_logprobs", "top_logprobs is 5000; at most the vocabulary's size"),
    ({"messages": LOST}, r"messages[1].tool_call_id", "for 'lost', and no call before it is"),
    ({"logit_bias": {"5000": 1}}, "logit_bias", "logit_bias has 5000, which is no token; ids from 0"),
    ({"logit_bias": {"5": 1e9}}, "logit_bias", "logit_bias of token 5 is 1000000000.0; a number from"),
    ({"top_p": 0}, "top_p", "top_p is 0, which leaves no token"),
    ({"temperature": -1}, "temperature", "temperature is -1.0; a number from 0 to 100"),
    ({"max_reasoning_tokens": -1}, "max_reasoning_tokens", "max_reasoning_tokens is -1; a whole number from 0 on"),
    ({"reasoning": {"max_tokens": -1}}, "reasoning.max_tokens", "reasoning.max_tokens is -1; a whole number"),
    ({"reasoning": {"max_tokens": 2}, "max_reasoning_tokens": 3}, "max_reasoning_tokens", "is 3 and reasoning.max_"),
    ({"stop": [""]}, "stop[0]", r'stop\[0\] is ""; a string of at least one character'),
    ({"stop": ""}, "stop", 'stop is ""; a string'),
    ({"stop": ["a"] * 17}, "stop", "stop has 17 strings; at most 16"),
]


@pytest.mark.parametrize(("fields", "param", "words"), CHAT)
def test_chat_completions(fields: dict[str, Any], param: str, words: str):
    found, message = refusal("/v1/chat/completions", {"messages": ASKED} | fields)
    assert found == param, message
    assert re.search(words, message), message


RESPONSES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": UNIQUE}}},
        "text.format.schema",
        "'uniqueItems'",
    ),
    (
        {"tools": [{"type": "function", "name": "f", "parameters": UNIQUE, "strict": True}]},
        "tools[0].parameters",
        "'uniqueItems' at /properties/l",
    ),
    (
        {
            "tools": [
                {
                    "type": "namespace",
                    "name": "n",
                    "tools": [{"type": "function", "name": "f", "parameters": UNIQUE, "strict": True}],
                }
            ]
        },
        "tools[0].tools[0].parameters",
        "'uniqueItems'",
    ),
    ({"max_output_tokens": 10_000}, "max_output_tokens", "the answer may take 10000 more"),
    ({"input": LONG}, "input", r"the prompt has \d+ tokens"),
    (
        {"input": [{"type": "function_call_output", "call_id": "lost", "output": "4"}]},
        "input[0].call_id",
        "for 'lost', and no call before it is",
    ),
    ({"top_p": 3}, "top_p", "top_p is 3.0; a number from 0 to 1"),
    ({"logit_bias": {"5000": 1}}, "logit_bias", "which is no token"),
    ({"max_reasoning_tokens": -1}, "max_reasoning_tokens", "a whole number from 0 on"),
]


@pytest.mark.parametrize(("fields", "param", "words"), RESPONSES)
@pytest.mark.parametrize("stream", [False, True])
def test_responses(fields: dict[str, Any], param: str, words: str, stream: bool):
    found, message = refusal("/v1/responses", {"input": "2 + 2?", "stream": stream} | fields)
    assert found == param, message
    assert re.search(words, message), message


COMPLETIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": [1, 5000]}, "prompt", r"prompt\[0\] has 5000, which is no token; ids from 0 to"),
    ({"prompt": [1, -1], "echo": True, "max_tokens": 0}, "prompt", "has -1, which is no token"),
    ({"prompt": [[1], [5000]]}, "prompt", r"prompt\[1\] has 5000"),
    ({"max_tokens": 10_000}, "max_tokens", "the answer may take 10000 more"),
    ({"prompt": [1] * 512}, "prompt", "the prompt has 512 tokens"),
    ({"stop_token_ids": [5000]}, "stop_token_ids", "stop_token_ids has 5000, which is no token"),
    ({"stop_token_ids": [-1]}, "stop_token_ids", "a token of stop_token_ids is -1"),
    ({"logprobs": 5000}, "logprobs", "logprobs is 5000; at most the vocabulary's size"),
    ({"logit_bias": {"5000": 1}}, "logit_bias", "logit_bias has 5000"),
    ({"min_p": 2}, "min_p", "min_p is 2.0; a number"),
]


@pytest.mark.parametrize(("fields", "param", "words"), COMPLETIONS)
@pytest.mark.parametrize("stream", [False, True])
def test_completions(fields: dict[str, Any], param: str, words: str, stream: bool):
    found, message = refusal("/v1/completions", {"prompt": "2 + 2 =", "stream": stream} | fields)
    assert found == param, message
    assert re.search(words, message), message


NAMELESS: list[tuple[str, dict[str, Any], str]] = [
    (
        "/v1/messages",
        {"output_config": {"format": {"type": "json_schema", "schema": UNIQUE}}},
        "output_config.format.schema: '",
    ),
    (
        "/v1/messages",
        {"tools": [{"name": "f", "input_schema": UNIQUE, "strict": True}]},
        r"tools\[0\].input_schema: 'uniq",
    ),
    ("/v1/messages", {"max_tokens": 0}, "max_tokens is 0; an integer from 1"),
    ("/v1/messages", {"messages": LONG}, r"messages: the prompt has \d+ tokens"),
    ("/v1/messages", {"stop_sequences": ["a", ""]}, r'stop_sequences\[1\] is ""'),
    (
        "/v1/messages",
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "lost"}]}]},
        r"messages\[0\].content\[0\].tool_use_id: a tool's result is for 'lost'",
    ),
    ("/api/chat", {"format": UNIQUE}, "format: 'uniqueItems' at /properties/l"),
    ("/api/chat", {"options": {"num_predict": 0}}, "options.num_predict is 0; -1 for no bound"),
    ("/api/chat", {"options": {"num_predict": 10_000}}, "options.num_predict: the prompt has"),
    ("/api/chat", {"options": {"top_p": 7}}, "options.top_p is 7.0; a number"),
    ("/api/chat", {"options": {"stop": [""]}}, r'options.stop\[0\] is ""'),
    ("/api/chat", {"messages": LONG}, "messages: the prompt has"),
    ("/api/chat", {"messages": LOST}, r"messages\[1\].tool_call_id: a tool's result is for 'lost'"),
    ("/api/chat", {"max_reasoning_tokens": -1}, "max_reasoning_tokens is -1; a whole number"),
    ("/api/chat", {"logprobs": True, "top_logprobs": -1}, "top_logprobs is -1; an integer"),
    ("/api/generate", {"raw": True, "options": {"num_predict": -7}}, "options.num_predict is -7"),
    ("/api/generate", {"raw": True, "options": {"temperature": -1}}, "options.temperature is -1.0; a number"),
    ("/api/generate", {"prompt": "one two " * 400}, "prompt: the prompt has|the prompt has"),
]


@pytest.mark.parametrize(("path", "fields", "words"), NAMELESS)
def test_where_the_shape_has_no_place_for_it_the_message_has(path: str, fields: dict[str, Any], words: str):
    asked: dict[str, Any] = {"prompt": "2 + 2?"} if path == "/api/generate" else {"messages": ASKED}
    more = {"max_tokens": 50} if path == "/v1/messages" else {}
    found, message = refusal(path, asked | more | fields)
    assert found is None
    assert re.search(words, message), message
