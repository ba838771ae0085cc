"""Requests straight into the application, without a socket and without threads: hundreds a second."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope

__all__ = ["Answered", "post"]


@dataclass(frozen=True)
class Answered:
    """A status and the whole body."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        """Newline-delimited JSON."""
        return [json.loads(line) for line in self.body.splitlines()]

    def data(self) -> list[str]:
        """The data of each server-sent event, comments left out."""
        parts = [part for part in self.body.decode().split("\n\n") if part and not part.startswith(":")]
        return [part[part.index("data: ") + len("data: ") :] for part in parts]


async def post(app: ASGIApp, path: str, body: Any) -> Answered:
    """The answer of `app` to a body, which is sent as JSON."""
    raw = json.dumps(body).encode()
    pending: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return pending.pop() if pending else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(_scope(path, len(raw)), receive, send)
    assert not sent[-1].get("more_body"), "the answer has no end"
    return Answered(sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]))


def _scope(path: str, length: int) -> Scope:
    headers = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(length)}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8000),
    }
