"""Clients of every kind and manner, cheap enough for hundreds: each opens a connection, asks, and reads, or not."""

import asyncio
import json
import random
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from tests.server.endless import no_control_tokens

__all__ = ["Manner", "Outcome", "get", "visit", "visits"]

Manner = Literal["reads", "slow", "leaves", "resets", "silent", "half"]
"""Reads to the end, slowly, or goes: properly or with a reset, before it has read anything, before it has asked."""

DEADLINE = 60.0
MANNERS: tuple[Manner, ...] = ("reads",) * 6 + ("slow", "leaves", "leaves", "resets", "resets", "silent", "half")
WORDS = ("What is 2 + 2?", "What is 37 * 48?", "Say hello.", "Sort 3 1 2.")

_IDENTIFIER = re.compile(rb'"id":"(resp_[0-9a-f]{48})"')


@dataclass(frozen=True)
class Outcome:
    """How a visit ended: `ended` and `failed` are the server's words, `left` ours, `cut` and `stuck` what must not be.

    `id` is that of a stored response, as soon as the client has heard of it.
    """

    how: Literal["ended", "failed", "left", "cut", "stuck"]
    kind: str
    id: str | None = None
    last: bytes = b""


def visits(count: int, seed: int, most_tokens: int) -> list[tuple[str, dict[str, Any], Manner]]:
    """Requests to all APIs, and how each client behaves; the same for the same seed."""
    r = random.Random(seed)
    kinds = ("chat", "responses", "ollama", "messages", "completions", "whole", "responses")
    return [(kind := r.choice(kinds), _body(kind, r, most_tokens), r.choice(MANNERS)) for _ in range(count)]


def _body(kind: str, r: random.Random, most: int) -> dict[str, Any]:
    said = [{"role": "user", "content": r.choice(WORDS)}]
    base = {"model": "nano", "stream": True}
    match kind:
        case "responses":
            return base | {"input": said[0]["content"], "max_output_tokens": most, "seed": r.randrange(1000)}
        case "ollama":
            return base | {"messages": said, "options": {"num_predict": most, "seed": r.randrange(1000)}}
        case "messages":
            return base | {"messages": said, "max_tokens": most}
        case "completions":
            # No control token of nano's: it ends with max_tokens and not before.
            endless = {"prompt": "What is", "logit_bias": no_control_tokens(), "temperature": 1.0}
            return base | endless | {"max_tokens": most * 4}
        case _:
            return base | {"messages": said, "max_tokens": most, "stream": kind == "chat", "n": r.choice((1, 1, 3))}


PATHS = {
    "chat": "/v1/chat/completions",
    "whole": "/v1/chat/completions",
    "responses": "/v1/responses",
    "ollama": "/api/chat",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
}
ENDS = {
    "chat": b"data: [DONE]",
    "completions": b"data: [DONE]",
    "whole": b'"finish_reason"',
    "responses": b"event: response.",
    "ollama": b'"done":true',
    "messages": b"event: message_stop",
}


async def visit(
    port: int, kind: str, body: dict[str, Any], manner: Manner, seed: int = 0, hear: Callable[[str], None] | None = None
) -> Outcome:
    """One client, from its connection to whatever end it comes to; `hear` is told each id as soon as it comes."""
    r = random.Random(seed)
    raw = json.dumps(body).encode()
    data = bytearray()
    try:
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_head(PATHS[kind], len(raw)) + (raw[: len(raw) // 2] if manner == "half" else raw))
                await writer.drain()
                if manner in ("silent", "half"):
                    await asyncio.sleep(r.random() * 0.2)
                    return Outcome("left", kind)
                enough = r.randint(1, 4000) if manner in ("leaves", "resets") else None
                await _read(reader, data, enough, r.random() * 0.05 if manner == "slow" else 0, hear)
            finally:
                _go(writer, reset=manner == "resets")
    except TimeoutError:
        return Outcome("stuck", kind, _id(data), bytes(data[-300:]))
    except OSError:
        return Outcome("cut", kind, _id(data), bytes(data[-300:]))
    if enough is not None and len(data) >= enough and not data.endswith(b"0\r\n\r\n"):
        return Outcome("left", kind, _id(data))
    return _outcome(kind, data)


async def _read(
    reader: asyncio.StreamReader, data: bytearray, enough: int | None, pause: float, hear: Callable[[str], None] | None
) -> None:
    while part := await reader.read(512 if pause else 65536):
        data += part
        if hear is not None and (identifier := _id(data)):
            hear(identifier)
        if enough is not None and len(data) >= enough:
            return
        await asyncio.sleep(pause)


def _go(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        with suppress(OSError, AttributeError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def _outcome(kind: str, data: bytearray) -> Outcome:
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    tail = bytes(data[-300:])
    if not status:
        return Outcome("cut", kind, None, tail)
    whole = len(rest) == int(found[1]) if (found := re.search(rb"content-length: (\d+)", head)) else False
    if status != [b"200"]:
        return Outcome("failed" if whole else "cut", kind, None, tail)
    if not whole and not rest.endswith(b"0\r\n\r\n"):
        return Outcome("cut", kind, _id(data), tail)
    if b'"error":{' in rest or b"event: error" in rest or b"event: response.failed" in rest or b'{"error":' in rest:
        return Outcome("failed", kind, _id(data), tail)
    last = rest[-20_000:] if kind != "responses" else rest
    ended = ENDS[kind] in last
    if kind == "responses":
        ended = any(b"event: response." + end in rest for end in (b"completed", b"incomplete"))
    return Outcome("ended" if ended else "cut", kind, _id(data), tail)


def _id(data: bytes | bytearray) -> str | None:
    found = _IDENTIFIER.search(bytes(data))
    return found[1].decode() if found else None


async def get(port: int, path: str) -> tuple[int, bytes]:
    """A status and a body."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            data = await reader.read()
        finally:
            writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def _head(path: str, length: int) -> bytes:
    lines = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{lines}Content-Length: {length}\r\n\r\n".encode()
