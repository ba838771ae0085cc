"""A request's way to its response: what it is about, the turn, the store, the events.

Whole, streamed or in the background, a response is made by the one generator of `Making.happenings`.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
from starlette.requests import Request

from ossia.errors import CapacityError
from ossia.server.clients import Client
from ossia.server.exchange import Planned, exchange
from ossia.server.faults import Fault, RefusedError, fault_of
from ossia.server.responses.asking import Asked, ask_of
from ossia.server.responses.background import Background
from ossia.server.responses.composition import Composition
from ossia.server.responses.database import Row
from ossia.server.responses.frames import framed, packed
from ossia.server.responses.items import kind_of
from ossia.server.responses.requests import CountRequest, CreateRequest
from ossia.server.responses.shelf import Shelf, owner_of, shelf_of
from ossia.server.service import client_of, service_of

__all__ = ["Making", "asked", "making"]

REFUSAL_SECONDS = 2.0
"""A response in the background is answered once it runs, or after so long: what is refused until then is a 400."""

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}

Item = dict[str, Any]


@dataclass(frozen=True)
class _Said:
    """What a request asks, and the items that it brings itself."""

    asked: Asked
    items: list[Item]


class Making:
    """One response on its way. Nobody has heard of it until `known` is true; then it must come to an end."""

    def __init__(self, request: Request, body: CreateRequest, said: _Said) -> None:
        self._request, self._body, self._said = request, body, said
        self._shelf = shelf_of(request)
        client = client_of(request)
        self.owner = owner_of(client)
        self.composition = Composition(
            _repeated(body, said.asked),
            client,
            background=bool(body.background),
            sealed="reasoning.encrypted_content" in (body.include or []),
        )
        self.known = False
        self._error: Exception | None = None
        self._planned: Planned | None = None
        self._background: Background | None = None
        self._unsaid: list[dict[str, Any]] = []

    async def happenings(self) -> AsyncGenerator[dict[str, Any], None]:
        """The events of the API. Raises what refuses the request as long as nobody has heard of the response."""
        composition = self.composition
        try:
            async with aclosing(exchange(self._request, self._body.model or "", self._said.asked.ask)) as events:
                async for _, event in events:
                    if isinstance(event, Planned):
                        for happening in await self._begun(event):
                            yield happening
                        continue
                    told = list(composition.take(event))
                    if composition.over:
                        await self._save(told)
                    for happening in told:
                        yield happening
        except Exception as error:  # what nobody foresaw goes to the journal; the stream must end
            if not self.known:
                raise
            self._error = error
            told = list(composition.fail(fault_of(error)))
            await self._save(told)
            for happening in told:
                yield happening
        finally:
            if self.known and not composition.over and self._background is None:
                self._unsaid = list(composition.abandon("shutdown" if self._ending else "client_gone"))
                self._save_later()

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The same as frames of a stream."""
        async with aclosing(self.happenings()) as happenings:
            async for happening in happenings:
                yield framed(happening)

    async def whole(self) -> dict[str, Any]:
        """The response once it is over. Raises what ended it before its time."""
        async with aclosing(self.happenings()) as happenings:
            async for _ in happenings:
                pass
        if self._error is not None:
            raise self._error
        return self.composition.response

    async def begin(self) -> Background:
        """Let it run in the background. Raises what refuses it at once."""
        await self._shelf.store.put(self._row())
        self._background = background = Background(self.composition, self.cancel)
        background.task = asyncio.create_task(self._run(background), name=self.composition.id)
        self._shelf.add(self.owner, background)
        beginning = asyncio.ensure_future(background.begun.wait())
        try:
            await asyncio.wait({beginning}, timeout=REFUSAL_SECONDS)
        except asyncio.CancelledError:
            background.task.cancel()
            raise
        finally:
            beginning.cancel()
        if self._error is not None and not self.known:
            await self._shelf.store.delete(self.owner, self.composition.id)
            raise self._error
        self.known = True
        return background

    def cancel(self) -> None:
        """End it with what there is."""
        if self._planned is not None:
            self._planned.cancel()
        elif self._background is not None:
            self._background.task.cancel()

    async def failed(self, fault: Fault) -> bytes:
        """The end of a stream that has begun before anything else was known; its id goes out, so it is written down."""
        told = self._unsaid if self.composition.number else [*self.composition.begin()]
        if not self.composition.over:
            told += self.composition.fail(fault)
            await self._save(told)
        return b"".join(map(framed, told))

    async def _run(self, background: Background) -> None:
        for happening in self.composition.begin():
            background.push(framed(happening))
        try:
            async with aclosing(self.happenings()) as happenings:
                async for happening in happenings:
                    background.push(framed(happening))
        except asyncio.CancelledError:
            if not self.composition.over:
                for happening in self.composition.abandon("shutdown" if self._ending else "cancelled"):
                    background.push(framed(happening))
                self._save_later(packed(background.frames))
        except Exception as error:  # noqa: BLE001  # `begin` raises it
            self._error = error
        finally:
            background.close()

    async def _begun(self, planned: Planned) -> list[dict[str, Any]]:
        """It is known what will be done: write it down before anybody hears of it."""
        self._planned = planned
        self.composition.settle(planned)
        began = [] if self._background else [*self.composition.begin()]
        began += self.composition.proceed()
        if self._stored and self._background is None:
            await self._shelf.store.put(self._row())
        self.known = True
        if self._background is not None:
            self._background.begun.set()
        return began

    @property
    def _ending(self) -> bool:
        """Whether it is the server that ends, and not what its client wished for."""
        return service_of(self._request).models.closed

    @property
    def _stored(self) -> bool:
        return self._body.store is not False

    def _row(self, events: bytes | None = None) -> Row:
        return Row(
            id=self.composition.id,
            owner=self.owner,
            body={**self.composition.response},
            input=self._said.items,
            previous=self._body.previous_response_id,
            running=not self.composition.over,
            events=events,
        )

    async def _save(self, told: Sequence[dict[str, Any]]) -> None:
        """Write down what it has come to before the client hears of it. A full disk costs the store, not the answer."""
        if not self._stored:
            return
        try:
            events = None
            if self._background is not None:
                frames = chain(self._background.frames, map(framed, told))
                events = await asyncio.to_thread(packed, frames)
            await self._shelf.store.put(self._row(events))
        except CapacityError as error:
            self.composition.response["ossia"]["not_stored"] = str(error)

    def _save_later(self, events: bytes | None = None) -> None:
        if self._stored:
            self._shelf.store.put_later(self._row(events))


async def asked(request: Request, body: CountRequest) -> _Said:
    """What a request asks, after what it goes on from. Raises RefusedError."""
    client, shelf = client_of(request), shelf_of(request)
    items = await _dereferenced(_own(body.input), client, shelf)
    earlier = await _earlier(body.previous_response_id, client, shelf)
    # Reading a long conversation takes its time; others are answered meanwhile.
    return _Said(await asyncio.to_thread(ask_of, body, earlier, items, client), items)


async def making(request: Request, body: CreateRequest) -> Making:
    """The response to a request, not yet begun. Raises RefusedError."""
    return Making(request, body, await asked(request, body))


def _own(given: str | list[Item] | None) -> list[Item]:
    """The items of a request, each with its type and an id."""
    if given is None or isinstance(given, str):
        given = [{"role": "user", "content": given}] if given else []
    return [_named(item, f"input[{place}]") for place, item in enumerate(given)]


def _named(item: Item, path: str) -> Item:
    kind = kind_of(item)
    if not kind:
        words = f"the field '{path}.type' is missing; only a message, which has a role, goes without"
        raise RefusedError(words, param=f"{path}.type", code="missing_field")
    named = {**item, "type": kind}
    if not isinstance(named.get("id"), str) or not named["id"]:
        named["id"] = f"{_PREFIXES.get(kind, 'item')}_{secrets.token_hex(24)}"
    return named


async def _dereferenced(items: list[Item], client: Client, shelf: Shelf) -> list[Item]:
    """The items, with what was stored in the place of those that only name it."""
    found: list[Item] = []
    for place, item in enumerate(items):
        if item.get("type") != "item_reference":
            found.append(item)
            continue
        stored = await shelf.store.item(owner_of(client), item["id"])
        if stored is None:
            raise RefusedError(
                f"input[{place}] refers to {item['id']!r:.80}, and no such item is stored",
                status=404,
                param=f"input[{place}].id",
                code="item_not_found",
            )
        found.append(stored)
    return found


async def _earlier(identifier: str | None, client: Client, shelf: Shelf) -> list[Item]:
    """All items up to and with a stored response. Raises RefusedError when it, or one before it, is not there."""
    if identifier is None:
        return []
    rows = await shelf.store.chain(owner_of(client), identifier)
    missing = identifier if not rows else rows[0].previous
    if missing is not None:
        before = "" if missing == identifier else f"{identifier!r:.80} goes on from another: "
        raise RefusedError(
            f"{before}no response {missing!r:.80} is stored (it expired, was deleted, or never was); the whole "
            "conversation as input is right",
            status=404,
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if rows[-1].running:
        raise RefusedError(
            f"{identifier!r:.80} is still running; it can be gone on from once it is over",
            status=409,
            param="previous_response_id",
            code="response_running",
        )
    return [item for row in rows for item in [*row.input, *row.body["output"]]]


def _repeated(body: CreateRequest, asked: Asked) -> Mapping[str, Any]:
    """The fields of a response that repeat those of its request."""
    wanted = body.reasoning.summary or body.reasoning.generate_summary if body.reasoning else None
    ossia: dict[str, Any] = {"passed_over": list(asked.ask.passed_over)}
    if wanted not in (None, "none"):
        ossia["reasoning_summary"] = "none is made: the whole reasoning is the content of the reasoning items"
    return {
        "model": body.model or "",
        "instructions": body.instructions,
        "previous_response_id": body.previous_response_id,
        "tools": list(asked.offered.shown),
        "tool_choice": body.tool_choice if body.tool_choice is not None else "auto",
        "parallel_tool_calls": asked.ask.parallel,
        "reasoning": {"effort": None, "summary": None},
        "text": {"format": _format(body), "verbosity": "medium"},
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_logprobs": body.top_logprobs or 0,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "truncation": body.truncation or "disabled",
        "store": body.store is not False,
        "service_tier": "default",
        "metadata": body.metadata or {},
        "user": body.user,
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
        "ossia": ossia,
    }


def _format(body: CountRequest) -> Any:
    given = body.text and body.text.format
    return {"type": "text"} if given is None else msgspec.to_builtins(given)
