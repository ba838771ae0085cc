"""The tools of Responses, and the choice among them, to what all APIs share.

A namespace is a group of functions under one name (Codex sends one for each MCP server). Tools that the server itself
would run are declined by name: the model is not told of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field

from ossia.harmony import FUNCTIONS
from ossia.server.ask import Tool
from ossia.server.body import convert
from ossia.server.faults import RefusedError
from ossia.server.mismatch import either
from ossia.server.structure import checked_name, plain_choice

__all__ = ["Offer", "choice", "offer"]

OURS = ("function", "custom", "namespace")


class _Offered(Struct):
    """What functions and custom tools share and nothing here needs."""

    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None  # nothing is searched for later: it is offered at once
    asynchronous: bool | None = field(default=None, name="async")  # all calls are answered by the client, when it likes


class FunctionTool(_Offered, tag="function", forbid_unknown_fields=True, kw_only=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    output_schema: Any = None  # what the client's own answer looks like


class Text(Struct, tag="text", forbid_unknown_fields=True):
    pass


class Grammar(Struct, tag="grammar", forbid_unknown_fields=True):
    definition: str
    syntax: str


class CustomTool(_Offered, tag="custom", forbid_unknown_fields=True, kw_only=True):
    name: str
    description: str | None = None
    format: Text | Grammar | None = None


class NamespaceTool(Struct, tag="namespace", forbid_unknown_fields=True, kw_only=True):
    name: str
    description: str | None = None
    tools: list[dict[str, Any]]


class NamedChoice(Struct, forbid_unknown_fields=True):
    type: str
    name: str | None = None
    namespace: str | None = None


class AllowedChoice(Struct, forbid_unknown_fields=True):
    type: str
    mode: str
    tools: list[dict[str, Any]]


@dataclass(frozen=True)
class Offer:
    """The tools that the model is told of, what their namespaces are about, and which kinds are not here."""

    tools: tuple[Tool, ...] = ()
    namespaces: tuple[tuple[str, str], ...] = ()
    declined: tuple[str, ...] = ()
    shown: tuple[Mapping[str, Any], ...] = ()

    def recipient(self, name: str) -> str | None:
        """What the tool of this name is called in full, whatever namespace it is in; None if there is none."""
        found = [tool.recipient for tool in self.tools if tool.name == name]
        return found[0] if found else None


def offer(given: Sequence[dict[str, Any]], later: Sequence[tuple[str, dict[str, Any]]] = ()) -> Offer:
    """What is offered by the field `tools`, and by items of the input (`later`, each with its path).

    Raises RefusedError for a tool that is not well formed, and for two of one name in the field.
    """
    tools: dict[str, Tool] = {}
    namespaces: dict[str, str] = {}
    declined: list[str] = []
    shown: list[Mapping[str, Any]] = []
    places = [(f"tools[{place}]", tool, True) for place, tool in enumerate(given)]
    for path, tool, once in [*places, *((path, tool, False) for path, tool in later)]:
        if not isinstance(tool.get("type"), str):
            words = f"the field '{path}.type' is missing; {either(OURS)} is right"
            raise RefusedError(words, param=f"{path}.type", code="missing_field")
        if tool["type"] not in OURS:
            declined.append(f"{path}: {tool['type']:.60}")
            continue
        read = convert(tool, FunctionTool | CustomTool | NamespaceTool, path)
        if isinstance(read, NamespaceTool) and read.description:
            namespaces[read.name] = read.description
        shown += [_echoed(tool)] if once else []
        for made in _tools(read, path, declined):
            if once and made.recipient in tools:
                raise RefusedError(f"two tools are called {made.name!r}; one of each name is right", param=path)
            tools[made.recipient] = made
    return Offer(tuple(tools.values()), tuple(namespaces.items()), tuple(declined), tuple(shown))


def choice(given: str | dict[str, Any] | None, offered: Offer) -> tuple[str, tuple[str, ...] | None]:
    """The choice, and the recipients that calls are limited to. Raises RefusedError."""
    if given is None:
        return "auto", None
    if isinstance(given, str):
        return plain_choice(given), None
    if given.get("type") == "allowed_tools":
        return _allowed(convert(given, AllowedChoice, "tool_choice"), offered)
    if given.get("type") in ("function", "custom"):
        return _recipient(convert(given, NamedChoice, "tool_choice"), offered), None
    words = f"tool_choice.type is {given.get('type')!r:.80}; function, custom or allowed_tools is right"
    raise RefusedError(words, param="tool_choice.type")


def _tools(
    read: FunctionTool | CustomTool | NamespaceTool, path: str, declined: list[str], namespace: str = FUNCTIONS
) -> Iterator[Tool]:
    match read:
        case NamespaceTool(name=name, tools=members):
            checked_name(name, f"{path}.name")
            for place, member in enumerate(members):
                where = f"{path}.tools[{place}]"
                yield from _tools(convert(member, FunctionTool | CustomTool, where), where, declined, name)
        case _ if read.allowed_callers is not None and "direct" not in read.allowed_callers:
            declined.append(f"{path}: {read.name:.80} is for programs to call only, and none runs here")
        case FunctionTool():
            yield Tool(
                name=checked_name(read.name, f"{path}.name"),
                description=read.description or "",
                parameters=read.parameters,
                strict=bool(read.strict),
                namespace=namespace,
                path=f"{path}.parameters",
            )
        case CustomTool():
            yield _custom(read, path, namespace)


def _custom(read: CustomTool, path: str, namespace: str) -> Tool:
    lark = regex = None
    if isinstance(read.format, Grammar):
        if read.format.syntax not in ("lark", "regex"):
            raise RefusedError(
                f"{path}.format.syntax is {read.format.syntax!r:.40}; lark or regex is right",
                param=f"{path}.format.syntax",
            )
        lark = read.format.definition if read.format.syntax == "lark" else None
        regex = read.format.definition if read.format.syntax == "regex" else None
    return Tool(
        name=checked_name(read.name, f"{path}.name"),
        description=read.description or "",
        custom=True,
        lark=lark,
        regex=regex,
        namespace=namespace,
        path=f"{path}.format.definition",
    )


def _echoed(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as the response shows it: what the SDK's type wants and the client may leave out is filled in."""
    return {"description": "", **tool} if tool["type"] == "namespace" else tool


def _allowed(allowed: AllowedChoice, offered: Offer) -> tuple[str, tuple[str, ...]]:
    if allowed.mode not in ("auto", "required"):
        words = f"tool_choice.mode is {allowed.mode!r:.80}; auto or required is right"
        raise RefusedError(words, param="tool_choice.mode")
    found: list[str] = []
    for place, tool in enumerate(allowed.tools):
        # Those of kinds that are not here were declined where they were offered.
        if tool.get("type") in OURS:
            path = f"tool_choice.tools[{place}]"
            found += _recipients(convert(tool, NamedChoice, path), offered, path)
    return allowed.mode, tuple(found)


def _recipients(named: NamedChoice, offered: Offer, path: str) -> list[str]:
    if named.type == "namespace":
        return [tool.recipient for tool in offered.tools if tool.namespace == named.name]
    return [_recipient(named, offered, path)]


def _recipient(named: NamedChoice, offered: Offer, path: str = "tool_choice") -> str:
    if named.name is None:
        raise RefusedError(f"the field '{path}.name' is missing", param=f"{path}.name", code="missing_field")
    for tool in offered.tools:
        if tool.name == named.name and named.namespace in (None, tool.namespace):
            return tool.recipient
    known = ", ".join(tool.name for tool in offered.tools) or "none"
    raise RefusedError(f"{path}.name is {named.name!r:.80}; the tools are: {known}", param=f"{path}.name")
