"""What the APIs say about the form of an answer and about tools, each in its own words, read in one place.

The field `grammar` is ours and the same in all of them: "off" switches the masks off, and an object gives a form that
no other field has.

    {"type": "regex", "pattern": "[0-9]+"}
    {"type": "choice", "values": ["yes", "no"]}
    {"type": "lark", "source": "start: ..."}
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ossia.grammar import AnswerRule, Choice, JsonObject, JsonSchema, Lark, Regex
from ossia.harmony import ResponseFormat
from ossia.server.ask import Tool
from ossia.server.body import convert
from ossia.server.faults import RefusedError

__all__ = [
    "Form",
    "checked_name",
    "choice_of",
    "free_form",
    "json_form",
    "known_tools",
    "plain_choice",
    "schema_form",
    "unknown_keys",
]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Source: OpenAI's API reference, names of functions and formats (there at most 64 characters; MCP's are longer)."""


@dataclass(frozen=True)
class Form:
    """What the answer must look like, what the model is told of it, and whether anything is masked at all.

    `path` is where in the request that form stands.
    """

    answer: AnswerRule | None = None
    formats: tuple[ResponseFormat, ...] = ()
    grammar: bool = True
    path: str = field(default="", compare=False)


class _Regex(msgspec.Struct, tag="regex", forbid_unknown_fields=True):
    pattern: str


class _Choice(msgspec.Struct, tag="choice", forbid_unknown_fields=True):
    values: list[str]


class _Lark(msgspec.Struct, tag="lark", forbid_unknown_fields=True):
    source: str


def free_form(value: object, form: Form, others: str) -> Form:
    """The form that the field `grammar` gives, or `form`, which the field `others` has given.

    Raises RefusedError for a value that is neither, and where both fields give a form.
    """
    if value is None:
        return form
    if form.answer is not None:
        raise RefusedError(
            f"both grammar and {others} say what the answer must look like; one is right", param="grammar"
        )
    if value == "off":
        return Form(grammar=False)
    if not isinstance(value, dict):
        right = '"off", or an object of the type regex (pattern), choice (values) or lark (source)'
        raise RefusedError(f"grammar is {value!r:.80}; {right} is right", param="grammar")
    rule, name = _rule(convert(value, _Regex | _Choice | _Lark, "grammar"))
    return Form(rule, path=f"grammar.{name}")


def unknown_keys(given: Mapping[str, Any], kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    """The paths of what nothing here reads in an object that may have more than `kind` declares."""
    known = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    known |= {str(kind.__struct_config__.tag_field): None}
    for name, value in given.items():
        inner = known.get(name)
        if name not in known:
            yield f"{path}.{name:.60}"
        elif isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
            yield from unknown_keys(value, inner, f"{path}.{name}")


def json_form() -> Form:
    """Any JSON object."""
    return Form(JsonObject())


def schema_form(name: str, schema: Mapping[str, Any], path: str, description: str | None = None) -> Form:
    """JSON that follows a schema, which the model is shown too; `path` is where in the request it stands."""
    return Form(JsonSchema(schema), (ResponseFormat(name, schema, description),), path=path)


def checked_name(name: str, param: str) -> str:
    """A name that can stand in a header. Raises RefusedError for any other."""
    if not _NAME.fullmatch(name):
        raise RefusedError(f"{param} is {name!r:.80}; 1 to 128 letters, digits, _ and - are right", param=param)
    return name


def known_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """The tools, none of them twice. Raises RefusedError."""
    seen: set[str] = set()
    for place, tool in enumerate(tools):
        if tool.recipient in seen:
            raise RefusedError(
                f"two tools are called {tool.name!r}; one of each name is right", param=f"tools[{place}]"
            )
        seen.add(tool.recipient)
    return tuple(tools)


def plain_choice(given: str) -> str:
    """A choice among tools that is said in one word. Raises RefusedError."""
    if given not in ("auto", "none", "required"):
        found = f"tool_choice is {given!r:.80}"
        raise RefusedError(f"{found}; auto, none, required or an object is right", param="tool_choice")
    return given


def choice_of(name: str, param: str, tools: Collection[Tool]) -> str:
    """The recipient of the tool that goes by `name`, which stands at `param`. Raises RefusedError if there is none."""
    for tool in tools:
        if tool.name == name:
            return tool.recipient
    known = ", ".join(tool.name for tool in tools) or "none"
    raise RefusedError(f"{param} is {name!r:.80}; the tools are: {known}", param=param)


def _rule(given: _Regex | _Choice | _Lark) -> tuple[AnswerRule, str]:
    """The rule, and the name of the field that has it."""
    match given:
        case _Regex(pattern):
            return Regex(pattern), "pattern"
        case _Choice(values):
            return Choice(tuple(values)), "values"
        case _Lark(source):
            return Lark(source), "source"
