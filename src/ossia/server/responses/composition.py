"""A response while it is being made: the turn's events go in, those of the API come out.

Streamed, stored or whole, a response is made here, so that none of them can differ from the others. Every event has the
next sequence number, and the last one is response.completed, response.incomplete or response.failed, whatever happens.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ossia.assistant import DrawnToken, Ended, Finish, Text, Usage
from ossia.server.clients import Client
from ossia.server.exchange import Planned
from ossia.server.faults import Fault
from ossia.server.responses.parts import Part, part_of
from ossia.server.responses.sealed import seal
from ossia.server.scores import scored
from ossia.server.turns import Done, Event, Opened

__all__ = ["ENDS", "Composition", "usage_of"]

Happening = dict[str, Any]

ENDS = ("completed", "incomplete", "failed", "cancelled")
"""The statuses of a response that changes no more."""

_ENDINGS: dict[Finish, tuple[str, str | None]] = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", "max_output_tokens"),
    # These reasons are our own: none of OpenAI's would be true.
    "repetition": ("incomplete", "repetition"),
    "time_limit": ("incomplete", "time_limit"),
    "shutdown": ("incomplete", "shutdown"),
    "cancelled": ("cancelled", "cancelled"),
    "no_token": ("failed", None),
}

Abandoned = Literal["cancelled", "client_gone", "shutdown"]
"""Why a response ends that nobody waits for: it was cancelled, its client closed the connection, the server ends."""

_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}
"""Source: OpenAI's API reference, "error" of a response."""


class Composition:
    """One response. `response` is what it has come to; `fields` are those that it repeats from the request."""

    def __init__(self, fields: Mapping[str, Any], client: Client, *, background: bool, sealed: bool) -> None:
        self.id = f"resp_{secrets.token_hex(24)}"
        self._client, self._sealed = client, sealed
        self._number = 0
        self._open: Part | None = None
        self._planned: Planned | None = None
        self.response: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "completed_at": None,
            "status": "queued" if background else "in_progress",
            "background": background,
            "error": None,
            "incomplete_details": None,
            **fields,
            "output": [],
            "usage": None,
        }

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.response["status"] in ENDS

    @property
    def number(self) -> int:
        """The sequence number of the next event."""
        return self._number

    def begin(self) -> Iterator[Happening]:
        """The response is there."""
        yield self._told("response.created")
        if self.response["status"] == "queued":
            yield self._told("response.queued")

    def settle(self, planned: Planned) -> None:
        """It is known what will be done, and with which settings."""
        self._planned = planned
        params = planned.plan.params
        reasoning = {**self.response["reasoning"], "effort": planned.plan.settings["effort"]}
        self.response |= {"temperature": params.temperature, "top_p": params.top_p, "reasoning": reasoning}
        self.response["model"] = self.response["model"] or planned.served.name

    def proceed(self) -> Iterator[Happening]:
        """It is begun."""
        self.response["status"] = "in_progress"
        yield self._told("response.in_progress")

    def take(self, event: Event) -> Iterator[Happening]:
        """What an event of the turn comes to; Done ends the response."""
        match event:
            case Opened(kind, call):
                yield from self._close("completed")
                yield from self._opened(part_of(kind, call))
            case Text(_, text, _, drawn) if self._open is not None and self._planned is not None:
                yield from self._numbered(self._open.grow(text, self._scores(drawn, self._planned)))
            case Done():
                yield from self._done(event)
            case _:
                # Whether a message was cut off is known at the end only, so Ended does not close its item.
                assert isinstance(event, Text | Ended)

    def fail(self, fault: Fault) -> Iterator[Happening]:
        """End it with an error."""
        yield from self._close("incomplete")
        self.response["error"] = {"code": _CODES.get(fault.status, "server_error"), "message": fault.words}
        yield self._over("failed")

    def abandon(self, reason: Abandoned) -> Iterator[Happening]:
        """End it with what there is, because nobody wants more, or none can come."""
        yield from self._close("incomplete")
        self.response["incomplete_details"] = {"reason": reason}
        self.response["ossia"] = {**self.response["ossia"], "finish": reason}
        yield self._over("incomplete" if reason == "shutdown" else "cancelled")

    def _scores(self, drawn: tuple[DrawnToken, ...], planned: Planned) -> list[dict[str, Any]] | None:
        """The tokens' log-probabilities; None if they were not asked for."""
        if planned.plan.params.logprobs is None:
            return None
        return [entry for token in drawn if (entry := scored(token, planned.served.vocabulary))]

    def _opened(self, part: Part | None) -> Iterator[Happening]:
        self._open = part
        if part is not None:
            self.response["output"].append(part.item)
            yield from self._numbered(part.begin())

    def _close(self, status: Any) -> Iterator[Happening]:
        part, self._open = self._open, None
        if part is None:
            return
        happenings = list(part.end(status))
        if self._sealed and part.item["type"] == "reasoning":
            part.item["encrypted_content"] = seal(part.text, self._client)
            happenings[-1]["item"] = {**part.item}
        yield from self._numbered(happenings)

    def _done(self, done: Done) -> Iterator[Happening]:
        status, reason = _ENDINGS[done.turn.finish]
        yield from self._close("completed" if status == "completed" else "incomplete")
        self.response["usage"] = usage_of(done.turn.usage)
        self.response["ossia"] = {**done.settings, **self.response["ossia"], "finish": done.turn.finish}
        if status in ("incomplete", "cancelled"):
            self.response["incomplete_details"] = {"reason": reason}
        if status == "failed":
            message = f"no token could be drawn: {done.turn.failure}"
            self.response["error"] = {"code": "server_error", "message": message}
        yield self._over(status)

    def _over(self, status: str) -> Happening:
        self.response["status"] = status
        if status == "completed":
            self.response["completed_at"] = int(time.time())
        # OpenAI has no event for a response that was cancelled.
        return self._told("response.incomplete" if status == "cancelled" else f"response.{status}")

    def _told(self, kind: str) -> Happening:
        return self._next({"type": kind, "response": {**self.response, "output": [*self.response["output"]]}})

    def _numbered(self, happenings: Any) -> Iterator[Happening]:
        for happening in happenings:
            yield self._next({**happening, "output_index": len(self.response["output"]) - 1})

    def _next(self, happening: Happening) -> Happening:
        self._number += 1
        return {**happening, "sequence_number": self._number - 1}


def usage_of(usage: Usage) -> dict[str, Any]:
    """The tokens of a turn."""
    return {
        "input_tokens": usage.prompt_tokens,
        # Nothing is paid for what is written to the cache, so that it is not counted.
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.generated_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.generated_tokens,
    }
