"""A turn's events as Ollama tells them. A whole answer is the lines of a stream, put together."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ossia.assistant import Ended, Finish, Kind, Text
from ossia.harmony import Message, Vocabulary
from ossia.server.paragraphs import Paragraphs
from ossia.server.scores import scored
from ossia.server.turns import Call, Done, Event, Opened, arguments_of

__all__ = ["DONE_REASON", "Lines", "now", "together"]

DONE_REASON: dict[Finish, str] = {
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "time_limit": "length",
    "repetition": "repetition",
    "cancelled": "cancelled",
    "no_token": "error",
    "shutdown": "shutdown",
}
"""The last four are not Ollama's own; its clients take any. `ossia.finish` is always exact."""

NANOSECONDS = 1_000_000_000


@dataclass
class Lines:
    """Translates the events of one answer into the parts of its lines that are not the same in all."""

    vocabulary: Vocabulary
    chat: bool
    logprobs: bool = False
    _call: Call | None = None
    _calls: int = 0
    _paragraphs: Paragraphs = field(default_factory=Paragraphs)
    _cut: list[dict[str, str]] = field(default_factory=list)

    def of(self, event: Event) -> Iterator[dict[str, Any]]:
        """What an event adds."""
        match event:
            case Opened(_, call):
                self._call = call
                self._paragraphs.begin()
            case Text(Kind.CALL):
                pass  # a call goes out whole: its arguments are an object here
            case Text(kind, text, _, drawn) if kind is not Kind.OTHER:
                name = "thinking" if kind is Kind.REASONING else "content"
                scores = [entry for token in drawn if (entry := scored(token, self.vocabulary))]
                yield self._part(name, self._paragraphs.add(name, text)) | (
                    {"logprobs": scores} if self.logprobs and scores else {}
                )
            case Ended(message) if self._call is not None:
                yield from self._called(self._call, message)
                self._call = None
            case Done():
                yield self._end(event)
            case _:
                pass

    def _part(self, name: str, text: str) -> dict[str, Any]:
        if self.chat:
            return {"message": {"role": "assistant", "content": "", name: text}}
        return {"response": text} if name == "content" else {"response": "", "thinking": text}

    def _called(self, call: Call, message: Message) -> Iterator[dict[str, Any]]:
        arguments = arguments_of(message.text)
        if arguments is None:
            # No place in Ollama's shape holds half an object; nothing that was written is lost all the same.
            self._cut.append({"name": call.name, "arguments": message.text})
            return
        function = {"index": self._calls, "name": call.name, "arguments": arguments}
        self._calls += 1
        calls = [{"id": call.id, "function": function}]
        yield {"message": {"role": "assistant", "content": "", "tool_calls": calls}}

    def _end(self, done: Done) -> dict[str, Any]:
        usage, first = done.turn.usage, done.first_token_seconds or 0.0
        told = {**done.settings, "finish": done.turn.finish}
        return {
            **({"message": {"role": "assistant", "content": ""}} if self.chat else {"response": ""}),
            "done": True,
            "done_reason": DONE_REASON[done.turn.finish],
            "total_duration": round(done.seconds * NANOSECONDS),
            "load_duration": 0,
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": round(first * NANOSECONDS),
            "eval_count": usage.generated_tokens,
            "eval_duration": round((done.seconds - first) * NANOSECONDS),
            "ossia": told | ({"incomplete_calls": self._cut} if self._cut else {}),
        }


def together(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The lines of one answer as one object."""
    whole = {**lines[-1]}
    if "message" in whole:
        whole["message"] = _message([line["message"] for line in lines])
    else:
        whole["response"] = "".join(line["response"] for line in lines)
        if thinking := "".join(line.get("thinking", "") for line in lines):
            whole["thinking"] = thinking
    if logprobs := [entry for line in lines for entry in line.get("logprobs", ())]:
        whole["logprobs"] = logprobs
    return whole


def now() -> str:
    """The time, as Ollama writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _message(parts: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(part["content"] for part in parts)}
    if thinking := "".join(part.get("thinking", "") for part in parts):
        message["thinking"] = thinking
    if calls := [call for part in parts for call in part.get("tool_calls", ())]:
        message["tool_calls"] = calls
    return message
