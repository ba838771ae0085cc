"""What a client of Chat Completions sends.

Every field that the openai SDK can send is declared. Those that ask for something that is not done here are refused by
name when they ask for it; those whose answer is the same without them are taken and passed over, which their comment
says. Source: OpenAI's API reference, "Create chat completion"; the extensions are ours or those that others have made
common (`reasoning`, `think`, `chat_template_kwargs`, `top_k`, `min_p`).
"""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from msgspec import Struct

from ossia.server.ask import Ask, Item, Replied, Returned, Spoken, Thought
from ossia.server.chat.tools import called, choice, offered
from ossia.server.effort import TemplateOptions, effort_of
from ossia.server.faults import RefusedError
from ossia.server.sampling import StreamOptions, biases, check_streaming, plain, reasoning_limit, stop_strings
from ossia.server.structure import Form, checked_name, free_form, json_form, schema_form

__all__ = ["ChatRequest", "ask_of"]

MOST_CHOICES = 32


class TextPart(Struct, tag="text", forbid_unknown_fields=True):
    text: str
    cache_control: Any = None  # a hint for caches that are told what to keep; ours finds it
    prompt_cache_breakpoint: Any = None  # the same


class RefusalPart(Struct, tag="refusal", forbid_unknown_fields=True):
    refusal: str


class ImagePart(Struct, tag="image_url"):
    refused: ClassVar[bool] = True


class AudioPart(Struct, tag="input_audio"):
    refused: ClassVar[bool] = True


class FilePart(Struct, tag="file"):
    refused: ClassVar[bool] = True


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart
Content = str | list[Part]


class SystemMessage(Struct, tag="system", tag_field="role", forbid_unknown_fields=True):
    content: Content
    name: str | None = None  # nothing in Harmony's instructions would show it


class DeveloperMessage(Struct, tag="developer", tag_field="role", forbid_unknown_fields=True):
    content: Content
    name: str | None = None  # as above


class UserMessage(Struct, tag="user", tag_field="role", forbid_unknown_fields=True):
    content: Content
    name: str | None = None


class AssistantMessage(Struct, tag="assistant", tag_field="role", forbid_unknown_fields=True):
    content: Content | None = None
    name: str | None = None  # the assistant has none in Harmony
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: Any = None
    audio: Any = None
    # What clients send back of the answer's own fields, and what the openai package adds to them.
    annotations: Any = None
    parsed: Any = None


class ToolMessage(Struct, tag="tool", tag_field="role", forbid_unknown_fields=True):
    content: Content
    tool_call_id: str
    name: str | None = None  # the call says it


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class Reasoning(Struct, forbid_unknown_fields=True):
    effort: str | None = None
    max_tokens: int | None = None


class JsonSchemaFormat(Struct, forbid_unknown_fields=True):
    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None  # the schema is held either way


class ResponseFormat(Struct, forbid_unknown_fields=True):
    type: str
    json_schema: JsonSchemaFormat | None = None


class ChatRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    grammar: str | dict[str, Any] | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    think: bool | str | None = None
    chat_template_kwargs: TemplateOptions | None = None
    max_reasoning_tokens: int | None = None
    metadata: dict[str, str] | None = None
    # Taken and passed over: the answer is the same without them.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    prediction: Any = None  # only makes it faster where it is used
    # Refused when they ask for something.
    store: bool | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: Any = None
    moderation: Any = None
    web_search_options: Any = None
    functions: Any = None
    function_call: Any = None


def ask_of(body: ChatRequest) -> Ask:
    """What the request asks for. Raises RequestError, with the field at fault, for what cannot be honoured."""
    _refuse_what_is_not_here(body)
    check_streaming(body.stream, body.stream_options)
    passed_over: list[str] = []
    tools, declined = offered(body.tools or [])
    form = free_form(body.grammar, _format(body.response_format), "response_format")
    picked, allowed = choice(body.tool_choice, tools)
    template = body.chat_template_kwargs or TemplateOptions()
    reasoning = {
        "max_reasoning_tokens": body.max_reasoning_tokens,
        "reasoning.max_tokens": body.reasoning and body.reasoning.max_tokens,
    }
    limit, limiting = reasoning_limit(reasoning)
    return Ask(
        items=tuple(_items(body.messages, passed_over)),
        effort=effort_of(body.reasoning and body.reasoning.effort, body.reasoning_effort, body.think, template),
        identity=template.model_identity,
        tools=tools,
        choice=picked,
        allowed=allowed,
        parallel=body.parallel_tool_calls is not False,
        answer=form.answer,
        formats=form.formats,
        grammar=form.grammar,
        sampling=_sampling(body),
        stop=stop_strings(body.stop),
        max_reasoning_tokens=limit,
        declined=declined,
        passed_over=tuple(passed_over),
        paths={
            "prompt": "messages",
            "answer": form.path,
            "max_tokens": "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens",
            "logprobs": "top_logprobs",
            "max_reasoning_tokens": limiting,
        },
    )


def _refuse_what_is_not_here(body: ChatRequest) -> None:
    wrong = {
        "store": (body.store, (None, False), "false is right here, and POST /v1/responses stores"),
        "service_tier": (body.service_tier, (None, "auto", "default"), "auto or default is right, there is one tier"),
        "verbosity": (body.verbosity, (None, "medium"), "medium is right, the models were not trained for another"),
        "modalities": (body.modalities, (None, ["text"]), '["text"] is right'),
        "n": (body.n, (None, *range(1, MOST_CHOICES + 1)), f"1 to {MOST_CHOICES} is right"),
    }
    for name, (value, right, words) in wrong.items():
        if value not in right:
            raise RefusedError(f"{name} is {json.dumps(value):.80}; {words}", param=name)
    if not body.model:
        raise RefusedError('model is ""; a model\'s name is right', param="model")
    for name, remedy in {
        "audio": "text is what these models write",
        "moderation": "no moderation runs here",
        "web_search_options": "a function of your own can search",
        "functions": "tools replaced it",
        "function_call": "tool_choice replaced it",
    }.items():
        if getattr(body, name) is not None:
            raise RefusedError(f"{name} is not supported: {remedy}", param=name, code="unsupported")


def _items(messages: list[Message], passed_over: list[str]) -> Iterator[Item]:
    if not messages:
        raise RefusedError("messages is empty; at least one message is right", param="messages")
    for place, message in enumerate(messages):
        path = f"messages[{place}]"
        match message:
            case SystemMessage(content):
                yield Spoken("system", _text(content, path))
            case DeveloperMessage(content):
                yield Spoken("developer", _text(content, path))
            case UserMessage(content, name):
                yield Spoken("user", _text(content, path), name and checked_name(name, f"{path}.name"))
            case ToolMessage():
                yield Returned(message.tool_call_id, _text(message.content, path), path=f"{path}.tool_call_id")
            case AssistantMessage() as said:
                yield from _assistant(said, path, passed_over)


def _assistant(message: AssistantMessage, path: str, passed_over: list[str]) -> Iterator[Item]:
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            raise RefusedError(f"{path}.{name} is not supported; text and tool_calls are", param=f"{path}.{name}")
    if message.reasoning and message.reasoning_content and message.reasoning != message.reasoning_content:
        raise RefusedError(f"{path} has two different reasonings; one is right", param=f"{path}.reasoning_content")
    if thought := message.reasoning or message.reasoning_content:
        yield Thought(thought)
    content = _text(message.content, path) if message.content else None
    for text in (content, message.refusal):
        if text:
            yield Replied(text)
    for place, call in enumerate(message.tool_calls or []):
        yield called(call, f"{path}.tool_calls[{place}]", passed_over)


def _text(content: Content, path: str) -> str:
    if isinstance(content, str):
        return content
    return "".join(_part(part, f"{path}.content[{place}]") for place, part in enumerate(content))


def _part(part: Part, path: str) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, RefusalPart):
        return part.refusal
    kind = type(part).__struct_config__.tag
    raise RefusedError(f"{path} is of type {kind}; these models read text only", param=path, code="unsupported")


def _format(given: ResponseFormat | None) -> Form:
    match given:
        case None | ResponseFormat("text", None):
            return Form()
        case ResponseFormat("json_object", None):
            return json_form()
        case ResponseFormat("json_schema", JsonSchemaFormat(name, schema, description)) if schema is not None:
            checked_name(name, "response_format.json_schema.name")
            return schema_form(name, schema, "response_format.json_schema.schema", description)
        case ResponseFormat("json_schema", inner):
            path = "response_format.json_schema" + ("" if inner is None else ".schema")
            raise RefusedError(f"the field {path!r} is missing", param=path, code="missing_field")
        case ResponseFormat("text" | "json_object" as kind):
            path = "response_format.json_schema"
            raise RefusedError(f"{path} is given, and the type is {kind!r}; 'json_schema' is right then", param=path)
        case _:
            path = "response_format.type"
            right = "text, json_object or json_schema"
            raise RefusedError(f"{path} is {given.type!r:.80}; {right} is right", param=path)


def _sampling(body: ChatRequest) -> dict[str, Any]:
    wanted = plain(body)
    if (limit := _limit(body)) is not None:
        wanted["max_tokens"] = limit
    if body.logit_bias:
        wanted["logit_bias"] = biases(body.logit_bias)
    if body.top_logprobs is not None and not body.logprobs:
        raise RefusedError("top_logprobs is given and logprobs is not true; both are right", param="top_logprobs")
    if body.logprobs:
        wanted["logprobs"] = body.top_logprobs or 0
    return wanted


def _limit(body: ChatRequest) -> int | None:
    given = {body.max_completion_tokens, body.max_tokens} - {None}
    if len(given) > 1:
        raise RefusedError("max_tokens and max_completion_tokens differ; one of them is right", param="max_tokens")
    return given.pop() if given else None
