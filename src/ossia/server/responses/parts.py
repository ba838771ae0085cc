"""One item of a response's output while it is being written, and the events that tell of it.

    output_item.added                           every item
      content_part.added                          messages and reasoning
        output_text | reasoning_text .delta * n, .done
      content_part.done
      function_call_arguments | custom_tool_call_input .delta * n, .done     calls
    output_item.done

Events come here without `output_index` and `sequence_number`, which the response gives them.
Source: OpenAI's API reference, "Streaming events" of Responses.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

from ossia.assistant import Kind
from ossia.harmony import FUNCTIONS
from ossia.server.turns import Call

__all__ = ["Entry", "Part", "part_of"]

Entry = dict[str, Any]
Happening = dict[str, Any]
Status = Literal["completed", "incomplete"]


class Part(ABC):
    """An item that has begun. `item` is what it has come to."""

    def __init__(self, prefix: str, item: Entry) -> None:
        self.item: Entry = {"id": f"{prefix}_{secrets.token_hex(24)}", **item, "status": "in_progress"}
        self.text = ""
        self.logprobs: list[Entry] | None = None

    def begin(self) -> Iterator[Happening]:
        """The item is there, empty."""
        yield {"type": "response.output_item.added", "item": {**self.item}}

    def grow(self, text: str, logprobs: list[Entry] | None) -> Iterator[Happening]:
        """More of it. `logprobs` None: they were not asked for."""
        self.text += text
        if logprobs is not None:
            self.logprobs = self.logprobs or []
            self.logprobs += logprobs
        self._set()
        yield self._delta(text, logprobs)

    def end(self, status: Status) -> Iterator[Happening]:
        """The item is over, `incomplete` where it was cut off."""
        self._set()
        yield from self._ends()
        self.item["status"] = status
        yield {"type": "response.output_item.done", "item": {**self.item}}

    @abstractmethod
    def _set(self) -> None: ...

    @abstractmethod
    def _delta(self, text: str, logprobs: list[Entry] | None) -> Happening: ...

    @abstractmethod
    def _ends(self) -> Iterator[Happening]: ...


class _Content(Part):
    """A message or reasoning: one part of content, that is there even if it stays empty."""

    name: str

    def begin(self) -> Iterator[Happening]:
        yield from super().begin()
        yield self._at("response.content_part.added", part=self._part())

    def _set(self) -> None:
        self.item["content"] = [self._part()]

    def _ends(self) -> Iterator[Happening]:
        yield self._whole()
        yield self._at("response.content_part.done", part=self._part())

    def _at(self, kind: str, **fields: Any) -> Happening:
        return {"type": kind, "item_id": self.item["id"], "content_index": 0, **fields}

    @abstractmethod
    def _part(self) -> Entry: ...

    @abstractmethod
    def _whole(self) -> Happening: ...


class _Message(_Content):
    def __init__(self, kind: Kind) -> None:
        phase = "commentary" if kind is Kind.PREAMBLE else "final_answer"
        super().__init__("msg", {"type": "message", "role": "assistant", "phase": phase, "content": []})

    def _part(self) -> Entry:
        return {"type": "output_text", "annotations": [], "logprobs": self.logprobs or [], "text": self.text}

    def _delta(self, text: str, logprobs: list[Entry] | None) -> Happening:
        return self._at("response.output_text.delta", delta=text, logprobs=logprobs or [])

    def _whole(self) -> Happening:
        return self._at("response.output_text.done", text=self.text, logprobs=self.logprobs or [])


class _Reasoning(_Content):
    """OpenAI's types have no log-probabilities here; where they were asked for, they come along."""

    def __init__(self) -> None:
        item = {"type": "reasoning", "summary": [], "content": [], "encrypted_content": None}
        super().__init__("rs", item)

    def _part(self) -> Entry:
        return {"type": "reasoning_text", "text": self.text, **self._scores(self.logprobs)}

    def _delta(self, text: str, logprobs: list[Entry] | None) -> Happening:
        return self._at("response.reasoning_text.delta", delta=text, **self._scores(logprobs))

    def _whole(self) -> Happening:
        return self._at("response.reasoning_text.done", text=self.text)

    def _scores(self, logprobs: list[Entry] | None) -> Entry:
        return {} if logprobs is None else {"logprobs": logprobs}


class _Call(Part):
    """A call of a function, or of a custom tool."""

    def __init__(self, call: Call) -> None:
        self._custom = call.tool is not None and call.tool.custom
        self._field = "input" if self._custom else "arguments"
        kind = "custom_tool_call" if self._custom else "function_call"
        item = {"type": kind, "call_id": call.id, **_name(call), self._field: ""}
        super().__init__("ctc" if self._custom else "fc", item)

    def _delta(self, text: str, logprobs: list[Entry] | None) -> Happening:
        scores = {} if logprobs is None else {"logprobs": logprobs}
        return {"type": f"{self._stem}.delta", "item_id": self.item["id"], "delta": text, **scores}

    def _set(self) -> None:
        self.item[self._field] = self.text
        if self.logprobs is not None:
            self.item["logprobs"] = self.logprobs

    def _ends(self) -> Iterator[Happening]:
        named = {} if self._custom else {"name": self.item["name"]}
        yield {"type": f"{self._stem}.done", "item_id": self.item["id"], **named, self._field: self.text}

    @property
    def _stem(self) -> str:
        return "response.custom_tool_call_input" if self._custom else "response.function_call_arguments"


def part_of(kind: Kind, call: Call | None) -> Part | None:
    """The item that a message becomes; None for one in the name of somebody else, which is no output of ours."""
    if call is not None:
        return _Call(call)
    if kind is Kind.REASONING:
        return _Reasoning()
    return _Message(kind) if kind in (Kind.ANSWER, Kind.PREAMBLE) else None


def _name(call: Call) -> Entry:
    """A call's name as clients look for it: without the namespace that all functions share, beside any other."""
    namespace, dot, name = call.recipient.rpartition(".")
    if not (namespace and dot and name) or namespace == FUNCTIONS:
        return {"name": call.name}
    return {"name": name, "namespace": namespace}
