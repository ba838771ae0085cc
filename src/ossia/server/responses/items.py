"""The items of a request's input, to what was said before.

Clients send back what they were given, by us or by others: messages, reasoning, calls and their results, and items of
tools that other servers run. Those are told to the model as the calls and results that they were. What cannot be told
as text (images, programs, another model's sealed context) is refused by name; what only accompanied an item, and what
nobody knows, is passed over and reported.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ossia.server.ask import Called, Item, Replied, Returned, Spoken, Thought
from ossia.server.body import convert
from ossia.server.clients import Client
from ossia.server.faults import RefusedError
from ossia.server.responses import given
from ossia.server.responses.sealed import unseal
from ossia.server.responses.tools import Offer
from ossia.server.structure import checked_name

__all__ = ["Reading", "kind_of", "later_tools"]

Raw = Mapping[str, Any]
Told = Iterator[Item]

ABSENT = {
    "computer_call": "screens are images",
    "computer_call_output": "screens are images",
    "image_generation_call": "these models read text only",
    "compaction": "it is sealed by another server; the conversation in full is right",
    "compaction_summary": "it is sealed by another server; the conversation in full is right",
    "compaction_trigger": "nothing is compacted here; the conversation in full is right",
    "configuration_update": "the fields of the request say the same",
    "program": "no programs run here",
    "program_output": "no programs run here",
    "mcp_approval_response": "no server of tools is called from here, so there is nothing to approve",
}
"""Items that are refused, and why."""

IMAGES = ("input_image", "input_file", "input_audio", "computer_screenshot", "output_image")


def kind_of(item: Raw) -> str:
    """An item's type; a message may go without."""
    return str(item.get("type") or ("message" if "role" in item else "item_reference" if set(item) == {"id"} else ""))


def later_tools(items: Sequence[Raw]) -> list[tuple[str, dict[str, Any]]]:
    """The tools that items of the input bring, each with its path."""
    found: list[tuple[str, dict[str, Any]]] = []
    for place, item in enumerate(items):
        if kind_of(item) in ("additional_tools", "tool_search_output"):
            path = f"input[{place}]"
            tools = convert(item, given.WithTools, path).tools
            found += [(f"{path}.tools[{index}]", tool) for index, tool in enumerate(tools)]
    return found


@dataclass
class Reading:
    """Reads the items of one request. `passed_over` are those, and fields of those, that the model is not told of."""

    client: Client
    offered: Offer = field(default_factory=Offer)
    passed_over: list[str] = field(default_factory=list[str])

    def read(self, items: Sequence[Raw], earlier: int = 0) -> Told:
        """What was said, in order; so many of the items are `earlier` ones, that were stored.

        Raises RefusedError for an item that is not well formed or cannot be told.
        """
        for place, item in enumerate(items, start=-earlier):
            path = f"input[{place}]" if place >= 0 else "previous_response_id"
            yield from self._item(item, path)

    def _item(self, item: Raw, path: str) -> Told:
        kind = kind_of(item)
        if kind in ABSENT:
            said = f"{path} is of type {kind}, which is not supported: {ABSENT[kind]}"
            raise RefusedError(said, param=path, code="unsupported")
        if kind not in _KINDS:
            known = ", ".join(sorted(_KINDS))
            raise RefusedError(f"{path}.type is {kind!r:.80}; known: {known}", param=f"{path}.type")
        struct, tell = _KINDS[kind]
        read = convert(item, struct, path)
        known = {each.encode_name for each in msgspec.structs.fields(struct)} | {"type", "id", "status"}
        self.passed_over += [f"{path}.{name:.60}" for name in item if name not in known]
        yield from tell(self, read, path)

    def message(self, read: given.Message, path: str) -> Told:
        """A message of whoever it is from."""
        text = self._text(read.content, f"{path}.content")
        match read.role:
            case "user" | "system" | "developer":
                yield Spoken(read.role, text)  # type: ignore[arg-type]
            case "assistant":
                yield Replied(text, self._is_preamble(read.phase, f"{path}.phase"))
            case _:
                right = "user, system, developer or assistant"
                raise RefusedError(f"{path}.role is {read.role!r:.40}; {right} is right", param=f"{path}.role")

    def reasoning(self, read: given.Reasoning, path: str) -> Told:
        """Reasoning: its content, or what was sealed for this client, or else the summary that somebody made."""
        content = self._text(read.content or [], f"{path}.content")
        sealed = read.encrypted_content
        thought = content or (unseal(sealed, self.client) if sealed else None)
        if thought is None and sealed:
            self.passed_over.append(f"{path}.encrypted_content")
        if text := thought or self._text(read.summary or [], f"{path}.summary"):
            yield Thought(text)

    def call(self, read: given.Call, path: str) -> Told:
        """A function call, or one of a custom tool."""
        custom = isinstance(read, given.CustomCall)
        text = read.input if isinstance(read, given.CustomCall) else read.arguments
        yield Called(read.call_id, self._recipient(read.name, read.namespace, path), text, custom, f"{path}.call_id")

    def output(self, read: given.Output, path: str) -> Told:
        """What the client's tool gave."""
        name = read.name and checked_name(read.name, f"{path}.name")
        yield Returned(read.call_id, self._text(read.output, f"{path}.output"), name, f"{path}.call_id")

    def local_shell(self, read: given.LocalShellCall, path: str) -> Told:
        """A command that the client ran."""
        identifier = read.call_id or read.id
        yield Called(identifier, "functions.local_shell", _json({**read.action, "type": None}), path=f"{path}.call_id")

    def local_shell_output(self, read: given.LocalShellOutput, path: str) -> Told:
        """What it gave; the item's own id is the call's."""
        identifier = read.call_id or read.id
        yield Returned(identifier, self._text(read.output, f"{path}.output"), path=f"{path}.call_id")

    def shell(self, read: given.ShellCall, path: str) -> Told:
        """Commands that the client ran."""
        yield Called(read.call_id, "functions.shell", _json(read.action), path=f"{path}.call_id")

    def shell_output(self, read: given.ShellOutput, path: str) -> Told:
        """What they gave."""
        yield Returned(read.call_id, _json(read.output), path=f"{path}.call_id")

    def patch(self, read: given.PatchCall, path: str) -> Told:
        """A change of a file."""
        yield Called(read.call_id, "functions.apply_patch", _json(read.operation), path=f"{path}.call_id")

    def patch_output(self, read: given.PatchOutput, path: str) -> Told:
        """What came of it."""
        text = read.output or _json({"status": read.status})
        yield Returned(read.call_id, text, path=f"{path}.call_id")

    def tool_search(self, read: given.SearchCall, path: str) -> Told:
        """A search for tools that the client made."""
        if read.call_id is not None:
            yield Called(read.call_id, "functions.tool_search", _json(read.arguments), path=f"{path}.call_id")

    def tools(self, read: given.WithTools, path: str) -> Told:
        """Tools that came later: they are offered like all others; a search is told what it found."""
        if read.call_id is not None:
            yield Returned(read.call_id, _json(read.tools), path=f"{path}.call_id")

    def web_search(self, read: given.WebSearch, path: str) -> Told:
        """A search or page of a server's browser; what was found is not in the item, but for its sources."""
        action = {key: value for key, value in read.action.items() if key not in ("type", "sources")}
        verb = {"open_page": "open", "find_in_page": "find", "find": "find"}.get(str(read.action.get("type")), "search")
        found = {"status": read.status, "sources": read.action.get("sources")}
        yield Called(read.id, f"browser.{verb}", _json(action))
        yield Returned(read.id, _json(found))

    def file_search(self, read: given.FileSearch, path: str) -> Told:
        """A search in files that another server keeps."""
        yield Called(read.id, "functions.file_search", _json({"queries": read.queries}))
        yield Returned(read.id, _json({"status": read.status, "results": read.results}))

    def python(self, read: given.CodeInterpreter, path: str) -> Told:
        """Code that a server ran."""
        yield Called(read.id, "python", read.code or "", custom=True)
        for place, output in enumerate(read.outputs or []):
            if output.get("type") != "logs":
                self._refuse_part(output, f"{path}.outputs[{place}]")
        logs = "".join(str(output.get("logs", "")) for output in read.outputs or [])
        yield Returned(read.id, logs if read.outputs else _json({"status": read.status}))

    def mcp(self, read: given.McpCall, path: str) -> Told:
        """A call to a server of tools that another server made."""
        server = checked_name(read.server_label, f"{path}.server_label")
        yield Called(read.id, f"{server}.{checked_name(read.name, f'{path}.name')}", read.arguments)
        error = None if read.error is None else read.error if isinstance(read.error, str) else _json(read.error)
        yield Returned(read.id, error or read.output or _json({"status": read.status}))

    def nothing(self, read: given.PassedOver, path: str) -> Told:
        """What only told of the tools of another server."""
        self.passed_over.append(path)
        yield from ()

    def _recipient(self, name: str, namespace: str | None, path: str) -> str:
        """Whom a call was for. Clients may have lost the namespace; a name with dots is already whole."""
        for part in name.split("."):
            checked_name(part, f"{path}.name")
        if namespace is not None:
            return f"{checked_name(namespace, f'{path}.namespace')}.{name}"
        return self.offered.recipient(name) or (name if "." in name else f"functions.{name}")

    def _is_preamble(self, phase: str | None, path: str) -> bool | None:
        phases = {None: None, "commentary": True, "final_answer": False}
        if phase not in phases:
            raise RefusedError(f"{path} is {phase!r:.40}; commentary or final_answer is right", param=path)
        return phases[phase]

    def _text(self, content: str | list[dict[str, Any]], path: str) -> str:
        if isinstance(content, str):
            return content
        return "".join(self._part(part, f"{path}[{place}]") for place, part in enumerate(content))

    def _part(self, part: Raw, path: str) -> str:
        """The text of one part: all that hold some call it so, but for refusals."""
        name = "refusal" if part.get("type") == "refusal" else "text"
        text = part.get(name)
        if part.get("type") not in given.TEXTS or not isinstance(text, str):
            self._refuse_part(part, path)
        self.passed_over += [f"{path}.{key:.60}" for key in part if key not in given.PART_FIELDS]
        return str(text)

    def _refuse_part(self, part: Raw, path: str) -> None:
        kind = part.get("type")
        why = "these models read text only" if kind in IMAGES else f"{', '.join(given.TEXTS)}, with a text, are right"
        raise RefusedError(f"{path} is of type {kind!r:.60}; {why}", param=path)


def _json(value: object) -> str:
    """A value as the model reads it, without what is not there."""
    if isinstance(value, Mapping):
        value = {key: each for key, each in value.items() if each is not None}  # pyright: ignore[reportUnknownVariableType]
    return json.dumps(value, ensure_ascii=False)


_KINDS: dict[str, tuple[type[msgspec.Struct], Callable[[Reading, Any, str], Told]]] = {
    "message": (given.Message, Reading.message),
    "reasoning": (given.Reasoning, Reading.reasoning),
    "function_call": (given.FunctionCall, Reading.call),
    "custom_tool_call": (given.CustomCall, Reading.call),
    "function_call_output": (given.Output, Reading.output),
    "custom_tool_call_output": (given.Output, Reading.output),
    "local_shell_call": (given.LocalShellCall, Reading.local_shell),
    "local_shell_call_output": (given.LocalShellOutput, Reading.local_shell_output),
    "shell_call": (given.ShellCall, Reading.shell),
    "shell_call_output": (given.ShellOutput, Reading.shell_output),
    "apply_patch_call": (given.PatchCall, Reading.patch),
    "apply_patch_call_output": (given.PatchOutput, Reading.patch_output),
    "tool_search_call": (given.SearchCall, Reading.tool_search),
    "tool_search_output": (given.WithTools, Reading.tools),
    "additional_tools": (given.WithTools, Reading.tools),
    "web_search_call": (given.WebSearch, Reading.web_search),
    "file_search_call": (given.FileSearch, Reading.file_search),
    "code_interpreter_call": (given.CodeInterpreter, Reading.python),
    "mcp_call": (given.McpCall, Reading.mcp),
    "mcp_list_tools": (given.PassedOver, Reading.nothing),
    "mcp_approval_request": (given.PassedOver, Reading.nothing),
}
"""What each type of item is read as, and how it is told."""
