"""A conversation as the tokens that the model reads, byte for byte as openai-harmony writes them.

Text is encoded as ordinary tokens, so nothing that a user or a tool says becomes a control token.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ossia.errors import ConversationError
from ossia.harmony.faithful import to_faithful_typescript
from ossia.harmony.messages import (
    FUNCTIONS,
    Content,
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    ResponseFormat,
    SystemContent,
    ToolNamespace,
)
from ossia.harmony.typescript import to_json_text, to_typescript
from ossia.harmony.vocabulary import Vocabulary

__all__ = ["Purpose", "drop_finished_analysis", "render"]

Purpose = Literal["completion", "conversation", "training"]

CONSTRAIN = "<|constrain|>"


def render(
    conversation: Conversation,
    vocabulary: Vocabulary,
    *,
    as_: Purpose = "completion",
    drop_analysis: bool = True,
    faithful: bool = False,
) -> list[int]:
    """The ids of the conversation.

    `completion` ends with the beginning of the assistant's next message, and with an empty analysis before it when the
    effort is NONE; `conversation` ends with the last message; `training` closes a last final with `<|return|>`.
    `drop_analysis` leaves out the analysis of finished turns. `faithful` renders schemas in full, also where
    openai-harmony writes `any`. Raises ConversationError when a content is in the wrong role's message, a tool's
    message has no name, or a schema is not JSON.
    """
    if as_ not in ("completion", "conversation", "training"):
        raise ConversationError(f"as_ would be completion, conversation or training, found {as_!r}")
    renderer = _Renderer(vocabulary, conversation.messages, faithful)
    messages = drop_finished_analysis(conversation.messages) if drop_analysis else conversation.messages
    ids = [identifier for message in messages for identifier in renderer.message(message)]
    if as_ == "training" and messages and _is_final(messages[-1]):
        ids[-1] = vocabulary.return_
    if as_ == "completion":
        ids += renderer.invitation(_effort(conversation))
    return ids


def drop_finished_analysis(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages without the analysis of finished turns.

    A turn is finished when a user's message follows its final; so is a conversation's first, with its final. The
    analysis of a turn whose tools are still being called stays. (openai-harmony drops only what precedes the first
    final, and only when the last of the assistant's messages is a final.)
    """
    finals = [index for index, message in enumerate(messages) if message.channel == "final"]
    last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=0)
    finished = [index for index in finals if index < last_user]
    spoken = [message for message in messages if message.role == "assistant"]
    if not finished and spoken and spoken[-1].channel == "final":
        finished = finals[:1]
    end = finished[-1] if finished else 0
    return [message for index, message in enumerate(messages) if index >= end or message.channel != "analysis"]


class _Renderer:
    """What the rendering of one message needs to know of the rest."""

    def __init__(self, vocabulary: Vocabulary, messages: Sequence[Message], faithful: bool) -> None:
        self._vocabulary = vocabulary
        self._faithful = faithful
        contents = [content for message in messages for content in message.contents]
        self._has_functions = any(isinstance(part, DeveloperContent) and part.has_functions for part in contents)

    def message(self, message: Message) -> Iterator[int]:
        v = self._vocabulary
        yield v.start
        if message.tokens is not None:
            yield from v.encode(message.role)
            yield from self._spliced(message, message.tokens)
            return
        yield from self._header(message)
        yield v.message
        for content in message.contents:
            yield from v.encode(self._text(content, message))
        yield self._closing(message)

    def invitation(self, effort: Effort | None) -> list[int]:
        v = self._vocabulary
        assistant = [v.start, *v.encode("assistant")]
        if effort is not Effort.NONE:
            return assistant
        return [*assistant, v.channel, *v.encode("analysis"), v.message, v.end, *assistant]

    def _spliced(self, message: Message, tokens: tuple[int, ...]) -> Iterator[int]:
        v = self._vocabulary
        closed = bool(tokens) and tokens[-1] in (v.end, v.call, v.return_)
        yield from tokens[:-1] if closed else tokens
        # `<|return|>` tells the sampler to stop; in a history the same message ends like any other.
        yield v.call if closed and tokens[-1] == v.call else v.end if closed else self._closing(message)

    def _header(self, message: Message) -> Iterator[int]:
        encode = self._vocabulary.encode
        # Each part is encoded by itself, or a merge across their border would give other ids.
        if message.role == "tool":
            if message.name is None:
                raise ConversationError("name: a tool's message needs the tool's full name, such as functions.add")
            yield from encode(message.name)
        else:
            yield from encode(message.role)
            yield from encode(f":{message.name}") if message.name is not None else ()
        if message.recipient is not None and message.recipient != "all":
            yield from encode(f" to={message.recipient}")
        if message.channel is not None:
            yield self._vocabulary.channel
            yield from encode(message.channel)
        if message.content_type is not None:
            yield from self._content_type(message.content_type)

    def _content_type(self, content_type: str) -> Iterator[int]:
        encode = self._vocabulary.encode
        if content_type.startswith(CONSTRAIN):
            yield from encode(" ")
            yield self._vocabulary.constrain
            yield from encode(content_type.removeprefix(CONSTRAIN))
        else:
            yield from encode(f" {content_type}")

    def _closing(self, message: Message) -> int:
        is_call = message.role == "assistant" and message.recipient is not None
        return self._vocabulary.call if is_call else self._vocabulary.end

    def _text(self, content: Content, message: Message) -> str:
        match content:
            case str():
                return content
            case SystemContent() if message.role == "system":
                return _system(content, self._has_functions, self._faithful)
            case DeveloperContent() if message.role == "developer":
                return _developer(content, self._faithful)
            case _:
                raise ConversationError(
                    f"content: {type(content).__name__} may not stand in the {message.role}'s message"
                )


def _system(content: SystemContent, has_functions: bool, faithful: bool) -> str:
    top = {
        "": content.model_identity,
        "Knowledge cutoff: ": content.knowledge_cutoff,
        "Current date: ": content.conversation_start_date,
    }
    lines = [f"{label}{value}" for label, value in top.items() if value is not None]
    sections = ["\n".join(lines)] if lines else []
    if content.reasoning_effort is not None:
        # The models know three levels. NONE is the lowest of them, and an empty analysis (see `render`).
        level = Effort.LOW if content.reasoning_effort is Effort.NONE else content.reasoning_effort
        sections.append(f"Reasoning: {level.value}")
    if content.tools:
        sections.append(_tools(content.tools, faithful))
    if content.channels:
        sections.append(_channels(content, has_functions))
    return "\n\n".join(sections)


def _channels(content: SystemContent, has_functions: bool) -> str:
    text = f"# Valid channels: {', '.join(content.channels)}."
    if content.channel_required:
        text += " Channel must be included for every message."
    if has_functions:
        text += f"\nCalls to these tools must go to the commentary channel: '{FUNCTIONS}'."
    return text


def _developer(content: DeveloperContent, faithful: bool) -> str:
    sections = [] if content.instructions is None else ["# Instructions", content.instructions]
    if content.tools:
        sections.append(_tools(content.tools, faithful))
    if content.response_formats:
        sections += ["# Response Formats", *map(_response_format, content.response_formats)]
    return "\n\n".join(sections)


def _response_format(response: ResponseFormat) -> str:
    """Source: openai/harmony, docs/format.md, "Structured output"; its library leaves this section to the caller."""
    description = [f"// {line}" for line in _lines(response.description or "")]
    return "\n".join([f"## {response.name}\n", *description, to_json_text(response.schema)])


def _tools(namespaces: Mapping[str, ToolNamespace], faithful: bool) -> str:
    return "\n\n".join(["# Tools", *("\n".join(_namespace(namespaces[key], faithful)) for key in sorted(namespaces))])


def _namespace(namespace: ToolNamespace, faithful: bool) -> Iterator[str]:
    yield f"## {namespace.name}\n"
    sign = "// " if namespace.tools else ""
    yield from (f"{sign}{line}" for line in _lines(namespace.description or ""))
    if not namespace.tools:
        return
    yield f"namespace {namespace.name} {{\n"
    for tool in namespace.tools:
        yield from (f"// {line}" for line in _lines(tool.description))
        parameters = "" if tool.parameters is None else f"_: {_type(tool.parameters, faithful)}"
        yield f"type {tool.name} = ({parameters}) => any;\n"
    yield f"}} // namespace {namespace.name}"


def _type(schema: Mapping[str, object], faithful: bool) -> str:
    return to_faithful_typescript(schema) if faithful else to_typescript(schema)


def _lines(text: str) -> list[str]:
    """The lines of a text, each ended by a line feed, with or without a carriage return before it."""
    *ended, last = text.split("\n")
    return [line.removesuffix("\r") for line in ended] + ([last] if last else [])


def _is_final(message: Message) -> bool:
    return message.role == "assistant" and message.channel == "final"


def _effort(conversation: Conversation) -> Effort | None:
    """The effort that the last system content asks for."""
    contents = [content for message in conversation.messages for content in message.contents]
    efforts = [content.reasoning_effort for content in contents if isinstance(content, SystemContent)]
    return efforts[-1] if efforts else None
