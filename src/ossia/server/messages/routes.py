"""POST /v1/messages and /v1/messages/count_tokens."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ossia.assistant import Usage
from ossia.server.ask import Ask
from ossia.server.endpoint import Endpoint
from ossia.server.exchange import Planned, exchange
from ossia.server.messages.reply import Blocks, Whole, ending, usage_of
from ossia.server.messages.request import CountRequest, MessagesRequest, ask_of, shows_thinking
from ossia.server.planning import planned
from ossia.server.service import client_of, service_of
from ossia.server.streams import attend, event, sse
from ossia.server.turns import Done

__all__ = ["endpoints"]

BETA = {"beta": "taken: the beta's fields are declared with the others"}
"""Anthropic's own clients send it with what they call beta."""


class Message(Struct, kw_only=True):
    """A whole answer, or, at the beginning of a stream, an empty one."""

    id: str
    model: str
    usage: dict[str, Any]
    type: str = "message"
    role: str = "assistant"
    content: list[dict[str, Any]] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    ossia: dict[str, Any] | UnsetType = UNSET


class Counted(Struct):
    """How many tokens a prompt has."""

    input_tokens: int


class StreamEvent(Struct, kw_only=True):
    """One event of a stream: message_start, content_block_start, _delta and _stop, message_delta, message_stop."""

    type: str


async def create(request: Request, body: MessagesRequest) -> Response:
    """Answer a conversation."""
    ask = ask_of(body)
    if body.stream:
        return await sse(request, _events(request, body, ask))
    return await attend(request, _whole(request, body, ask))


async def count_tokens(request: Request, body: CountRequest) -> Response:
    """How many tokens the prompt would have."""
    service = service_of(request)
    async with service.models.lease(body.model) as served:
        made = await planned(ask_of(body), served, service, client_of(request).salt)
        return _json(Counted(len(made.prompt)))


async def _whole(request: Request, body: MessagesRequest, ask: Ask) -> Response:
    blocks, whole = Blocks(shows_thinking(body)), Whole()
    done: Done | None = None
    async with aclosing(exchange(request, body.model, ask)) as events:
        async for _, happened in events:
            if isinstance(happened, Planned):
                continue
            if isinstance(happened, Done):
                done = happened
            for each in blocks.of(happened):
                whole.add(each)
    assert done is not None
    end, told = ending(done, blocks, whole.cut)
    usage = usage_of(done.turn.usage)
    return _json(Message(id=_id(), model=body.model, content=whole.blocks, usage=usage, ossia=told, **end))


async def _events(request: Request, body: MessagesRequest, ask: Ask) -> AsyncGenerator[bytes, None]:
    blocks, whole = Blocks(shows_thinking(body)), Whole()
    async with aclosing(exchange(request, body.model, ask)) as events:
        async for _, happened in events:
            if isinstance(happened, Planned):
                usage = usage_of(Usage(prompt_tokens=len(happened.plan.prompt)))
                yield _event({"type": "message_start", "message": Message(id=_id(), model=body.model, usage=usage)})
                continue
            for each in blocks.of(happened):
                whole.add(each)
                yield _event(each)
            if isinstance(happened, Done):
                end, told = ending(happened, blocks, whole.cut)
                usage = usage_of(happened.turn.usage)
                yield _event({"type": "message_delta", "delta": end, "usage": usage, "ossia": told})
    yield _event({"type": "message_stop"})


def _event(data: dict[str, Any]) -> bytes:
    return event(data, data["type"])


def _json(body: Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def _id() -> str:
    return f"msg_{secrets.token_hex(16)}"


endpoints = (
    Endpoint(
        "POST",
        "/v1/messages",
        create,
        "Answer a conversation, as Anthropic's Messages does.",
        body=MessagesRequest,
        query=BETA,
        answer=Message,
        events=StreamEvent,
    ),
    Endpoint(
        "POST",
        "/v1/messages/count_tokens",
        count_tokens,
        "How many tokens a prompt has.",
        body=CountRequest,
        query=BETA,
        answer=Counted,
    ),
)
