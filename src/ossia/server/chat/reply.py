"""A turn's events as Chat Completions tells them.

A whole answer is made of the same deltas that a stream sends, so the two cannot differ. What the model says to the user
on the way (preambles) and its answer are both content, with an empty line between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ossia.assistant import DrawnToken, Kind, Text
from ossia.harmony import Vocabulary
from ossia.server.paragraphs import Paragraphs
from ossia.server.scores import scored
from ossia.server.turns import Call, Done, Event, Opened

__all__ = ["Delta", "Deltas", "Whole", "usage_of"]

Delta = dict[str, Any]
Entry = dict[str, Any]

_FIELDS = {Kind.ANSWER: ("content",), Kind.PREAMBLE: ("content",), Kind.REASONING: ("reasoning", "reasoning_content")}


@dataclass
class Deltas:
    """Translates the events of one answer."""

    vocabulary: Vocabulary
    logprobs: bool = False
    _call: Call | None = None
    _calls: int = 0
    _paragraphs: Paragraphs = field(default_factory=Paragraphs)

    def of(self, event: Event) -> Iterator[tuple[Delta, dict[str, list[Entry]] | None]]:
        """The deltas of an event, each with the log-probabilities of its tokens."""
        match event:
            case Opened(_, call):
                self._call = call
                self._paragraphs.begin()
                if call is not None:
                    yield self._begun(call), None
            case Text(Kind.CALL, text) if self._call is not None:
                yield {"tool_calls": [{"index": self._calls - 1, **_arguments(self._call, text)}]}, None
            case Text(kind, text, _, drawn) if kind in _FIELDS:
                names = _FIELDS[kind]
                more = self._paragraphs.add(names[0], text)
                yield dict.fromkeys(names, more), self._entries(names[0], drawn)
            case _:
                pass

    def _begun(self, call: Call) -> Delta:
        self._calls += 1
        return {"tool_calls": [{"index": self._calls - 1, "id": call.id, **_named(call)}]}

    def _entries(self, name: str, drawn: tuple[DrawnToken, ...]) -> dict[str, list[Entry]] | None:
        if not self.logprobs:
            return None
        return {name: [entry for token in drawn if (entry := scored(token, self.vocabulary))]}


@dataclass
class Whole:
    """The deltas of one answer, put together."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: dict[str, list[Entry]] = field(default_factory=lambda: {"content": [], "reasoning": []})

    def add(self, delta: Delta, logprobs: dict[str, list[Entry]] | None) -> None:
        """Put another one on."""
        self.content += [delta["content"]] if "content" in delta else []
        self.reasoning += [delta["reasoning"]] if "reasoning" in delta else []
        for name, entries in (logprobs or {}).items():
            self.logprobs[name] += entries
        for part in delta.get("tool_calls", ()):
            if "id" in part:
                self.calls.append({key: part[key] for key in part if key != "index"})
            else:
                _extend(self.calls[part["index"]], part)

    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        reasoning = "".join(self.reasoning) or None
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self.content) if self.content or not self.calls else None,
            "refusal": None,
            "annotations": [],
            "reasoning": reasoning,
            "reasoning_content": reasoning,
        }
        return message | ({"tool_calls": self.calls} if self.calls else {})


def usage_of(done: list[Done]) -> dict[str, Any]:
    """The tokens of all answers to one request, whose prompt counts once."""
    usages = [each.turn.usage for each in done]
    prompt, generated = usages[0].prompt_tokens, sum(usage.generated_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": usages[0].cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.reasoning_tokens for usage in usages)},
    }


def _named(call: Call) -> Delta:
    if call.tool is not None and call.tool.custom:
        return {"type": "custom", "custom": {"name": call.name, "input": ""}}
    return {"type": "function", "function": {"name": call.name, "arguments": ""}}


def _arguments(call: Call, text: str) -> Delta:
    if call.tool is not None and call.tool.custom:
        return {"custom": {"input": text}}
    return {"function": {"arguments": text}}


def _extend(call: dict[str, Any], part: dict[str, Any]) -> None:
    for kind, name in (("function", "arguments"), ("custom", "input")):
        if kind in part:
            call[kind] = {**call[kind], name: call[kind][name] + part[kind][name]}
