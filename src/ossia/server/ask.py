"""What a client asks for, whatever API it speaks.

Each API translates its own requests into an `Ask` and nothing else, so that the same request means the same everywhere.
What was said before comes as `Item`s, in order: the smallest pieces that all of the APIs have.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from ossia.assistant import Loop
from ossia.grammar import AnswerRule, ToolRule
from ossia.harmony import FUNCTIONS, Effort, ResponseFormat
from ossia.server.faults import placing

__all__ = ["Ask", "Called", "Item", "Replied", "Returned", "Spoken", "Thought", "Tool"]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One function that the client offers, and will answer itself.

    The content of a call is JSON that `parameters` describes, or, for a `custom` tool, text in the form that `lark` or
    `regex` gives, if either does. `namespace` is the one that the model sees it in. `path` is where in the request that
    form stands.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, object] | None = None
    strict: bool = False
    custom: bool = False
    lark: str | None = None
    regex: str | None = None
    namespace: str = FUNCTIONS
    path: str = field(default="", compare=False)

    @property
    def recipient(self) -> str:
        """The name by which the model calls it."""
        return f"{self.namespace}.{self.name}"

    @property
    def rule(self) -> ToolRule:
        """What a call of it must look like."""
        return ToolRule(
            recipient=self.recipient,
            parameters=self.parameters,
            strict=self.strict,
            lark=self.lark,
            regex=self.regex,
            text=self.custom,
        )


@dataclass(frozen=True)
class Spoken:
    """A message to the model: the user's, or instructions."""

    role: Literal["system", "developer", "user"]
    text: str
    name: str | None = None


@dataclass(frozen=True)
class Thought:
    """Reasoning that the model wrote earlier."""

    text: str


@dataclass(frozen=True)
class Replied:
    """What the model told the user earlier: the answer of its turn, or a remark on the way (`preamble`).

    None: whatever fits, a preamble where a call follows in the same turn.
    """

    text: str
    preamble: bool | None = None


@dataclass(frozen=True)
class Called:
    """A call that the model made earlier. `id` None: the API has none. `path` is where in the request the id stands."""

    id: str | None
    recipient: str
    arguments: str
    custom: bool = False
    path: str = field(default="", compare=False)


@dataclass(frozen=True)
class Returned:
    """What a call gave. It is told by the call's id, or by the tool's name where the API has no ids.

    `path` is where in the request the id stands.
    """

    id: str | None
    text: str
    name: str | None = None
    path: str = field(default="", compare=False)


Item = Spoken | Thought | Replied | Called | Returned


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request.

    `sampling` are the fields of SamplingParams that the client named; the model's own stand for the rest. `effort`,
    `date` None: the model's default, today. `namespaces` say what those of the tools are about. `choice` is auto, none,
    required or a recipient; `allowed` are the recipients that calls are limited to, None: every tool's. `answer` is
    what the answer must look like, `formats` what the model is told of it. `truncate` lets whole old turns go where the
    conversation does not fit the context. `declined` names what was asked for and is not there, to be reported;
    `passed_over` what came along and nothing here reads. `grammar` False switches all masks off.

    `paths` are the request's own fields, by what they are called here: those of `sampling`, and `prompt` (what was
    said), `answer`, `max_reasoning_tokens`. A name that is the same in both need not be there.
    """

    items: tuple[Item, ...]
    instructions: str | None = None
    effort: Effort | None = None
    date: str | None = None
    identity: str | None = None
    tools: tuple[Tool, ...] = ()
    namespaces: Mapping[str, str] = field(default_factory=dict[str, str])
    choice: str = "auto"
    allowed: tuple[str, ...] | None = None
    parallel: bool = True
    answer: AnswerRule | None = None
    formats: tuple[ResponseFormat, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stop: tuple[str, ...] = ()
    max_reasoning_tokens: int | None = None
    grammar: bool = True
    loop: Loop | None = field(default_factory=Loop)
    truncate: bool = False
    seconds: float | None = None
    declined: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict[str, str])

    def placing(self) -> AbstractContextManager[None]:
        """A context in which what is raised names the request's own field."""
        return placing({tool.recipient: tool.path for tool in self.tools} | dict(self.paths))
