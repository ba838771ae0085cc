"""From sockets to the application: where the server listens, and how long a connection may dawdle.

uvicorn runs the application; its HTTP/1.1 protocol is extended by what the open network needs: headers that never
end, bodies that nobody reads any more, more connections than there should be, and readers that take nothing.
"""

import asyncio
import errno
import math
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

import h11
import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ossia.errors import ConfigError
from ossia.server.faults import Fault, Style
from ossia.server.settings import Limits, ServerConfig
from ossia.server.streams import ABORT

__all__ = ["bind", "run", "url"]

BACKLOG = 512

CLOSING_SECONDS = 5.0
"""After the grace for running requests, their last words have so long to be read."""

HANDSHAKE = b"\x16\x03"
"""How a client begins that speaks TLS. Source: RFC 8446, "Record Layer"."""

LAST_SECONDS = 1.0
"""When the server ends at once, requests have so long to be answered, and again as long after they were cut off."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets at all addresses of `host`, with one port for all. Raises ConfigError where there is no way."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"host is {host!r:.80}, which is no address here ({error.strerror}); 127.0.0.1 is") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            port = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(family, kind, protocol, (address[0], port, *address[2:])))
    except OSError as error:
        for each in sockets:
            each.close()
        raise ConfigError(_no_way(host, port, error)) from error
    return sockets


def url(host: str, port: int) -> str:
    """How a client of this machine writes it: an address that means all of them is this one."""
    name = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


async def run(
    app: Any,
    config: ServerConfig,
    sockets: list[socket.socket],
    *,
    started: Callable[[], Awaitable[None]],
    stopping: Callable[[], Awaitable[None]],
    insisted: Callable[[], Awaitable[None]],
) -> None:
    """Answer requests until a signal says to end.

    `started` is awaited once requests are taken; what it raises ends the server and is raised here. `stopping` is
    awaited while running requests are finishing, and must see to it that they do. At a second signal `insisted` is
    awaited, which must make them fail; what has no answer then is cut off, and says so itself.
    """
    limits = config.limits
    settings = uvicorn.Config(
        _cut_off_in_peace(app),
        http=lambda **given: _Connection(limits, **given),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=math.ceil(limits.idle_seconds),
        timeout_graceful_shutdown=math.ceil(config.grace_seconds + CLOSING_SECONDS),
        h11_max_incomplete_event_size=limits.header_bytes,
        backlog=BACKLOG,
    )
    server = _Server(settings, stopping, insisted)
    serving = asyncio.create_task(server.serve(sockets))
    beginning = asyncio.create_task(_begun(server, started))
    try:
        await asyncio.wait({serving, beginning}, return_when=asyncio.FIRST_COMPLETED)
        if not beginning.done() or beginning.exception() is None:
            await asyncio.wait({serving})
    finally:
        server.should_exit = True
        beginning.cancel()
        await asyncio.wait({serving, beginning})
    serving.result()
    if not beginning.cancelled() and not server.signalled:
        beginning.result()


def _cut_off_in_peace(app: Any) -> Any:
    """The application; that a request was cut off, which the door has answered, is no news for the journal."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return run


async def _begun(server: "_Server", started: Callable[[], Awaitable[None]]) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    await started()


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _no_way(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} at {host} is taken by another program; another port (0: any free one) is right"
    if error.errno == errno.EACCES:
        return f"port {port} is not allowed to this user; one from 1024 on is right"
    return f"nothing can listen at {host}, port {port} ({error.strerror}); an address of this machine is right"


class _Server(uvicorn.Server):
    """uvicorn's server, with signals and an end of our own."""

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: Callable[[], Awaitable[None]],
        insisted: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self.signalled = False
        self._stopping = stopping
        self._insisted = insisted
        self._insisting = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal asks for an end, the second insists. None is raised again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield  # where no signals arrive
            return
        loop = asyncio.get_running_loop()
        caught = (signal.SIGINT, signal.SIGTERM)
        for number in caught:
            loop.add_signal_handler(number, self._signal)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _signal(self) -> None:
        if self.signalled:
            self._insisting.set()
        self.should_exit = self.signalled = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and let those that run come to their end; every one of them is answered."""
        stopping = asyncio.ensure_future(self._stopping())
        hurrying = asyncio.ensure_future(self._hurry())
        try:
            await super().shutdown(sockets)
            while not stopping.done() and not self.force_exit:
                await asyncio.wait({stopping}, timeout=0.1)
            await self._answered()
        finally:
            for task in (stopping, hurrying):
                task.cancel()
            await asyncio.gather(stopping, hurrying, return_exceptions=True)

    async def _hurry(self) -> None:
        """Once a second signal has come: let requests fail, cut off those that do not, and end."""
        await self._insisting.wait()
        await self._insisted()
        await self._answered()
        for task in [*self.server_state.tasks]:
            task.cancel()
        await self._answered()
        self.force_exit = True
        for connection in [*self.server_state.connections]:
            connection.transport.abort()

    async def _answered(self) -> None:
        """Wait until all requests have their answers, and these have been read; not for long."""
        state = self.server_state
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while state.tasks or state.connections:
                    await asyncio.sleep(0.01)


class _Connection(H11Protocol):
    """One connection, with patience that ends."""

    def __init__(self, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._patience: asyncio.TimerHandle | None = None
        self._secret = False  # what came last begins as TLS does

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._dismiss(503, "there are too many connections; trying again later is right", "overloaded")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Whatever came, a request must be complete in time: drops of it do not buy more."""
        if not self.transport.is_closing():
            self._secret = not self._busy and data.startswith(HANDSHAKE)
            super().data_received(data)
        if not self._busy and self._patience is None:
            self._wait()

    def handle_events(self) -> None:
        """As uvicorn does; a request that is being answered has its own clocks."""
        super().handle_events()
        if self._busy:
            self._stop_waiting()
            self.scope.setdefault("extensions", {})[ABORT] = self.transport.abort  # type: ignore[typeddict-item]

    def on_response_complete(self) -> None:
        """A body that still comes after its answer is not read for ever, nor is the answer kept for ever."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._wait()
        elif not self._busy and self.transport.get_write_buffer_size():
            self._stop_waiting()
            self._patience = self.loop.call_later(self._limits.stall_seconds, self._give_up)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, in a body that is JSON like all others."""
        if self._busy:
            self.transport.abort()
        else:
            error = sys.exc_info()[1]
            if getattr(error, "error_status_hint", None) == 431:
                most = f"at most {self._limits.header_bytes} are right"
                self._dismiss(431, f"the headers have too many bytes; {most}", "headers_too_large")
            elif self._secret:
                self._dismiss(400, "this is HTTPS, which is not spoken here; http:// is right", "invalid_http")
            else:
                self._dismiss(400, f"this is no HTTP: {error or msg}", "invalid_http")

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self._patience = self.loop.call_later(self._limits.header_seconds, self.transport.abort)

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        self._patience = None

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _dismiss(self, status: int, message: str, code: str) -> None:
        """Say why, outside of any request, and close."""
        body = msgspec.json.encode(Fault(status=status, message=message, code=code).shaped(Style.OPENAI))
        reason = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(f"{head}Connection: close\r\n\r\n".encode("ascii") + body)
        self.transport.close()
        self._stop_waiting()
