"""Tools, the choice among them and the calls of Chat Completions, to and from what the other APIs share."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ossia.server.ask import Called, Tool
from ossia.server.body import convert
from ossia.server.faults import RefusedError
from ossia.server.structure import checked_name, choice_of, known_tools, plain_choice, unknown_keys

__all__ = ["called", "choice", "offered"]


class Function(Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Grammar(Struct, forbid_unknown_fields=True):
    syntax: str
    definition: str


class Format(Struct, forbid_unknown_fields=True):
    type: str
    grammar: Grammar | None = None


class Custom(Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    format: Format | None = None


class FunctionTool(Struct, tag="function", forbid_unknown_fields=True):
    function: Function
    cache_control: Any = None  # a hint for caches that are told what to keep; ours finds it


class CustomTool(Struct, tag="custom", forbid_unknown_fields=True):
    custom: Custom


class CalledFunction(Struct):
    name: str
    arguments: str


class CalledCustom(Struct):
    name: str
    input: str


class FunctionCall(Struct, tag="function"):
    id: str
    function: CalledFunction
    index: Any = None  # its place in the stream that it came in


class CustomCall(Struct, tag="custom"):
    id: str
    custom: CalledCustom
    index: Any = None


class Named(Struct, forbid_unknown_fields=True):
    name: str


class FunctionChoice(Struct, tag="function", forbid_unknown_fields=True):
    function: Named


class CustomChoice(Struct, tag="custom", forbid_unknown_fields=True):
    custom: Named


class AllowedTools(Struct, forbid_unknown_fields=True):
    mode: str
    tools: list[dict[str, Any]]


class AllowedChoice(Struct, tag="allowed_tools", forbid_unknown_fields=True):
    allowed_tools: AllowedTools


def offered(tools: Sequence[dict[str, Any]]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """The tools, and the types of those that are not here. Raises RefusedError for one that is not well formed."""
    found: list[Tool] = []
    declined: list[str] = []
    for place, given in enumerate(tools):
        path = f"tools[{place}]"
        if not isinstance(given.get("type"), str):
            words = f"the field '{path}.type' is missing; function or custom is right"
            raise RefusedError(words, param=f"{path}.type", code="missing_field")
        if given["type"] not in ("function", "custom"):
            declined.append(f"{path}: {given.get('type')!s:.60}")
            continue
        match convert(given, FunctionTool | CustomTool, path):
            case FunctionTool(function):
                found.append(_function(function, f"{path}.function"))
            case CustomTool(custom):
                found.append(_custom(custom, f"{path}.custom"))
    return known_tools(found), tuple(declined)


def choice(given: str | dict[str, Any] | None, tools: Sequence[Tool]) -> tuple[str, tuple[str, ...] | None]:
    """The choice, and the recipients that calls are limited to. Raises RefusedError."""
    if given is None:
        return "auto", None
    if isinstance(given, str):
        return plain_choice(given), None
    named = convert(given, FunctionChoice | CustomChoice | AllowedChoice, "tool_choice")
    if isinstance(named, AllowedChoice):
        return _allowed(named.allowed_tools, tools)
    return choice_of(*_named(named), tools), None


def called(given: dict[str, Any], path: str, passed_over: list[str]) -> Called:
    """A call that the model made earlier; what else it has is `passed_over`. Raises RefusedError."""
    call: FunctionCall | CustomCall = convert({"type": "function"} | given, FunctionCall | CustomCall, path)
    passed_over += unknown_keys(given, type(call), path)
    if isinstance(call, FunctionCall):
        name = checked_name(call.function.name, f"{path}.function.name")
        return Called(call.id, f"functions.{name}", call.function.arguments, path=f"{path}.id")
    name = checked_name(call.custom.name, f"{path}.custom.name")
    return Called(call.id, f"functions.{name}", call.custom.input, custom=True, path=f"{path}.id")


def _function(function: Function, path: str) -> Tool:
    return Tool(
        name=checked_name(function.name, f"{path}.name"),
        description=function.description or "",
        parameters=function.parameters,
        strict=bool(function.strict),
        path=f"{path}.parameters",
    )


def _custom(custom: Custom, path: str) -> Tool:
    name, lark, regex = checked_name(custom.name, f"{path}.name"), None, None
    match custom.format:
        case None | Format("text", None):
            pass
        case Format("grammar", Grammar("lark", source)):
            lark = source
        case Format("grammar", Grammar("regex", source)):
            regex = source
        case _:
            raise RefusedError(
                f"{path}.format: text, or a grammar of syntax lark or regex, is right", param=f"{path}.format"
            )
    return Tool(
        name=name,
        description=custom.description or "",
        custom=True,
        lark=lark,
        regex=regex,
        path=f"{path}.format.grammar.definition",
    )


def _allowed(allowed: AllowedTools, tools: Sequence[Tool]) -> tuple[str, tuple[str, ...]]:
    if allowed.mode not in ("auto", "required"):
        path = "tool_choice.allowed_tools.mode"
        raise RefusedError(f"{path} is {allowed.mode!r:.80}; auto or required is right", param=path)
    found: list[str] = []
    for place, tool in enumerate(allowed.tools):
        path = f"tool_choice.allowed_tools.tools[{place}]"
        named = convert(tool, FunctionChoice | CustomChoice, path)
        found.append(choice_of(*_named(named, path), tools))
    return allowed.mode, tuple(found)


def _named(choice: FunctionChoice | CustomChoice, path: str = "tool_choice") -> tuple[str, str]:
    """The name that a choice names, and where it stands."""
    if isinstance(choice, FunctionChoice):
        return choice.function.name, f"{path}.function.name"
    return choice.custom.name, f"{path}.custom.name"
