"""Sockets, and connections that dawdle."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ossia.errors import ConfigError, OssiaError
from ossia.server.app import make_app
from ossia.server.endpoint import Endpoint
from ossia.server.listening import bind, run, url
from ossia.server.settings import Limits
from ossia.server.streams import DONE, event, sse
from tests.server.door import Note, http, listening, service, within

LARGE = 20_000_000


async def echo(request: Request, body: Note) -> Response:
    return Response(body.text)


async def large(request: Request) -> Response:
    return Response(b"x" * LARGE)


ENDPOINTS = [Endpoint("POST", "/echo", echo, "", body=Note), Endpoint("GET", "/large", large, "")]
BODY = b'{"text": "yes"}'


async def talk(port: int, *parts: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """What comes back until the connection is closed, and when."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = time.monotonic()
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await reader.read(), time.monotonic() - begin
    except ConnectionError:
        return b"", time.monotonic() - begin
    finally:
        writer.close()


def talked(*parts: bytes, pause: float = 0.0, **limits: Any) -> tuple[bytes, float]:
    async def check() -> tuple[bytes, float]:
        async with listening(ENDPOINTS, limits=Limits(**limits)) as port:
            return await talk(port, *parts, pause=pause)

    return within(20, check())


def test_a_request_is_answered():
    answer, _ = talked(http("/echo", BODY))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nyes")
    assert b"uvicorn" not in answer


@pytest.mark.parametrize("sent", [b"", b"POST /echo HT", b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_headers_that_do_not_end_are_given_up(sent: bytes):
    answer, seconds = talked(sent, header_seconds=0.3)
    assert answer == b""
    assert 0.25 < seconds < 3


def test_drops_of_a_header_buy_no_time():
    drops = [b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", *[b"X: y\r\n"] * 50]
    _, seconds = talked(*drops, pause=0.05, header_seconds=0.4)
    assert 0.35 < seconds < 3.5


def test_an_idle_connection_is_kept_for_a_while_and_answers_again():
    async def check() -> tuple[bytes, float]:
        async with listening(ENDPOINTS, limits=Limits(header_seconds=0.3, idle_seconds=1.0)) as port:
            kept = http("/echo", BODY, Connection="keep-alive")
            return await talk(port, kept, kept, pause=0.6)

    answer, seconds = within(10, check())
    assert answer.count(b"\r\n\r\nyes") == 2
    assert 1.2 < seconds < 5


def test_a_body_that_goes_on_after_its_answer_is_not_read_for_ever():
    head = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    answer, seconds = talked(head, *[chunk] * 1000, pause=0.01, header_seconds=0.5, body_bytes=10_000)
    assert b"413" in answer or answer == b""
    assert seconds < 5


def test_who_sends_too_long_a_body_reads_why():
    async def check() -> bytes:
        async with listening(ENDPOINTS, limits=Limits(body_bytes=1 << 22)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(http("/echo", b"x" * (3 << 22)))
            await writer.drain()
            answer = await reader.read()
            writer.close()
            return answer

    answer = within(20, check())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"the body has 12582912 bytes; at most 4194304 are right" in answer


def test_an_answer_that_is_not_read_is_not_kept_for_ever():
    async def check() -> None:
        async with listening(ENDPOINTS, limits=Limits(stall_seconds=0.4, idle_seconds=0.2)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 14)
            writer.write(http("/large", method="GET", Connection="keep-alive"))
            await asyncio.sleep(1.5)
            with_some = await reader.read(LARGE)
            assert len(with_some) > 0
            rest = await reader.read()
            assert len(with_some) + len(rest) < LARGE
            writer.close()

    within(20, check())


@pytest.mark.parametrize(
    "sent",
    [
        *(b"\r\n\r\nnonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20),
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\nabcde",
    ],
)
def test_what_is_no_http_is_refused_in_json(sent: bytes):
    answer, _ = talked(sent, header_seconds=1.0)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert b'"code":"invalid_http"' in body


def test_a_chunk_that_is_none_ends_the_connection():
    head = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, seconds = talked(head, b"zz\r\nnonsense", pause=0.05)
    assert seconds < 2


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (
            http("/echo", BODY, host="x").replace(b"host: x", b"Host: 127.0.0.1\r\nHost: y"),
            400,
            "Found multiple Host: headers",
        ),
        (http("/echo", BODY).replace(b"Content-Length: ", b"Content-Length: -"), 400, "Content-Length"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600) + b"\r\n\r\n", 400, "this is HTTPS"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, 431, "the headers have too many bytes; at most 32768 are right"),
    ],
)
def test_what_is_wrong_with_a_head_is_said(sent: bytes, status: int, says: str):
    head, _, body = talked(sent)[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    message = json.loads(body)["error"]["message"]
    assert says in message
    assert ("32768" in message) is (status == 431)


def test_two_requests_at_once_on_one_connection_are_answered_in_order():
    first = http("/echo", b'{"text": "first"}', Connection="keep-alive")
    answer, _ = talked(first + http("/echo", b'{"text": "second"}'))
    assert answer.index(b"first") < answer.index(b"second")


def test_connections_beyond_the_limit_are_told_so():
    async def check() -> bytes:
        async with listening(ENDPOINTS, limits=Limits(connections=5)) as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
            await asyncio.sleep(0.1)
            answer, _ = await talk(port)
            for _, writer in held:
                writer.close()
            await asyncio.sleep(0.1)
            assert (await talk(port, http("/echo", BODY)))[0].endswith(b"yes")
            return answer

    answer = within(10, check())
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"too many connections" in answer


PIECES = (
    *(b"\r\n", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Host: x\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"%00%ff/../", b"\xff\x00"),
)


def damaged(random: Random, sent: bytes) -> bytes:
    """The same with some bytes changed, gone, or more of them."""
    found = bytearray(sent)
    for _ in range(random.choice([0, 1, 2, 5, 20])):
        place, length = random.randrange(len(found) + 1), random.choice([0, 0, 1, 10])
        found[place : place + length] = random.choice([b"", random.randbytes(length), random.choice(PIECES)])
    return bytes(found)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_requests_and_clients_that_go_leave_nothing_behind(seed: int):
    random, unhandled = Random(seed), []
    kept = http("/echo", BODY, Connection="keep-alive")
    bases = [http("/echo", BODY), kept * 2, http("/stream"), http("/large", method="GET")]

    async def disturb(port: int) -> None:
        sent = damaged(random, random.choice(bases))
        cut = random.randrange(len(sent) + 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError, TimeoutError):
            writer.write(sent[:cut])
            await asyncio.sleep(0)
            writer.write(sent[cut:])
            if random.random() < 0.5:
                async with asyncio.timeout(random.choice([0.05, 1.0])):
                    await reader.read(random.choice([100, 1 << 20]))
        writer.transport.abort()

    async def check() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        ending = Ending()
        limits = Limits(header_seconds=0.3, body_seconds=0.3, stall_seconds=0.3, idle_seconds=0.3)
        async with listening([*ENDPOINTS, Endpoint("POST", "/stream", ending.stream, "")], limits=limits) as port:
            for _ in range(5):
                await asyncio.gather(*(disturb(port) for _ in range(30)))
            assert (await talk(port, http("/echo", BODY)))[0].endswith(b"yes")

    within(30, check())
    assert unhandled == []


def test_a_port_that_is_taken_is_refused_by_its_number():
    (taken,) = bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with taken, pytest.raises(ConfigError, match=f"port {port} at 127.0.0.1 is taken by another program"):
        bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "999.1.1.1"])
def test_an_address_of_another_machine_is_refused(host: str, monkeypatch: pytest.MonkeyPatch):
    # The lookup of numbers asks no network; the guard of the tests cannot know.
    monkeypatch.setattr(socket, "getaddrinfo", _numeric)
    with pytest.raises(ConfigError, match=r"nothing can listen at|no address here"):
        bind(host, 0)


def _numeric(host: str, port: int, **hints: Any) -> list[Any]:
    try:
        socket.inet_aton(host)
    except OSError as error:
        raise socket.gaierror(socket.EAI_NONAME, "unknown") from error
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]


def test_localhost_is_one_port_at_all_its_addresses():
    sockets = bind("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in sockets}) == 1
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::1", "http://[::1]:1"),
        ("::", "http://[::1]:1"),
    ],
)
def test_an_address_as_a_client_writes_it(host: str, text: str):
    assert url(host, 1) == text


class Ending:
    """A server that is told to end while it answers."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.stopped = self.finished = self.insisted = False

    async def frames(self) -> AsyncGenerator[bytes, None]:
        yield event(1)
        await self.told.wait()
        yield event("last words")
        yield DONE
        self.finished = True

    async def stream(self, request: Request) -> Response:
        return await sse(request, self.frames())

    async def whole(self, request: Request) -> Response:
        await self.told.wait()
        raise AssertionError("it is cut off before")

    async def stop(self) -> None:
        self.stopped = True
        self.told.set()

    async def run(self, during: Any, **config: Any) -> None:
        shared = service(**config)
        sockets = bind("127.0.0.1", 0)
        port = sockets[0].getsockname()[1]

        async def started() -> None:
            await during(port)

        async def insisted() -> None:
            self.insisted = True

        endpoints = [Endpoint("POST", "/stream", self.stream, ""), Endpoint("POST", "/whole", self.whole, "")]
        app = make_app(shared, endpoints)
        await run(app, shared.config, sockets, started=started, stopping=self.stop, insisted=insisted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_runs_come_to_its_end(number: int):
    async def check() -> None:
        ending, answers = Ending(), []

        async def during(port: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(http("/stream", Connection="keep-alive"))
            await reader.readuntil(b"data: 1\n\n")
            os.kill(os.getpid(), number)
            answers.append(await reader.read())
            writer.close()

        await asyncio.gather(ending.run(during), asyncio.sleep(0))
        assert ending.stopped
        assert ending.finished
        if answers:
            assert b"last words" in answers[0]

    within(20, check())


def test_after_a_second_signal_every_request_is_answered_and_soon(caplog: pytest.LogCaptureFixture):
    async def check() -> None:
        ending, answers, begin = Ending(), dict[str, bytes](), 0.0
        ending.stop = _never(ending)  # type: ignore[method-assign]

        async def asked(port: int, path: str) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(http(path, Connection="keep-alive"))
            answers[path] = await reader.read()
            writer.close()

        async def during(port: int) -> None:
            nonlocal begin
            asking = asyncio.gather(*(asked(port, path) for path in ("/stream", "/whole")))
            await asyncio.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
            begin = time.monotonic()
            await asyncio.shield(asking)

        await ending.run(during)
        await asyncio.sleep(0.1)
        assert time.monotonic() - begin < 4
        assert (ending.stopped, ending.insisted, ending.finished) == (True, True, False)
        assert answers["/whole"].startswith(b"HTTP/1.1 503 Service Unavailable")
        assert json.loads(answers["/whole"].partition(b"\r\n\r\n")[2])["error"]["code"] == "unavailable"
        assert b"told to end at once" in answers["/stream"]
        assert answers["/stream"].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    within(10, check())
    assert caplog.text == ""


def _never(ending: Ending) -> Any:
    async def stop() -> None:
        ending.stopped = True
        await asyncio.sleep(3600)

    return stop


def test_what_fails_at_the_start_ends_the_server_and_is_raised():
    async def during(port: int) -> None:
        raise OssiaError("no such weights")

    with pytest.raises(OssiaError, match="no such weights"):
        within(10, Ending().run(during))
