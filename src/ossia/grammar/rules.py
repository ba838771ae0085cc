"""What one answer must look like: the tools that may be called, the shape of the answer, how long it may reason.

`Rules` are plain data and have a text form, `to_source`, in which they reach an engine that lives in another process.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from ossia.errors import GrammarError

__all__ = ["AnswerRule", "Choice", "JsonObject", "JsonSchema", "Lark", "Regex", "Rules", "Schema", "ToolRule"]

Schema = Mapping[str, Any] | bool
"""A JSON Schema, draft 2020-12 and the older forms of its keywords."""

LONGEST_SOURCE = 1 << 20
"""Characters of rules as text: far beyond any client's tools (a hundred of MCP's have about 200,000)."""


@dataclass(frozen=True, kw_only=True)
class ToolRule:
    """One tool that may be called, and what its calls contain.

    `recipient` is its full name, such as functions.add or python. A call's content is JSON that follows `parameters`
    (None: any object); with `text` it is text, which follows `lark` or `regex` where one is given. With `strict`, a
    schema that cannot be guaranteed is refused; without, it is loosened (see `check`). `channel` is where the tool was
    announced: calls to those of analysis may come in commentary too.
    """

    recipient: str
    parameters: Schema | None = None
    strict: bool = False
    lark: str | None = None
    regex: str | None = None
    text: bool = False
    channel: Literal["commentary", "analysis"] = "commentary"


@dataclass(frozen=True)
class JsonSchema:
    """JSON that follows a schema. Without `strict`, what cannot be guaranteed is loosened."""

    schema: Schema
    strict: bool = True


@dataclass(frozen=True)
class JsonObject:
    """Any JSON object."""


@dataclass(frozen=True)
class Regex:
    """A text that the whole of a regular expression matches. Source of the syntax: Rust's regex-syntax."""

    pattern: str


@dataclass(frozen=True)
class Choice:
    """One of these texts."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Lark:
    """A text that a Lark grammar derives from `start`. Source of the syntax: guidance-ai/llguidance, docs/syntax.md."""

    source: str


AnswerRule = JsonSchema | JsonObject | Regex | Choice | Lark

_ANSWERS: dict[str, type[AnswerRule]] = {
    "json_schema": JsonSchema, "json_object": JsonObject, "regex": Regex, "choice": Choice, "lark": Lark,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one answer must look like. Without any of it, it is still Harmony: legal headers, and a final or a call.

    `choice` is auto (a call or a final), none (no call), required (some call) or the recipient that must be called.
    With `parallel`, one call may follow another. `answer` is the content of the final; with it, nothing else is said to
    the user.

    `max_reasoning_tokens` bounds the content of all analysis messages together. When it is used up, analysis is closed,
    and the final (or, where a call is due, its header) is opened. A character that was begun is completed first, by up
    to three more tokens. 0 means no analysis at all.
    """

    tools: tuple[ToolRule, ...] = ()
    choice: str = "auto"
    parallel: bool = True
    answer: AnswerRule | None = None
    max_reasoning_tokens: int | None = None

    @property
    def offered(self) -> tuple[ToolRule, ...]:
        """The tools that may be called under `choice`."""
        if self.choice in ("auto", "required"):
            return self.tools
        return tuple(tool for tool in self.tools if tool.recipient == self.choice)

    @property
    def call_due(self) -> bool:
        """Whether the answer must be a call."""
        return self.choice not in ("auto", "none")

    def to_source(self) -> str:
        """The rules as text. Raises GrammarError when a schema in them is not JSON."""
        data: dict[str, object] = {}
        if self.tools:
            data["tools"] = [_set(tool, ToolRule(recipient="")) for tool in self.tools]
        if self.answer is not None:
            name = next(name for name, kind in _ANSWERS.items() if isinstance(self.answer, kind))
            data["answer"] = {"type": name, **vars(self.answer)}
        data |= _set(self, Rules(), without=("tools", "answer"))
        try:
            return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise GrammarError(f"the rules are not JSON: {error}; a schema of plain JSON values is right") from error

    @classmethod
    def from_source(cls, source: str) -> Self:
        """The rules that `to_source` wrote. Raises GrammarError for any other text."""
        if len(source) > LONGEST_SOURCE:
            raise GrammarError(
                f"the rules have {len(source)} characters; at most {LONGEST_SOURCE} are right", param="tools"
            )
        try:
            data = _object(json.loads(source), "the rules")
            data["tools"] = tuple(ToolRule(**_object(tool, "a tool")) for tool in data.get("tools", ()))
            if "answer" in data:
                data["answer"] = _answer(_object(data["answer"], "answer"))
            return cls(**data)
        except (TypeError, ValueError, RecursionError) as error:
            raise GrammarError(f"the rules cannot be read: {error}; what Rules.to_source writes is right") from error


def _set(value: ToolRule | Rules, default: ToolRule | Rules, without: Sequence[str] = ()) -> dict[str, object]:
    """The fields that are not as by default."""
    return {name: field for name, field in vars(value).items() if field != vars(default)[name] and name not in without}


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GrammarError(f"{what} would be an object, found {type(value).__name__}")
    return cast(dict[str, Any], value)


def _answer(data: dict[str, Any]) -> AnswerRule:
    kind = _ANSWERS.get(data.pop("type", ""))
    if kind is None:
        raise GrammarError(f"the answer's type would be one of {', '.join(_ANSWERS)}")
    if kind is Choice:
        data["values"] = tuple(data.get("values", ()))
    return kind(**data)
