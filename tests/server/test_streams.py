"""Streams: how they begin, how they end, and what becomes of clients that go away."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
from openai._streaming import ServerSentEvent, SSEDecoder
from starlette.requests import Request
from starlette.responses import Response

from ossia.errors import OverloadedError, RequestError
from ossia.server.endpoint import Endpoint
from ossia.server.faults import Fault
from ossia.server.settings import Limits
from ossia.server.streams import DONE, PING, attend, event, line, ndjson, sse
from tests.server.door import browser, eventually, http, listening, within

LARGE = event({"text": "x" * 60_000})


class Source:
    """Frames of a test's own; `ended` says that the generator's `finally` has run."""

    def __init__(self, *frames: bytes | Exception | float) -> None:
        self._frames = frames
        self.begun = self.given = self.ended = 0

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Each in turn: bytes are given, errors raised, numbers waited for."""
        self.begun += 1
        try:
            for frame in self._frames:
                if isinstance(frame, Exception):
                    raise frame
                if isinstance(frame, bytes):
                    self.given += 1
                    yield frame
                else:
                    await asyncio.sleep(frame)
        finally:
            self.ended += 1

    def endpoints(self, failed: Callable[[Fault], Awaitable[bytes]] | None = None) -> list[Endpoint]:
        async def events(request: Request) -> Response:
            return await sse(request, self.frames(), failed=failed)

        async def lines(request: Request) -> Response:
            return await ndjson(request, self.frames())

        async def whole(request: Request) -> Response:
            return Response(await attend(request, self.work()))

        return [
            *(Endpoint("POST", path, events, "") for path in ("/v1/events", "/v1/messages")),
            *(Endpoint("POST", path, lines, "") for path in ("/api/lines", "/v1/lines")),
            Endpoint("POST", "/v1/whole", whole, ""),
        ]

    async def work(self) -> bytes:
        return b"".join([frame async for frame in self.frames()])


def decoded(body: bytes) -> list[ServerSentEvent]:
    """The events as OpenAI's own package reads them."""
    return list(SSEDecoder().iter_bytes(iter([body])))


def post(source: Source, path: str = "/v1/events", **config: Any) -> httpx.Response:
    return browser(source.endpoints(), **config).post(path)


def test_events_are_what_openais_package_reads():
    source = Source(event({"text": "a\nb\r\u2028ü"}, "named", 7), event([1]), DONE)
    answer = post(source)
    first, second, done = decoded(answer.content)
    assert (first.event, first.id, first.json()) == ("named", "7", {"text": "a\nb\r\u2028ü"})
    assert (second.event, second.json(), done.data) == (None, [1], "[DONE]")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-length" not in answer.headers
    assert source.ended == 1


def test_lines_are_json_one_by_one():
    answer = post(Source(line({"a": "x\ny"}), line({"b": 2})), "/api/lines")
    assert [json.loads(text) for text in answer.text.splitlines()] == [{"a": "x\ny"}, {"b": 2}]
    assert answer.headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize("mark", [*"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r\n"])
def test_one_line_is_one_line_for_readers_that_know_other_breaks(mark: str):
    data = {"text": f"a{mark}b", f"key{mark}": 1}
    (read,) = httpx.Response(200, content=line(data)).iter_lines()
    assert json.loads(read) == data
    named, told, _ = event(data, "delta").decode().splitlines()
    assert (named, json.loads(told.removeprefix("data: "))) == ("event: delta", data)


def test_an_empty_stream_ends():
    answer = post(Source())
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/v1/events", "/api/lines", "/v1/messages", "/v1/whole"])
@pytest.mark.parametrize(("error", "status"), [(RequestError("words"), 400), (OverloadedError("words", 3.0), 429)])
def test_an_error_before_the_first_frame_is_a_status(path: str, error: Exception, status: int):
    source = Source(0.01, error)
    answer = post(source, path)
    assert answer.status_code == status
    assert "words" in answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("retry-after") == ("3" if status == 429 else None)
    assert source.ended == 1


@pytest.mark.parametrize("error", [RequestError("words"), KeyError("secret")])
def test_an_error_after_it_is_the_last_event_in_the_apis_form(error: Exception):
    words = "words" if isinstance(error, RequestError) else "internal error"
    first, last, done = decoded(post(Source(event({"n": 1}), error)).content)
    assert (first.json(), done.data) == ({"n": 1}, "[DONE]")
    assert words in last.json()["error"]["message"]

    first, last = decoded(post(Source(event({"n": 1}), error), "/v1/messages").content)
    assert last.event == "error"
    assert last.json()["type"] == "error"
    assert words in last.json()["error"]["message"]

    answer = post(Source(line({"n": 1}), error), "/api/lines")
    assert words in json.loads(answer.text.splitlines()[-1])["error"]
    assert "secret" not in answer.text


def test_a_module_may_say_itself_how_a_stream_fails():
    source = Source(event({"n": 1}), RequestError("words"))

    async def failed(fault: Fault) -> bytes:
        return event({"failed": fault.message}, "response.failed")

    endpoints = source.endpoints(failed)
    _, last = decoded(browser(endpoints).post("/v1/events").content)
    assert (last.event, last.json()) == ("response.failed", {"failed": "words"})


def test_a_quiet_stream_says_that_it_is_alive():
    answer = post(Source(event(1), 0.5, event(2)), ping_seconds=0.1)
    assert 2 <= answer.content.count(PING) <= 5
    assert [each.json() for each in decoded(answer.content) if each.data] == [1, 2]


def test_a_busy_stream_does_not():
    assert PING not in post(Source(*[event(1), 0.01] * 30), ping_seconds=0.2).content


def test_lines_are_never_pinged():
    answer = post(Source(line(1), 0.4, line(2)), "/api/lines", ping_seconds=0.1)
    assert answer.text == "1\n2\n"


def test_a_stream_begins_without_its_first_frame_when_that_takes_long():
    answer = post(Source(0.5, RequestError("words")), ping_seconds=0.1)
    assert answer.status_code == 200
    assert PING in answer.content
    last, done = [each for each in decoded(answer.content) if each.data]
    assert (last.json()["error"]["message"], done.data) == ("words", "[DONE]")


@asynccontextmanager
async def reading(
    source: Source, path: str, **config: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a request has been sent."""
    async with listening(source.endpoints(), **config) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
        writer.write(http(path))
        try:
            yield reader, writer
        finally:
            writer.close()


@pytest.mark.parametrize("path", ["/v1/events", "/api/lines", "/v1/whole"])
@pytest.mark.parametrize("frames", [[60.0], [event(1), 60.0], [event(1), *[0.005, event(2)] * 10_000]])
def test_a_client_that_goes_cancels_its_request_at_once(path: str, frames: list[Any]):
    async def check() -> None:
        source = Source(*frames)
        async with reading(source, path) as (_, writer):
            await eventually(lambda: source.begun == 1)
            await asyncio.sleep(0.05)
            writer.transport.abort()
            given = source.given
            await eventually(lambda: source.ended == 1, 1)
            assert source.given - given <= 3

    within(20, check())


@pytest.mark.parametrize("path", ["/v1/events", "/api/lines"])
def test_a_reader_that_takes_nothing_is_let_go_and_little_is_kept_for_it(path: str):
    async def check() -> None:
        source = Source(*[LARGE] * 2000)
        async with reading(source, path, limits=Limits(stall_seconds=0.3)) as (reader, _):
            await reader.readexactly(100)
            await eventually(lambda: source.ended == 1)
            # 120 MB were to be sent; what went out is in the buffers of both ends.
            assert source.given < 500
            # The connection has ended, without the chunk that ends an answer.
            assert not (await reader.read()).endswith(b"0\r\n\r\n")

    within(20, check())


@pytest.mark.parametrize(
    ("frames", "leaves", "reason"),
    [
        ([event(1), 60.0], True, "gone"),
        ([LARGE] * 2000, False, "stalled"),
        ([event(1), RequestError("words")], False, "failed"),
        ([event(1), KeyError("words")], False, "failed"),
        ([event(1)], False, None),
    ],
)
def test_a_stream_that_did_not_come_to_its_end_is_counted_and_written_down(
    frames: list[Any], leaves: bool, reason: str | None, caplog: pytest.LogCaptureFixture
):
    def told() -> list[Any]:
        return [getattr(record, "stream", None) for record in caplog.records if record.msg == "request"]

    async def check() -> None:
        async with reading(Source(*frames), "/v1/events", limits=Limits(stall_seconds=0.3)) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            if leaves:
                writer.transport.abort()
            await eventually(lambda: told() != [])

    with caplog.at_level("INFO", "ossia.server"):
        within(20, check())
    assert told() == [reason]


def test_broken_streams_are_counted_by_reason():
    client = browser(Source(event(1), RequestError("words")).endpoints())
    client.post("/v1/events")
    metrics = client.app.state.service.metrics  # type: ignore[attr-defined]
    assert metrics.broken_streams.value("/v1/events", "failed") == 1


def test_nothing_stays_buffered_for_a_reader_that_was_let_go():
    async def check() -> float:
        source = Source(*[LARGE] * 2000)
        async with listening(source.endpoints(), limits=Limits(stall_seconds=0.3)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
            writer.write(http("/v1/events"))
            await reader.readexactly(100)
            await eventually(lambda: source.ended == 1)
            begin = time.monotonic()
        # A server ends when its connections have; this one still had 60 kB to send, or would have.
        writer.close()
        return time.monotonic() - begin

    assert within(50, check()) < 5


def test_a_slow_reader_gets_everything():
    async def check() -> None:
        source = Source(*[LARGE] * 100, DONE)
        async with reading(source, "/v1/events", limits=Limits(stall_seconds=0.5)) as (reader, _):
            got = bytearray()
            while chunk := await reader.read(1 << 19):
                got += chunk
                await asyncio.sleep(0.01)
            assert got.count(b"data: {") == 100
            assert b"[DONE]" in got
            assert got.endswith(b"0\r\n\r\n")

    within(30, check())


def test_nothing_is_left_behind_by_a_hundred_clients_that_go():
    async def check() -> None:
        source = Source(event(1), *[0.002, event(2)] * 10_000)
        async with listening(source.endpoints()) as port:
            for turn in range(100):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(http(("/v1/events", "/v1/whole", "/api/lines")[turn % 3]))
                await asyncio.sleep(0.002 * (turn % 7))
                writer.transport.abort()
            await eventually(lambda: source.begun == source.ended, 10)
            gc.collect()
            await eventually(lambda: len(asyncio.all_tasks()) <= 4, 2)

    within(40, check())
