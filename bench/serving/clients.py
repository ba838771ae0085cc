"""Clients that stream, as cheap as they can be: what they take of the machine, they take from both servers alike.

While a client runs it only notes when which bytes came; they are read when all is over.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Address", "Answer", "Call", "at_once", "events_of", "whole"]

Address = tuple[str, int]

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Call:
    """A request: where to, and what."""

    path: str
    body: dict[str, Any]

    def encoded(self, address: Address) -> bytes:
        """As it is sent."""
        body = json.dumps(self.body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Answer:
    """The events of a stream, and when each was complete, in seconds after the request was sent."""

    events: tuple[tuple[float, dict[str, Any]], ...]
    seconds: float


async def at_once(address: Address, calls: Sequence[Call], limit: float) -> list[Answer]:
    """All calls at the same time. Raises RuntimeError for an answer that is not a whole stream."""
    async with asyncio.timeout(limit):
        return await asyncio.gather(*(_streamed(address, call) for call in calls))


async def whole(address: Address, call: Call, limit: float) -> dict[str, Any]:
    """The answer to a call that does not stream."""
    async with asyncio.timeout(limit):
        received = await _received(address, call)
    head, body = _parted(b"".join(data for _, data in received.pieces))
    if b"chunked" in head.lower():
        body = b"".join(payload for payload, _ in _chunks(body))
    return json.loads(body)


async def _streamed(address: Address, call: Call) -> Answer:
    received = await _received(address, call)
    events = tuple(events_of(received.pieces))
    if not events:
        raise RuntimeError(f"{call.path}: no event came, but {b''.join(data for _, data in received.pieces)[:500]!r}")
    return Answer(events, received.seconds)


class _Received(asyncio.Protocol):
    """Bytes as they came."""

    def __init__(self, request: bytes) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.seconds = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._began = time.perf_counter()
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.perf_counter() - self._began, data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.seconds = time.perf_counter() - self._began
        if not self.ended.done():
            self.ended.set_result(None)


async def _received(address: Address, call: Call) -> _Received:
    loop = asyncio.get_running_loop()
    transport, received = await loop.create_connection(lambda: _Received(call.encoded(address)), *address)
    try:
        await received.ended
    finally:
        transport.close()
    return received


def events_of(pieces: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """The events of an answer in chunks, each with the time at which its last byte came.

    Raises RuntimeError for another status than 200.
    """
    everything = b"".join(data for _, data in pieces)
    head, body = _parted(everything)
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise RuntimeError(f"the server answers {everything[:500]!r}")
    times = _Times(pieces)
    text = b""
    for payload, end in _chunks(body):
        text += payload
        *complete, text = text.split(b"\n\n")
        for each in complete:
            data = each.removeprefix(b"data: ")
            if data.startswith(b"{"):
                yield times.at(len(head) + len(HEAD_END) + end), json.loads(data)


class _Times:
    """When each byte came; asked for bytes in their order."""

    def __init__(self, pieces: Sequence[tuple[float, bytes]]) -> None:
        self._pieces = iter(pieces)
        self._end, self._time = 0, 0.0

    def at(self, place: int) -> float:
        while self._end < place:
            self._time, data = next(self._pieces)
            self._end += len(data)
        return self._time


def _parted(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(HEAD_END)
    return head, body


def _chunks(body: bytes) -> Iterator[tuple[bytes, int]]:
    """The payloads of a chunked body, each with the place where it ends. Source: RFC 9112, section 7.1."""
    at = 0
    while (line := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:line].split(b";")[0], 16)
        if size == 0:
            return
        yield body[line + 2 : line + 2 + size], line + 2 + size
        at = line + 2 + size + 2
