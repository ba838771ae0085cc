"""POST /v1/chat/completions."""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.ask import Ask
from ossia.server.chat.reply import Deltas, Whole, usage_of
from ossia.server.chat.request import ChatRequest, ask_of
from ossia.server.endpoint import Endpoint
from ossia.server.exchange import FINISH, Planned, exchange
from ossia.server.streams import DONE, attend, event, sse
from ossia.server.turns import Done

__all__ = ["endpoints"]


class Completion(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]
    metadata: dict[str, str] | None = None
    service_tier: str = "default"
    system_fingerprint: str | None = None
    ossia: list[dict[str, Any]] | dict[str, Any]


class Chunk(msgspec.Struct, kw_only=True):
    """A part of a streamed answer. `usage` is there when it was asked for, `ossia` at the end of an answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | UnsetType | None = UNSET
    ossia: dict[str, Any] | UnsetType = UNSET


async def create(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation."""
    ask = ask_of(body)
    if body.stream:
        return await sse(request, _chunks(request, body, ask))
    return await attend(request, _whole(request, body, ask))


async def _whole(request: Request, body: ChatRequest, ask: Ask) -> Response:
    answers: list[Answer] = []
    async with aclosing(exchange(request, body.model, ask, body.n or 1)) as events:
        async for index, happened in events:
            if isinstance(happened, Planned):
                answers = [Answer(happened, bool(body.logprobs)) for _ in happened.running]
                continue
            answers[index].take(happened)
    done = [answer.done for answer in answers if answer.done is not None]
    completion = Completion(
        id=_id(),
        object="chat.completion",
        created=int(time.time()),
        model=body.model,
        choices=[answer.choice(index) for index, answer in enumerate(answers)],
        usage=usage_of(done),
        metadata=body.metadata,
        ossia=_echo(done),
    )
    return Response(msgspec.json.encode(completion), media_type="application/json")


class Answer:
    """One whole answer, as its events come."""

    def __init__(self, planned: Planned, logprobs: bool) -> None:
        self._deltas = Deltas(planned.served.vocabulary, logprobs)
        self._whole = Whole()
        self._logprobs = logprobs
        self.done: Done | None = None

    def take(self, happened: Any) -> None:
        """Take an event."""
        if isinstance(happened, Done):
            self.done = happened
        for delta, logprobs in self._deltas.of(happened):
            self._whole.add(delta, logprobs)

    def choice(self, index: int) -> dict[str, Any]:
        """The answer as one of the choices."""
        assert self.done is not None
        logprobs = {**self._whole.logprobs, "refusal": None} if self._logprobs else None
        return {
            "index": index,
            "message": self._whole.message(),
            "finish_reason": FINISH[self.done.turn.finish],
            "logprobs": logprobs,
        }


async def _chunks(request: Request, body: ChatRequest, ask: Ask) -> AsyncGenerator[bytes, None]:
    identifier, created = _id(), int(time.time())
    done: list[Done] = []
    deltas: list[Deltas] = []
    usage = bool(body.stream_options and body.stream_options.include_usage)

    def chunk(choices: list[dict[str, Any]], ossia: dict[str, Any] | UnsetType = UNSET, **more: Any) -> bytes:
        return event(
            Chunk(
                id=identifier,
                object="chat.completion.chunk",
                created=created,
                model=body.model,
                choices=choices,
                ossia=ossia,
                **({"usage": None} if usage else {}) | more,
            )
        )

    async with aclosing(exchange(request, body.model, ask, body.n or 1)) as events:
        async for index, happened in events:
            if isinstance(happened, Planned):
                deltas = [Deltas(happened.served.vocabulary, bool(body.logprobs)) for _ in happened.running]
                start = {"role": "assistant", "content": ""}
                yield b"".join(chunk([_choice(place, start)]) for place in range(len(deltas)))
                continue
            for delta, logprobs in deltas[index].of(happened):
                yield chunk([_choice(index, delta, logprobs)])
            if isinstance(happened, Done):
                done.append(happened)
                finish = FINISH[happened.turn.finish]
                yield chunk([_choice(index, {}, finish=finish)], ossia=_settings(happened))
    if usage:
        yield chunk([], usage=usage_of(done))
    yield DONE


def _choice(
    index: int, delta: dict[str, Any], logprobs: dict[str, Any] | None = None, finish: str | None = None
) -> dict[str, Any]:
    scored = logprobs and {"content": None, "refusal": None, **logprobs}
    return {"index": index, "delta": delta, "logprobs": scored, "finish_reason": finish}


def _settings(done: Done) -> dict[str, Any]:
    return {**done.settings, "finish": done.turn.finish}


def _echo(done: list[Done]) -> list[dict[str, Any]] | dict[str, Any]:
    """The settings in effect: of the one answer, or of each."""
    echoes = [_settings(each) for each in done]
    return echoes[0] if len(echoes) == 1 else echoes


def _id() -> str:
    return f"chatcmpl-{secrets.token_hex(16)}"


endpoints = (
    Endpoint(
        "POST",
        "/v1/chat/completions",
        create,
        "Answer a conversation, as OpenAI's Chat Completions does.",
        body=ChatRequest,
        answer=Completion,
        events=Chunk,
    ),
)
