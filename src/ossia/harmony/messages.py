"""What a conversation is made of, and its JSON form, which is openai-harmony's own.

A field missing from the JSON has the default of the class; null means that there is none. `Effort.NONE` and
`response_formats` are our additions to the form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Self, cast, get_args

from ossia.errors import ConversationError
from ossia.harmony.fields import Fields
from ossia.json_words import MISSING, found

__all__ = [
    "FUNCTIONS",
    "Content",
    "Conversation",
    "DeveloperContent",
    "Effort",
    "Message",
    "ResponseFormat",
    "Role",
    "SystemContent",
    "Tool",
    "ToolNamespace",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)

FUNCTIONS = "functions"
"""The namespace of the tools that the developer defines; calls to them go to the commentary channel."""

IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
KNOWLEDGE_CUTOFF = "2024-06"
CHANNELS = ("analysis", "commentary", "final")


class Effort(StrEnum):
    """How long the model reasons. NONE lets it answer at once: the prompt goes on with an empty analysis."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True)
class Tool:
    """One function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, object] | None = None

    @classmethod
    def from_json(cls, value: object, path: str) -> Self:
        """The tool at `path`. Raises ConversationError."""
        fields = Fields(value, path)
        tool = cls(fields.text("name"), fields.text("description"), fields.mapping("parameters"))
        fields.end()
        return tool

    def to_json(self) -> Mapping[str, object]:
        """The tool in JSON form."""
        return {"name": self.name, "description": self.description, "parameters": self.parameters}


@dataclass(frozen=True)
class ToolNamespace:
    """Tools that share a prefix, such as `functions.`; without tools, a tool itself, such as `python`."""

    name: str
    description: str | None = None
    tools: tuple[Tool, ...] = ()

    @classmethod
    def from_json(cls, value: object, path: str) -> Self:
        """The namespace at `path`. Raises ConversationError."""
        fields = Fields(value, path)
        name, description = fields.text("name"), fields.optional_text("description")
        tools = [Tool.from_json(tool, f"{path}.tools[{i}]") for i, tool in enumerate(fields.array("tools"))]
        fields.end()
        return cls(name, description, tuple(tools))

    def to_json(self) -> Mapping[str, object]:
        """The namespace in JSON form."""
        tools = [tool.to_json() for tool in self.tools]
        return {"name": self.name, "description": self.description, "tools": tools}


@dataclass(frozen=True)
class ResponseFormat:
    """A JSON Schema, by name, that the answer follows when the developer asks for it."""

    name: str
    schema: Mapping[str, object]
    description: str | None = None

    @classmethod
    def from_json(cls, value: object, path: str) -> Self:
        """The format at `path`. Raises ConversationError."""
        fields = Fields(value, path)
        name, schema = fields.text("name"), fields.mapping("schema")
        if schema is None:
            raise ConversationError(f"{path}.schema: this would be an object, found null or nothing")
        description = fields.optional_text("description")
        fields.end()
        return cls(name, schema, description)

    def to_json(self) -> Mapping[str, object]:
        """The format in JSON form."""
        return {"name": self.name, "schema": self.schema, "description": self.description}


@dataclass(frozen=True)
class SystemContent:
    """What the system message says; each part that is None or empty is left out."""

    model_identity: str | None = IDENTITY
    reasoning_effort: Effort | None = Effort.MEDIUM
    conversation_start_date: str | None = None
    knowledge_cutoff: str | None = KNOWLEDGE_CUTOFF
    channels: tuple[str, ...] = CHANNELS
    channel_required: bool = True
    tools: Mapping[str, ToolNamespace] = field(default_factory=dict[str, ToolNamespace])

    @classmethod
    def from_json(cls, value: object, path: str) -> Self:
        """The content at `path`. Raises ConversationError."""
        fields = Fields(value, path)
        fields.take("type")
        channels, required = _channels(fields)
        content = cls(
            model_identity=fields.optional_text("model_identity", IDENTITY),
            reasoning_effort=_effort(fields),
            conversation_start_date=fields.optional_text("conversation_start_date"),
            knowledge_cutoff=fields.optional_text("knowledge_cutoff", KNOWLEDGE_CUTOFF),
            channels=channels,
            channel_required=required,
            tools=_tools(fields),
        )
        fields.end()
        return content

    def to_json(self) -> Mapping[str, object]:
        """The content in JSON form."""
        return {
            "type": "system_content",
            "model_identity": self.model_identity,
            "reasoning_effort": self.reasoning_effort and self.reasoning_effort.capitalize(),
            "conversation_start_date": self.conversation_start_date,
            "knowledge_cutoff": self.knowledge_cutoff,
            "channel_config": {"valid_channels": list(self.channels), "channel_required": self.channel_required},
            "tools": {key: namespace.to_json() for key, namespace in self.tools.items()},
        }


@dataclass(frozen=True)
class DeveloperContent:
    """What the developer message says: instructions, tools by namespace, and formats that answers follow."""

    instructions: str | None = None
    tools: Mapping[str, ToolNamespace] = field(default_factory=dict[str, ToolNamespace])
    response_formats: tuple[ResponseFormat, ...] = ()

    @property
    def has_functions(self) -> bool:
        """Whether there is a tool in the namespace `functions`."""
        return FUNCTIONS in self.tools and bool(self.tools[FUNCTIONS].tools)

    @classmethod
    def from_json(cls, value: object, path: str) -> Self:
        """The content at `path`. Raises ConversationError."""
        fields = Fields(value, path)
        fields.take("type")
        instructions, tools = fields.optional_text("instructions"), _tools(fields)
        raw = fields.take("response_formats", [])
        if not isinstance(raw, list):
            raise ConversationError(f"{path}.response_formats: this would be a list, found {found(raw)}")
        formats = [
            ResponseFormat.from_json(item, f"{path}.response_formats[{i}]")
            for i, item in enumerate(cast(list[object], raw))
        ]
        fields.end()
        return cls(instructions, tools, tuple(formats))

    def to_json(self) -> Mapping[str, object]:
        """The content in JSON form."""
        formats = [item.to_json() for item in self.response_formats]
        return {
            "type": "developer_content",
            "instructions": self.instructions,
            "tools": {key: namespace.to_json() for key, namespace in self.tools.items()},
        } | ({"response_formats": formats} if formats else {})


Content = str | SystemContent | DeveloperContent


@dataclass(frozen=True)
class Message:
    """One message: who says what, on which channel, to whom.

    `recipient` is the tool that a call is for. `content_type` is written as in the header, `json` or
    `<|constrain|>json`. `name` is the tool's full name (`functions.add`) in a tool's message, the person's in others.
    `tokens` are the ids that the model itself generated after `<|start|>assistant`, its closing token included; the
    renderer takes them as they are. They play no part in comparisons. Raises ConversationError for an unknown role and
    for tokens that are not the assistant's.
    """

    role: Role
    content: Content | tuple[Content, ...]
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    name: str | None = None
    tokens: tuple[int, ...] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConversationError(f"role: this would be one of {', '.join(ROLES)}, found {self.role!r:.60}")
        if self.tokens is not None and self.role != "assistant":
            raise ConversationError(f"tokens: only the assistant's messages are generated, this is the {self.role}'s")

    @property
    def contents(self) -> tuple[Content, ...]:
        """The parts of the content, of which there is nearly always one."""
        return self.content if isinstance(self.content, tuple) else (self.content,)

    @property
    def text(self) -> str:
        """The content's text, without what system and developer contents hold."""
        return "".join(part for part in self.contents if isinstance(part, str))

    @classmethod
    def from_json(cls, value: object, path: str = "message") -> Self:
        """The message at `path`. Raises ConversationError."""
        fields = Fields(value, path)
        role, content = fields.text("role"), _content(fields)
        if role not in ROLES:
            raise ConversationError(f"{path}.role: this would be one of {', '.join(ROLES)}, found {found(role)}")
        message = cls(
            cast(Role, role),
            content,
            channel=fields.optional_text("channel"),
            recipient=fields.optional_text("recipient"),
            content_type=fields.optional_text("content_type"),
            name=fields.optional_text("name"),
        )
        fields.end()
        return message

    def to_json(self) -> Mapping[str, object]:
        """The message in JSON form, without its tokens."""
        contents = [
            {"type": "text", "text": part} if isinstance(part, str) else part.to_json() for part in self.contents
        ]
        optional = {"channel": self.channel, "recipient": self.recipient, "content_type": self.content_type}
        present = {name: value for name, value in optional.items() if value is not None}
        return {"role": self.role, "name": self.name, "content": contents} | present


@dataclass(frozen=True)
class Conversation:
    """Messages in their order."""

    messages: tuple[Message, ...] = ()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """A conversation from its parsed JSON form. Raises ConversationError, which names the field at fault."""
        fields = Fields(value, "")
        items = fields.array("messages")
        fields.end()
        return cls(tuple(Message.from_json(item, f"messages[{i}]") for i, item in enumerate(items)))

    def to_json(self) -> Mapping[str, object]:
        """The conversation in JSON form, without the messages' tokens."""
        return {"messages": [message.to_json() for message in self.messages]}


def _content(fields: Fields) -> Content | tuple[Content, ...]:
    raw = fields.take("content", MISSING)
    if isinstance(raw, str):
        return raw
    path = fields.path("content")
    if not isinstance(raw, list):
        raise ConversationError(f"{path}: this would be a string or a list, found {found(raw)}")
    parts = tuple(_part(item, f"{path}[{i}]") for i, item in enumerate(cast(list[object], raw)))
    return parts[0] if len(parts) == 1 else parts


def _part(value: object, path: str) -> Content:
    match Fields(value, path).take("type", MISSING):
        case "text":
            fields = Fields(value, path)
            fields.take("type")
            text = fields.text("text")
            fields.end()
            return text
        case "system_content":
            return SystemContent.from_json(value, path)
        case "developer_content":
            return DeveloperContent.from_json(value, path)
        case other:
            raise ConversationError(
                f"{path}.type: this would be text, system_content or developer_content, found {found(other)}"
            )


def _effort(fields: Fields) -> Effort | None:
    value = fields.optional_text("reasoning_effort", "Medium")
    efforts = {effort.capitalize(): effort for effort in Effort}
    if value is None or value in efforts:
        return None if value is None else efforts[value]
    path = fields.path("reasoning_effort")
    raise ConversationError(f"{path}: this would be one of {', '.join(efforts)}, found {found(value)}")


def _channels(fields: Fields) -> tuple[tuple[str, ...], bool]:
    value = fields.take("channel_config", {"valid_channels": list(CHANNELS), "channel_required": True})
    if value is None:
        return (), True
    path = fields.path("channel_config")
    config = Fields(value, path)
    names, required = config.array("valid_channels"), config.flag("channel_required")
    config.end()
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise ConversationError(f"{path}.valid_channels[{index}]: this would be a string, found {found(name)}")
    return tuple(cast(list[str], names)), required


def _tools(fields: Fields) -> dict[str, ToolNamespace]:
    path = fields.path("tools")
    namespaces = fields.mapping("tools") or {}
    return {key: ToolNamespace.from_json(value, f"{path}.{key}") for key, value in namespaces.items()}
