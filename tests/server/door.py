"""A server of a few endpoints of a test's own: over Starlette's client, and over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from starlette.testclient import TestClient

from ossia.server.app import make_app
from ossia.server.endpoint import Endpoint
from ossia.server.listening import bind, run
from ossia.server.service import Service
from ossia.server.settings import ServerConfig

__all__ = ["ALICE", "BOB", "NoModels", "Note", "browser", "eventually", "http", "listening", "service", "within"]

ALICE = "alices-key-0123456789"
BOB = "bobs-key-0123456789abc"


class NoModels:
    """Takes the part of Models where no model is wanted."""

    default = "none"
    ready = False
    closed = 0
    aborted = ""

    def listed(self) -> list[Any]:
        return []

    async def status(self) -> dict[str, Any]:
        return {}

    async def close(self, grace: float = 0.0) -> None:
        self.closed += 1

    def abort(self, why: str) -> None:
        self.aborted = why


class Note(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    text: str
    number: int = 0
    more: Any = None
    tools: list[Any] = []
    messages: list[Any] = []


def service(**config: Any) -> Service:
    return Service(config=ServerConfig(**config), models=NoModels())  # type: ignore[arg-type]


def browser(endpoints: Iterable[Endpoint], host: str = "127.0.0.1:8000", **config: Any) -> TestClient:
    """A client without a socket; it never follows redirects."""
    app = make_app(service(**config), endpoints)
    return TestClient(app, base_url=f"http://{host}", follow_redirects=False)


@asynccontextmanager
async def listening(endpoints: Iterable[Endpoint], **config: Any) -> AsyncIterator[int]:
    """A server at a free port of loopback, as long as the context lasts; its port."""
    shared = service(**config)
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    begun = asyncio.Event()

    async def started() -> None:
        begun.set()

    async def insisted() -> None:
        shared.models.abort("now")

    app = make_app(shared, endpoints)
    task = asyncio.create_task(
        run(app, shared.config, sockets, started=started, stopping=shared.models.close, insisted=insisted)
    )
    await asyncio.wait({task, asyncio.ensure_future(begun.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield port
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def http(path: str, body: bytes = b"", method: str = "POST", **headers: str) -> bytes:
    """A request as it goes over the wire; it asks for the connection to be closed."""
    lines = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


def within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end, which must come in time."""

    async def timed() -> Any:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(timed())
