"""The paths of Responses."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ossia.server.endpoint import Endpoint
from ossia.server.faults import RefusedError
from ossia.server.planning import planned
from ossia.server.responses import shapes
from ossia.server.responses.background import Background, replayed
from ossia.server.responses.database import Row
from ossia.server.responses.frames import framed, unpacked
from ossia.server.responses.listing import items_before, page
from ossia.server.responses.making import asked, making
from ossia.server.responses.requests import CountRequest, CreateRequest
from ossia.server.responses.shelf import owner_of, shelf_of
from ossia.server.service import client_of, service_of
from ossia.server.streams import attend, sse

__all__ = ["endpoints"]

MOST_STARTING = 9
"""Digits of a sequence number."""


async def create(request: Request, body: CreateRequest) -> Response:
    """Answer, at once or in the background."""
    made = await making(request, body)
    if body.background:
        background = await made.begin()
        return await sse(request, background.follow(0)) if body.stream else _json(background.composition.response)
    if body.stream:
        return await sse(request, made.frames(), failed=made.failed)
    return _json(await attend(request, made.whole()))


async def retrieve(request: Request) -> Response:
    """A stored response, or its stream from some event on."""
    query = request.query_params
    start = _start(query.get("starting_after"))
    running = _running(request)
    row = None if running else await _row(request)
    if query.get("stream", "false").lower() not in ("true", "1"):
        if query.get("starting_after") is not None:
            raise RefusedError("starting_after is for streams; stream=true with it is right", param="starting_after")
        return _json(running.composition.response if running else row and row.body)
    if running is not None:
        return await sse(request, running.follow(start))
    assert row is not None
    return await sse(request, await _again(row, start))


async def delete(request: Request) -> Response:
    """Forget a response; one that runs is ended."""
    running = _running(request)
    if running is not None:
        await _ended(running)
    else:
        await _row(request)
    await shelf_of(request).store.delete(owner_of(client_of(request)), _id(request))
    return _json(shapes.Deleted(id=_id(request)))


async def cancel(request: Request) -> Response:
    """End a response that runs in the background; one that is over stays as it is."""
    if running := _running(request):
        await _ended(running)
        return _json(running.composition.response)
    row = await _row(request)
    if not row.body["background"]:
        raise RefusedError(
            "only a response in the background can be cancelled; closing the connection ends any other",
            code="not_in_background",
        )
    return _json(row.body)


async def input_items(request: Request) -> Response:
    """What a response was made from, page by page."""
    rows = await shelf_of(request).store.chain(owner_of(client_of(request)), _id(request))
    if not rows:
        raise _missing(request)
    return _json(page(items_before(rows), request.query_params))


async def count(request: Request, body: CountRequest) -> Response:
    """How many tokens the prompt would have."""
    return _json(await attend(request, _counted(request, body)))


async def compact(request: Request) -> Response:
    """Nothing is compacted here."""
    raise RefusedError(
        'nothing is compacted here; truncation "auto" drops whole old turns, and the model can be asked for a summary',
        code="unsupported",
    )


async def _counted(request: Request, body: CountRequest) -> shapes.Count:
    said, service = await asked(request, body), service_of(request)
    async with service.models.lease(body.model) as served:
        made = await planned(said.asked.ask, served, service, client_of(request).salt)
        return shapes.Count(input_tokens=len(made.prompt))


def _running(request: Request) -> Background | None:
    return shelf_of(request).running(owner_of(client_of(request)), _id(request))


async def _row(request: Request) -> Row:
    row = await shelf_of(request).store.get(owner_of(client_of(request)), _id(request))
    if row is None:
        raise _missing(request)
    return row


def _missing(request: Request) -> RefusedError:
    return RefusedError(
        f"no response {_id(request)!r:.80} is stored", status=404, param="response_id", code="response_not_found"
    )


def _id(request: Request) -> str:
    return str(request.path_params["response_id"])


async def _ended(running: Background) -> None:
    running.cancel()
    await asyncio.wait({running.task})


async def _again(row: Row, start: int) -> AsyncGenerator[bytes, None]:
    """The frames of a response that is over, from number `start` on."""
    if row.events is not None:
        return replayed(unpacked(row.events), start)
    if not row.body["background"]:
        raise RefusedError(
            "only the stream of a response in the background can be taken up again; without stream it is right",
            param="stream",
        )
    # The server ended while it ran, and its events with it: that is all there is to tell.
    told = {"type": "response.failed", "response": row.body, "sequence_number": start}
    return replayed([framed(told)], 0)


def _start(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_STARTING):
        raise RefusedError(f"starting_after is {text!r:.40}; a sequence number is right", param="starting_after")
    return int(text) + 1


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


_ONE = "/v1/responses/{response_id}"
_INCLUDE = dict.fromkeys(("include", "include[]"), "taken; what is stored is sent in full")

endpoints = (
    Endpoint(
        "POST",
        "/v1/responses",
        create,
        "Answer, as OpenAI's Responses does.",
        body=CreateRequest,
        answer=shapes.Response,
        events=shapes.StreamEvent,
    ),
    Endpoint(
        "POST", "/v1/responses/input_tokens", count, "Count a prompt's tokens.", body=CountRequest, answer=shapes.Count
    ),
    Endpoint("POST", "/v1/responses/compact", compact, "Refused: nothing is compacted here."),
    Endpoint(
        "GET",
        _ONE,
        retrieve,
        "A stored response.",
        answer=shapes.Response,
        events=shapes.StreamEvent,
        query={
            "stream": "true: the events of a response in the background, running or over",
            "starting_after": "the sequence number of the last event that is not wanted any more",
            "include_obfuscation": "taken; there is no padding",
            **_INCLUDE,
        },
    ),
    Endpoint("DELETE", _ONE, delete, "Forget a stored response.", answer=shapes.Deleted),
    Endpoint("POST", f"{_ONE}/cancel", cancel, "End a response in the background.", answer=shapes.Response),
    Endpoint(
        "GET",
        f"{_ONE}/input_items",
        input_items,
        "What a stored response was made from.",
        answer=shapes.Listing,
        query={
            "after": "the id of the last item of the page before",
            "limit": "how many, 1 to 100",
            "order": "desc (the last item first) or asc",
            **_INCLUDE,
        },
    ),
)
