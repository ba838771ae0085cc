"""Items as clients send them: the fields that are read, and those that may come along.

They are not closed: an item of the past may carry what another server put there. What nobody knows is reported.
Source: OpenAI's API reference, "Create a model response", input.
"""

from typing import Any

from msgspec import Struct, field

__all__ = [
    "PART_FIELDS",
    "TEXTS",
    "Call",
    "CodeInterpreter",
    "CustomCall",
    "FileSearch",
    "FunctionCall",
    "LocalShellCall",
    "LocalShellOutput",
    "McpCall",
    "Message",
    "Output",
    "PassedOver",
    "PatchCall",
    "PatchOutput",
    "Reasoning",
    "SearchCall",
    "ShellCall",
    "ShellOutput",
    "WebSearch",
    "WithTools",
]

TEXTS = ("input_text", "output_text", "text", "reasoning_text", "summary_text", "refusal")
"""The types of parts that are text."""

PART_FIELDS = {"type", "text", "refusal", "annotations", "logprobs", "prompt_cache_breakpoint"}
"""What parts may have: notes of where a text is from, of its tokens, of what a cache is to keep change no text."""

Content = str | list[dict[str, Any]]


class Message(Struct, kw_only=True):
    """A message, of a user, of instructions, or of the assistant."""

    role: str
    content: Content
    phase: str | None = None


class Reasoning(Struct, kw_only=True):
    """What the model thought."""

    content: list[dict[str, Any]] | None = None
    summary: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None


class _Called(Struct, kw_only=True):
    call_id: str
    name: str
    namespace: str | None = None
    caller: Any = None  # who called it: always the model
    asynchronous: Any = field(default=None, name="async")
    logprobs: Any = None  # ours, sent back


class FunctionCall(_Called, kw_only=True):
    """A call of a function."""

    arguments: str


class CustomCall(_Called, kw_only=True):
    """A call of a custom tool."""

    input: str


Call = FunctionCall | CustomCall


class Output(Struct, kw_only=True):
    """What the client answered to a call."""

    output: Content
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None  # the call says it
    caller: Any = None
    created_by: Any = None


class LocalShellCall(Struct, kw_only=True):
    """A command that the client was asked to run."""

    action: dict[str, Any]
    id: str | None = None
    call_id: str | None = None


class LocalShellOutput(Struct, kw_only=True):
    """What it gave."""

    output: Content
    id: str | None = None
    call_id: str | None = None


class ShellCall(Struct, kw_only=True):
    """Commands that the client was asked to run."""

    call_id: str
    action: dict[str, Any]
    environment: Any = None
    caller: Any = None
    created_by: Any = None


class ShellOutput(Struct, kw_only=True):
    """What they gave."""

    call_id: str
    output: list[dict[str, Any]]
    max_output_length: int | None = None
    caller: Any = None
    created_by: Any = None


class PatchCall(Struct, kw_only=True):
    """A change of a file that the client was asked to make."""

    call_id: str
    operation: dict[str, Any]
    caller: Any = None
    created_by: Any = None


class PatchOutput(Struct, kw_only=True):
    """What came of it."""

    call_id: str
    status: str
    output: str | None = None
    caller: Any = None
    created_by: Any = None


class SearchCall(Struct, kw_only=True):
    """A search for tools."""

    arguments: Any
    call_id: str | None = None
    execution: str | None = None
    created_by: Any = None


class WithTools(Struct, kw_only=True):
    """Tools that come with the conversation, or that a search has found."""

    tools: list[dict[str, Any]]
    call_id: str | None = None
    role: str | None = None
    execution: str | None = None
    created_by: Any = None


class WebSearch(Struct, kw_only=True):
    """A search of the web, or a page, by another server."""

    id: str
    action: dict[str, Any]
    status: str | None = None


class FileSearch(Struct, kw_only=True):
    """A search in files that another server keeps."""

    id: str
    queries: list[str]
    status: str | None = None
    results: list[dict[str, Any]] | None = None


class CodeInterpreter(Struct, kw_only=True):
    """Code that another server ran."""

    id: str
    code: str | None = None
    outputs: list[dict[str, Any]] | None = None
    status: str | None = None
    container_id: Any = None


class McpCall(Struct, kw_only=True):
    """A call to a server of tools that another server made."""

    id: str
    name: str
    server_label: str
    arguments: str
    output: str | None = None
    error: Any = None
    status: str | None = None
    approval_request_id: Any = None


class PassedOver(Struct, kw_only=True):
    """Nothing of it is read."""
