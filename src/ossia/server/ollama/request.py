"""What a client of Ollama sends to /api/chat and /api/generate. Source: Ollama's docs/api.md."""

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ossia.server.ask import Ask, Called, Item, Replied, Returned, Spoken, Thought
from ossia.server.body import convert
from ossia.server.chat.tools import offered
from ossia.server.effort import resolve_effort
from ossia.server.faults import RefusedError
from ossia.server.ollama.options import PATHS, options_of, sampling_of
from ossia.server.sampling import reasoning_limit
from ossia.server.structure import Form, checked_name, free_form, json_form, schema_form, unknown_keys

__all__ = ["ChatRequest", "GenerateRequest", "ask_of_chat", "ask_of_generate", "sampling", "unheeded"]


class CalledFunction(Struct):
    name: str
    arguments: dict[str, Any]
    index: Any = None  # its place among the calls


class ToolCall(Struct):
    function: CalledFunction
    id: str | None = None
    type: Any = None  # OpenAI's clients put it there; there is one


class Message(Struct, forbid_unknown_fields=True, kw_only=True):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[Any] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Request(Struct, forbid_unknown_fields=True, kw_only=True):
    """What both have."""

    model: str
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    grammar: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    keep_alive: float | str | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None
    max_reasoning_tokens: int | None = None


class ChatRequest(_Request, kw_only=True):
    """The body of POST /api/chat."""

    messages: list[Message] | None = None
    tools: list[dict[str, Any]] | None = None


class GenerateRequest(_Request, kw_only=True):
    """The body of POST /api/generate."""

    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    images: list[Any] | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None


def ask_of_chat(body: ChatRequest) -> Ask:
    """What a chat asks for. Raises RequestError, with the field at fault, for what cannot be honoured."""
    tools, declined = offered([{"type": "function"} | tool for tool in body.tools or []])
    passed_over: list[str] = []
    items = tuple(_items(body.messages or [], passed_over))
    return _ask(body, items, passed_over, tools=tools, declined=declined)


def ask_of_generate(body: GenerateRequest) -> Ask:
    """What a prompt asks for, which is a conversation of one message. Raises RequestError likewise."""
    for name in ("suffix", "template", "context", "images", "width", "height", "steps"):
        if getattr(body, name):
            raise RefusedError(
                f"{name} is not supported; /api/chat with messages is right", param=name, code="unsupported"
            )
    system = (Spoken("system", body.system),) if body.system else ()
    return _ask(body, (*system, Spoken("user", body.prompt or "")), [])


def sampling(body: _Request) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of SamplingParams, and the stop strings."""
    wanted, stops = sampling_of(options_of(body.options))
    if body.top_logprobs is not None and not body.logprobs:
        raise RefusedError("top_logprobs is given and logprobs is not true; both are right", param="top_logprobs")
    return wanted | ({"logprobs": body.top_logprobs or 0} if body.logprobs else {}), stops


def _ask(body: _Request, items: tuple[Item, ...], passed_over: list[str], **more: Any) -> Ask:
    wanted, stops = sampling(body)
    form = free_form(body.grammar, _form(body.format), "format")
    return Ask(
        items=items,
        effort=resolve_effort({"think": body.think}),
        answer=form.answer,
        formats=form.formats,
        grammar=form.grammar,
        sampling=wanted,
        passed_over=(*passed_over, *unheeded(body)),
        stop=stops,
        max_reasoning_tokens=reasoning_limit({"max_reasoning_tokens": body.max_reasoning_tokens})[0],
        paths=PATHS | {"prompt": "messages" if isinstance(body, ChatRequest) else "prompt", "answer": form.path},
        # Both say that a conversation that is too long may lose its beginning; Ollama does so unless told.
        truncate=bool(body.truncate),
        **more,
    )


def unheeded(body: _Request) -> list[str]:
    """What is taken and changes nothing, said because it would elsewhere: a context smaller than the model's."""
    asked = (body.options or {}).get("num_ctx")
    return [] if asked is None else [f"options.num_ctx: {asked}; a request may have all of the model's context"]


def _form(given: str | dict[str, Any] | None) -> Form:
    if given in (None, ""):
        return Form()
    if given == "json":
        return json_form()
    if isinstance(given, dict):
        return schema_form("answer", given, "format")
    raise RefusedError(f"format is {given!r:.80}; json, or a JSON Schema, is right", param="format")


def _items(messages: list[Message], passed_over: list[str]) -> Iterator[Item]:
    for place, message in enumerate(messages):
        path = f"messages[{place}]"
        if message.images:
            raise RefusedError(f"{path} has images; these models read text only", param=f"{path}.images")
        match message.role:
            case "system" | "developer" | "user" as role:
                yield Spoken(role, message.content or "")
            case "assistant":
                yield from _assistant(message, path, passed_over)
            case "tool":
                name = message.tool_name and checked_name(message.tool_name, f"{path}.tool_name")
                yield Returned(message.tool_call_id, message.content or "", name, f"{path}.tool_call_id")
            case role:
                right = "system, user, assistant and tool are"
                raise RefusedError(f"{path}.role is {role!r:.40}; {right} right", param=f"{path}.role")


def _assistant(message: Message, path: str, passed_over: list[str]) -> Iterator[Item]:
    if message.thinking:
        yield Thought(message.thinking)
    if message.content:
        yield Replied(message.content)
    for place, given in enumerate(message.tool_calls or []):
        where = f"{path}.tool_calls[{place}]"
        call: ToolCall = convert(given, ToolCall, where)
        passed_over += unknown_keys(given, ToolCall, where)
        name = checked_name(call.function.name, f"{where}.function.name")
        arguments = json.dumps(call.function.arguments, ensure_ascii=False)
        yield Called(call.id, f"functions.{name}", arguments, path=f"{where}.id")
