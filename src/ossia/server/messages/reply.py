"""A turn's events as content blocks. A whole answer is made of the same events that a stream sends."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ossia.assistant import Ended, Finish, Kind, Text, Usage
from ossia.server.turns import Call, Done, Event, Opened, arguments_of

__all__ = ["STOP_REASON", "Blocks", "Whole", "ending", "usage_of"]

STOP_REASON: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "time_limit": "max_tokens",
    "tool_calls": "tool_use",
    "repetition": "repetition",
    "cancelled": "cancelled",
    "no_token": "error",
    "shutdown": "shutdown",
}
"""The last four are not Anthropic's own: none of its reasons would be true. `ossia.finish` is always exact."""

Data = dict[str, Any]


@dataclass
class Blocks:
    """Translates the events of one answer into events of blocks; `thinking` says whether reasoning is shown.

    Reasoning that is not shown is kept in `hidden`, to be told at the end.
    """

    thinking: bool
    hidden: list[str] = field(default_factory=list)
    _index: int = -1
    _kind: Kind | None = None
    _text: list[str] = field(default_factory=list)

    def of(self, event: Event) -> Iterator[Data]:
        """What an event adds."""
        match event:
            case Opened(kind, call):
                self._kind, self._text = kind, []
                if self._shown:
                    self._index += 1
                    block = _begun(kind, call)
                    yield {"type": "content_block_start", "index": self._index, "content_block": block}
            case Text(_, text):
                self._text.append(text)
                if self._shown:
                    yield self._delta(text)
            case Ended():
                yield from self._ended()
            case _:
                pass

    @property
    def _shown(self) -> bool:
        return self._kind is not Kind.OTHER and (self.thinking or self._kind is not Kind.REASONING)

    def _delta(self, text: str) -> Data:
        match self._kind:
            case Kind.REASONING:
                delta = {"type": "thinking_delta", "thinking": text}
            case Kind.CALL:
                delta = {"type": "input_json_delta", "partial_json": text}
            case _:
                delta = {"type": "text_delta", "text": text}
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _ended(self) -> Iterator[Data]:
        text = "".join(self._text)
        if self._kind is Kind.REASONING and not self._shown and text:
            self.hidden.append(text)
        if self._shown:
            if self._kind is Kind.REASONING:
                signed = {"type": "signature_delta", "signature": _signature(text)}
                yield {"type": "content_block_delta", "index": self._index, "delta": signed}
            yield {"type": "content_block_stop", "index": self._index}


@dataclass
class Whole:
    """The blocks of one answer, put together; `cut` are calls whose arguments are no object."""

    blocks: list[Data] = field(default_factory=list)
    cut: list[Data] = field(default_factory=list)
    _json: list[str] = field(default_factory=list)

    def add(self, event: Data) -> None:
        """Put another event on."""
        match event:
            case {"type": "content_block_start", "content_block": block}:
                self.blocks.append(dict(block))
                self._json = []
            case {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": part}}:
                self._json.append(part)
            case {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": signature}}:
                self.blocks[-1]["signature"] = signature
            case {"type": "content_block_delta", "delta": {"text": part}}:
                self.blocks[-1]["text"] += part
            case {"type": "content_block_delta", "delta": {"thinking": part}}:
                self.blocks[-1]["thinking"] += part
            case _:
                if self.blocks[-1]["type"] == "tool_use":
                    self._called("".join(self._json))

    def _called(self, text: str) -> None:
        arguments = arguments_of(text)
        if arguments is not None:
            self.blocks[-1]["input"] = arguments
        else:
            self.cut.append({"name": self.blocks[-1]["name"], "arguments": text})


def usage_of(usage: Usage) -> Data:
    """The tokens; those of the prompt that a cached prefix had are counted apart."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.generated_tokens,
    }


def ending(done: Done, blocks: Blocks, cut: list[Data]) -> tuple[Data, Data]:
    """Why it ended, and the settings in effect with what has no place among the blocks."""
    reason = "stop_sequence" if done.turn.stopped_by is not None else STOP_REASON[done.turn.finish]
    told = {**done.settings, "finish": done.turn.finish}
    if blocks.hidden:
        told["reasoning"] = "\n\n".join(blocks.hidden)
    if cut:
        told["incomplete_calls"] = cut
    return {"stop_reason": reason, "stop_sequence": done.turn.stopped_by}, told


def _begun(kind: Kind, call: Call | None) -> Data:
    if call is not None:
        return {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
    if kind is Kind.REASONING:
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": "", "citations": None}


def _signature(text: str) -> str:
    """What clients send back with the text; nothing here depends on it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
