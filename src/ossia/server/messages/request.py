"""What a client of Anthropic's Messages sends.

Source: Anthropic's API reference, "Create a Message". Fields of its beta that ask for what is not done here are refused
by name; hints that change no answer are taken and passed over, which their comment says.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from ossia.harmony import Effort
from ossia.server.ask import Ask, Called, Item, Replied, Returned, Spoken, Thought, Tool
from ossia.server.body import convert
from ossia.server.effort import resolve_effort
from ossia.server.faults import RefusedError
from ossia.server.sampling import stop_strings
from ossia.server.structure import Form, checked_name, choice_of, free_form, known_tools, schema_form

__all__ = ["CountRequest", "MessagesRequest", "ask_of", "shows_thinking"]

Block = dict[str, Any]


class Message(Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[Block]


class Text(Struct, tag="text", forbid_unknown_fields=True):
    text: str
    cache_control: Any = None  # a hint for caches that are told what to keep; ours finds it
    citations: Any = None  # of an answer that is sent back


class Thinking(Struct, tag="thinking", forbid_unknown_fields=True):
    thinking: str
    signature: str | None = None  # proves to another server that it wrote this; here nothing hangs on it


class RedactedThinking(Struct, tag="redacted_thinking"):
    data: str


class ToolUse(Struct, tag="tool_use", forbid_unknown_fields=True):
    id: str
    name: str
    input: dict[str, Any]
    cache_control: Any = None
    caller: Any = None  # who called, where that is not the model itself
    toolset_name: str | None = None


class ToolResult(Struct, tag="tool_result", forbid_unknown_fields=True):
    tool_use_id: str
    content: str | list[Block] | None = None
    is_error: bool | None = None
    cache_control: Any = None


class ThinkingConfig(Struct, forbid_unknown_fields=True):
    """`display` "omitted" keeps the text from the answer, "summarized" gives all of it: there is no summary here."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class ToolChoice(Struct, forbid_unknown_fields=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputFormat(Struct, forbid_unknown_fields=True):
    type: str
    schema: dict[str, Any]


class OutputConfig(Struct, forbid_unknown_fields=True):
    effort: str | None = None
    format: OutputFormat | None = None


class CustomTool(Struct, forbid_unknown_fields=True):
    name: str
    input_schema: dict[str, Any]
    type: str | None = None
    description: str | None = None
    strict: bool | None = None
    # Hints that change no answer here.
    cache_control: Any = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    input_examples: Any = None
    allowed_callers: Any = None


class CountRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/messages/count_tokens."""

    model: str
    messages: list[Message]
    system: str | list[Block] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    grammar: str | dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    # Taken and passed over: the answer is the same without them.
    cache_control: Any = None
    metadata: Any = None
    user_profile_id: str | None = None
    workspace_id: str | None = None
    inference_geo: str | None = None
    betas: list[str] | None = None
    diagnostics: Any = None
    # Refused when they ask for something.
    service_tier: str | None = None
    speed: str | None = None
    container: Any = None
    context_management: Any = None
    compaction: Any = None
    mcp_servers: list[Any] | None = None
    fallbacks: Any = None
    fallback_credit_token: Any = None
    billing_policy: Any = None
    thread: Any = None


class MessagesRequest(CountRequest, kw_only=True):
    """The body of POST /v1/messages."""

    max_tokens: int
    stream: bool | None = None


def ask_of(body: CountRequest) -> Ask:
    """What the request asks for. Raises RequestError, with the field at fault, for what cannot be honoured."""
    _refuse_what_is_not_here(body)
    tools, declined = _offered(body.tools or [])
    config = body.output_config or OutputConfig()
    form = free_form(body.grammar, _form(config.format), "output_config.format")
    redacted: list[str] = []
    items = tuple(_items(body.messages, redacted))
    if not items:
        raise RefusedError("nothing is said in messages; at least one that is not empty is right", param="messages")
    return Ask(
        items=items,
        instructions=_system(body.system),
        effort=_effort(body.thinking, config),
        tools=tools,
        choice=_choice(body.tool_choice, tools),
        parallel=not (body.tool_choice and body.tool_choice.disable_parallel_tool_use),
        answer=form.answer,
        formats=form.formats,
        grammar=form.grammar,
        sampling=_sampling(body),
        stop=stop_strings(body.stop_sequences, "stop_sequences"),
        max_reasoning_tokens=_budget(body),
        declined=(*declined, *redacted),
        paths={"prompt": "messages", "answer": form.path, "max_reasoning_tokens": "thinking.budget_tokens"},
    )


def shows_thinking(body: CountRequest) -> bool:
    """Whether the reasoning is part of the answer: only for clients that asked, since others expect text first."""
    thinking = body.thinking
    return thinking is not None and thinking.type in ("enabled", "adaptive") and thinking.display != "omitted"


def _refuse_what_is_not_here(body: CountRequest) -> None:
    for name in (
        "container", "context_management", "compaction", "mcp_servers", "fallbacks", "fallback_credit_token",
        "billing_policy", "thread",
    ):  # fmt: skip
        if getattr(body, name):
            raise RefusedError(
                f"{name} is not supported; a request without it is right", param=name, code="unsupported"
            )
    for name, neutral in (("service_tier", ("auto", "standard_only")), ("speed", ("standard",))):
        if getattr(body, name) not in (None, *neutral):
            raise RefusedError(f"{name} is {getattr(body, name)!r:.40}; {neutral[0]} is right", param=name)
    if not body.messages:
        raise RefusedError("messages is empty; at least one message is right", param="messages")


def _system(system: str | list[Block] | None) -> str | None:
    if system is None or isinstance(system, str):
        return system or None
    return "\n\n".join(convert(block, Text, f"system[{place}]").text for place, block in enumerate(system)) or None


def _items(messages: Sequence[Message], redacted: list[str]) -> Iterator[Item]:
    for place, message in enumerate(messages):
        path = f"messages[{place}]"
        blocks = [{"type": "text", "text": message.content}] if isinstance(message.content, str) else message.content
        for index, block in enumerate(blocks):
            where = f"{path}.content[{index}]"
            match message.role:
                case "user":
                    yield _from_user(block, where)
                case "assistant":
                    yield from _from_assistant(block, where, redacted)
                case "system":
                    yield Spoken("system", convert(block, Text, where).text)
                case role:
                    raise RefusedError(f"{path}.role is {role!r:.40}; user or assistant is right", param=f"{path}.role")


def _from_user(block: Block, where: str) -> Item:
    match block.get("type"):
        case "text":
            return Spoken("user", convert(block, Text, where).text)
        case "tool_result":
            result: ToolResult = convert(block, ToolResult, where)
            text = _result_text(result, where)
            told = f"Error: {text}" if result.is_error else text
            return Returned(result.tool_use_id, told, path=f"{where}.tool_use_id")
        case kind:
            raise _no_block(kind, where, "text or tool_result")


def _from_assistant(block: Block, where: str, redacted: list[str]) -> Iterator[Item]:
    match block.get("type"):
        case "text":
            text = convert(block, Text, where).text
            yield from [Replied(text)] if text else []
        case "thinking":
            thought = convert(block, Thinking, where).thinking
            yield from [Thought(thought)] if thought else []
        case "redacted_thinking":
            redacted.append(f"{where}: redacted_thinking, which only its writer can read")
        case "tool_use":
            use: ToolUse = convert(block, ToolUse, where)
            name = checked_name(use.name, f"{where}.name")
            yield Called(use.id, f"functions.{name}", json.dumps(use.input, ensure_ascii=False), path=f"{where}.id")
        case kind:
            raise _no_block(kind, where, "text, thinking, redacted_thinking or tool_use")


def _no_block(kind: object, where: str, right: str) -> RefusedError:
    if kind is None:
        return RefusedError(
            f"the field '{where}.type' is missing; {right} is right", param=f"{where}.type", code="missing_field"
        )
    said = f"{where}.type is {kind!r:.40}; {right} is right, and these models read text only"
    return RefusedError(said, param=f"{where}.type")


def _result_text(result: ToolResult, where: str) -> str:
    if result.content is None or isinstance(result.content, str):
        return result.content or ""
    texts = []
    for place, block in enumerate(result.content):
        if block.get("type") != "text":
            raise _no_block(block.get("type"), f"{where}.content[{place}]", "text")
        texts.append(convert(block, Text, f"{where}.content[{place}]").text)
    return "\n\n".join(texts)


def _offered(tools: Sequence[dict[str, Any]]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    found: list[Tool] = []
    declined: list[str] = []
    for place, given in enumerate(tools):
        if given.get("type") not in (None, "custom"):
            declined.append(f"tools[{place}]: {given['type']!s:.60}")
            continue
        tool: CustomTool = convert(given, CustomTool, f"tools[{place}]")
        found.append(
            Tool(
                name=checked_name(tool.name, f"tools[{place}].name"),
                description=tool.description or "",
                parameters=tool.input_schema,
                strict=bool(tool.strict),
                path=f"tools[{place}].input_schema",
            )
        )
    return known_tools(found), tuple(declined)


def _choice(given: ToolChoice | None, tools: Sequence[Tool]) -> str:
    match given:
        case None | ToolChoice("auto"):
            return "auto"
        case ToolChoice("any"):
            return "required"
        case ToolChoice("none"):
            return "none"
        case ToolChoice("tool", str(name)):
            return choice_of(name, "tool_choice.name", tools)
        case _:
            if given.type == "tool":
                words = "the field 'tool_choice.name' is missing"
                raise RefusedError(words, param="tool_choice.name", code="missing_field")
            found = f"tool_choice.type is {given.type!r:.40}"
            raise RefusedError(f"{found}; auto, any, none or tool is right", param="tool_choice.type")


def _effort(thinking: ThinkingConfig | None, config: OutputConfig) -> Effort | None:
    if thinking is not None and thinking.type not in ("enabled", "adaptive", "disabled"):
        right = "enabled, adaptive or disabled"
        raise RefusedError(f"thinking.type is {thinking.type!r:.40}; {right} is right", param="thinking.type")
    off = thinking is not None and thinking.type == "disabled"
    return Effort.NONE if off else resolve_effort({"output_config.effort": config.effort})


def _budget(body: CountRequest) -> int | None:
    budget = body.thinking.budget_tokens if body.thinking else None
    if budget is not None and budget < 1:
        raise RefusedError(f"thinking.budget_tokens is {budget}; at least 1 is right", param="thinking.budget_tokens")
    return budget


def _form(given: OutputFormat | None) -> Form:
    if given is None:
        return Form()
    if given.type != "json_schema":
        found = f"output_config.format.type is {given.type!r:.40}"
        raise RefusedError(f"{found}; json_schema is right", param="output_config.format.type")
    return schema_form("answer", given.schema, "output_config.format.schema")


def _sampling(body: CountRequest) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "max_tokens")
    return {name: value for name in names if (value := getattr(body, name, None)) is not None}
