"""Answers that come in parts: server-sent events and newline-delimited JSON, for clients that may go away at any time.

A wire module writes an async generator of frames and hands it to `sse` or `ndjson`; what it must do is clean up in
`finally`. The rest is here: the first frame is awaited before the status is sent, so that a refusal is a real 400 or
429; a client that has gone cancels the generator at once; an error after the beginning is sent in the API's own form,
and the stream ends properly; a quiet stream says that it is alive; a reader that takes nothing is let go.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ossia.errors import OssiaError, UnavailableError
from ossia.server.faults import CUT_OFF, ClientGone, Fault, Style, fault_of, style_of, unforeseen
from ossia.server.service import service_of

__all__ = ["ABORT", "DONE", "PING", "Frames", "attend", "event", "line", "ndjson", "sse"]

T = TypeVar("T")

Frames = AsyncGenerator[bytes, None]
"""What a wire module yields: each item one `event` or `line`, or several of them joined."""

Failed = Callable[[Fault], Awaitable[bytes]]
"""What makes the last frames of a stream that an error ends."""

DONE = b"data: [DONE]\n\n"
"""The end of a stream of OpenAI's completions."""

PING = b": ping\n\n"
"""A comment: clients of server-sent events pass over it. Source: WHATWG HTML, "Server-sent events"."""

ABORT = "ossia.abort"
"""The extension of an ASGI scope that closes its connection at once, whatever is still to be sent."""

BURST = 4
"""Frames that may be written before everything else has its turn, the news that a connection is lost among it."""

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"

_ENCODER = msgspec.json.Encoder()

_BREAKS = tuple((mark.encode(), f"\\u{ord(mark):04x}".encode()) for mark in "\x85\u2028\u2029")
"""Line breaks that JSON leaves as they are, and how it may write them too."""


def event(data: object, name: str | None = None, number: int | None = None) -> bytes:
    r"""One server-sent event: `data` as JSON, with the event's name and its id where they are given.

    >>> event({"delta": "a\nb"}, "response.output_text.delta", 3)
    b'id: 3\nevent: response.output_text.delta\ndata: {"delta":"a\\nb"}\n\n'
    """
    # JSON has no line break of its own, so it is always one line of data.
    lines = b"data: %b\n\n" % _one_line(data)
    if name is not None:
        lines = b"event: %b\n%b" % (name.encode("ascii"), lines)
    return lines if number is None else b"id: %d\n%b" % (number, lines)


def line(data: object) -> bytes:
    """One line of newline-delimited JSON."""
    return _one_line(data) + b"\n"


def _one_line(data: object) -> bytes:
    """JSON that is one line for every reader: some, Ollama's package among them, cut where Python's splitlines does."""
    text = _ENCODER.encode(data)
    for mark, escaped in _BREAKS:
        text = text.replace(mark, escaped)
    return text


async def sse(request: Request, frames: Frames, *, failed: Failed | None = None) -> Response:
    """A stream of server-sent events.

    `failed` makes the last frames of a stream that an error ends; without it they are what the path's API has.
    Raises what `frames` raises before its first frame, and ClientGone when nobody waits for it any more.
    """
    return await _begun(_Stream(request, frames, SSE, failed or _error_event(style_of(request.url.path))))


async def ndjson(request: Request, frames: Frames) -> Response:
    """A stream of JSON objects, one a line, as Ollama's clients read them; an error is the last one. Raises like `sse`.

    It is never pinged: there is no line that its clients would pass over.
    """
    style = style_of(request.url.path)

    async def failed(fault: Fault) -> bytes:
        return line(fault.shaped(style))

    return await _begun(_Stream(request, frames, NDJSON, failed))


async def attend(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, cancelled as soon as the client has gone: for answers that come whole.

    The body must have been read. Raises what `work` raises, and ClientGone.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        await _cancelled(task, gone)


async def _left(receive: Receive) -> None:
    """Return when the client has gone; whatever else it sends after its body is not looked at."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs and wait until all have ended, whatever they end with."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _error_event(style: Style) -> Failed:
    """The error as a last event: with a name where clients dispatch by it, else as data that they look into."""

    async def failed(fault: Fault) -> bytes:
        if style is Style.ANTHROPIC:
            return event(fault.shaped(style), "error")
        return event(fault.shaped(style)) + DONE

    return failed


async def _begun(stream: "_Stream") -> Response:
    await stream.begin()
    return stream


@dataclass
class _Pen:
    """The one place that writes to the client, so that a frame and a ping cannot mix."""

    send: Send
    last: float = 0.0  # when the last write ended
    since: float | None = None  # when the write in progress began
    writes: int = 0

    async def write(self, body: bytes, more: bool = True) -> None:
        self.since = time.monotonic()
        try:
            await self.send({"type": "http.response.body", "body": body, "more_body": more})
        finally:
            self.since, self.last = None, time.monotonic()
        self.writes += 1
        if self.writes % BURST == 0:
            # Neither a source that has much to say nor a connection that is gone makes anybody wait here.
            await asyncio.sleep(0)


class _Stream(Response):
    """An ASGI response that drives a generator of frames."""

    def __init__(self, request: Request, frames: Frames, media_type: str, failed: Failed) -> None:
        super().__init__(None, 200, {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}, media_type)
        # A response of unknown length has no length; Starlette gives every empty one a zero.
        del self.headers["content-length"]
        config = service_of(request).config
        self._ping, self._stall = config.ping_seconds, config.limits.stall_seconds
        self._frames, self._failed = frames, failed
        self._receive = request.receive
        self._state = request.state

    async def begin(self) -> None:
        """Wait for the first frame, but no longer than a ping's time: after that the status is sent without it."""
        self._gone = asyncio.ensure_future(_left(self._receive))
        self._first = asyncio.ensure_future(anext(self._frames))
        try:
            await asyncio.wait({self._first, self._gone}, timeout=self._ping, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.done() and not self._first.done():
                raise ClientGone
            if self._first.done() and not isinstance(error := self._first.exception(), StopAsyncIteration | None):
                raise error
        except BaseException:
            await self._close()
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, until it ends or the client does; cut off, it says so."""
        pen = _Pen(send)
        producer = asyncio.ensure_future(self._produce(pen))
        try:
            while not producer.done() and not self._gone.done() and not self._stalled(pen):
                await self._watch(producer, pen)
            if producer.done():
                producer.result()
            elif self._gone.done():
                self._state.broken = "gone"
            else:
                self._state.broken = "stalled"
                await _cancelled(producer)
                await self._abort(scope)
        except asyncio.CancelledError:
            self._state.broken = "cut"
            await _cancelled(producer)
            await self._end(pen, fault_of(UnavailableError(CUT_OFF)))
            raise
        finally:
            await _cancelled(producer)
            await self._close()

    async def _watch(self, producer: asyncio.Future[None], pen: _Pen) -> None:
        """Until something happens, or it is time to say that we are still here."""
        await asyncio.wait(
            {producer, self._gone}, timeout=min(self._ping, self._stall) / 2, return_when=asyncio.FIRST_COMPLETED
        )
        quiet = pen.since is None and time.monotonic() - pen.last >= self._ping
        if quiet and pen.last and self.media_type == SSE and not producer.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(pen.write(PING), self._stall)

    def _stalled(self, pen: _Pen) -> bool:
        return pen.since is not None and time.monotonic() - pen.since > self._stall

    async def _abort(self, scope: Scope) -> None:
        """Let go of a reader that takes nothing; what is buffered for it would otherwise be kept until it does."""
        if abort := scope.get("extensions", {}).get(ABORT):
            abort()
            await asyncio.wait({self._gone}, timeout=1)

    async def _produce(self, pen: _Pen) -> None:
        await self._start(pen)
        try:
            await self._relay(pen)
        except OssiaError as error:
            self._state.broken = "failed"
            await self._end(pen, fault_of(error))
        except Exception as error:  # noqa: BLE001  # written to the journal; the stream must end properly
            self._state.broken = "failed"
            await self._end(pen, unforeseen(error))
        else:
            await pen.write(b"", more=False)

    async def _start(self, pen: _Pen) -> None:
        if not pen.last:
            await pen.send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            pen.last = time.monotonic()

    async def _end(self, pen: _Pen, fault: Fault) -> None:
        """The last frames of a stream that an error ends."""
        await self._start(pen)
        await pen.write(await self._failed(fault))
        await pen.write(b"", more=False)

    async def _relay(self, pen: _Pen) -> None:
        try:
            await pen.write(await self._first)
        except StopAsyncIteration:
            return
        async for frame in self._frames:
            await pen.write(frame)

    async def _close(self) -> None:
        """Let go of everything, whatever was reached; the generator's `finally` has run when this returns."""
        await _cancelled(self._first, self._gone)
        await self._frames.aclose()
