"""A file of requests, answered without a socket: OpenAI's batch format, one JSON object a line.

    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

gives, in any order,

    {"id": "batch_req_...", "custom_id": "a", "response": {"status_code": 200, "request_id": "...", "body": {...}},
     "error": null, "request_sha256": "..."}

Each result is on the disk before it counts. A run that was interrupted goes on where it was: what stands in the output
file is not asked again. A line that was cut off is, and one whose error was this machine's and not the request's. The
hash, which is our own, tells whether it is still the same request.
Source: OpenAI's documentation, "Batch API".
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp, Message

from ossia.errors import RequestError

__all__ = ["Answered", "Line", "Summary", "answered", "call", "matched", "read_lines", "run_batch"]

URLS = ("/v1/chat/completions", "/v1/completions", "/v1/responses")

PASSING = (429, 503)
"""What another try may cure: too many wait, or the model's process has just ended."""

CLIENT_ERROR, SERVER_ERROR = 400, 500
"""From which status on a result is an error, and one that another run may not have."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try."""

HEADERS = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]


class Line(Struct, forbid_unknown_fields=True):
    """One request of the file."""

    custom_id: str
    url: str
    body: dict[str, Any]
    method: str = "POST"


@dataclass(frozen=True)
class Summary:
    """How a run went: results there before, results added, and how many of all of them are errors."""

    before: int
    added: int
    failed: int


def read_lines(file: Path) -> list[Line]:
    """The requests of a file, empty lines left out. Raises RequestError, which names the line, for one that is none."""
    lines = [
        _line(text, f"{file}:{number}") for number, text in enumerate(file.read_bytes().split(b"\n"), 1) if text.strip()
    ]
    seen: set[str] = set()
    for line in lines:
        if line.custom_id in seen:
            raise RequestError(f"{file}: two requests have the custom_id {line.custom_id!r:.80}; one each is right")
        seen.add(line.custom_id)
    return lines


@dataclass(frozen=True)
class Answered:
    """What an output file tells of a request: its status, and which request it was, where the file says so."""

    status: int
    request: str | None = None


def answered(file: Path) -> dict[str, Answered]:
    """The requests whose results stand in an output file, by id; what is not final is taken out.

    Raises RequestError for a file that holds something else.
    """
    if not file.exists():
        return {}
    data = file.read_bytes()
    whole = data.rpartition(b"\n")[0].split(b"\n") if b"\n" in data else []
    results = [(line, _result(line, f"{file}:{number}")) for number, line in enumerate(whole, 1) if line]
    final = [(line, result) for line, result in results if result.response.status_code < SERVER_ERROR]
    kept = b"".join(line + b"\n" for line, _ in final)
    if len(kept) < len(data):
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(kept)
        part.replace(file)
    return {result.custom_id: Answered(result.response.status_code, result.request_sha256) for _, result in final}


def matched(lines: Sequence[Line], output: Path) -> dict[str, Answered]:
    """What `answered` gives. Raises RequestError also for a request that is not the one whose result is there."""
    before = answered(output)
    for line in lines:
        if line.custom_id in before and before[line.custom_id].request not in (None, _hash(line)):
            raise RequestError(
                f"the result of {line.custom_id!r:.80} in {output} is that of another request, made before this one "
                "was changed; another file for the results, or another custom_id, is right"
            )
    return before


async def run_batch(
    app: ASGIApp, lines: Sequence[Line], output: Path, *, at_once: int, progress: Callable[[int, int], None]
) -> Summary:
    """Answer the requests that have no result yet, at most `at_once` at a time; `progress` is told done and all.

    Raises what `matched` raises.
    """
    before = matched(lines, output)
    left: Iterator[Line] = iter([line for line in lines if line.custom_id not in before])
    added, failed = 0, sum(each.status >= CLIENT_ERROR for each in before.values())
    with output.open("ab") as sink:

        async def work() -> None:
            nonlocal failed, added
            for line in left:
                result = await _answer(app, line)
                sink.write(msgspec.json.encode(result) + b"\n")
                sink.flush()
                os.fsync(sink.fileno())
                added += 1
                failed += result["response"]["status_code"] >= CLIENT_ERROR
                progress(len(before) + added, len(lines))

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    return Summary(len(before), added, failed)


async def call(app: ASGIApp, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """One request to an application in this process: its status and its answer."""
    sent, parts, status = False, list[bytes](), 500
    ended = asyncio.Event()

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await ended.wait()
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [*HEADERS, (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
    }
    try:
        await app(scope, receive, send)
    finally:
        ended.set()
    return status, b"".join(parts)


async def _answer(app: ASGIApp, line: Line) -> dict[str, Any]:
    asked = msgspec.json.encode(line.body)
    status, body = await call(app, line.method, line.url, asked)
    for pause in PAUSES:
        if status not in PASSING:
            break
        await asyncio.sleep(pause)
        status, body = await call(app, line.method, line.url, asked)
    return {
        "id": f"batch_req_{secrets.token_hex(12)}",
        "custom_id": line.custom_id,
        "response": {
            "status_code": status,
            "request_id": f"req_{secrets.token_hex(12)}",
            "body": msgspec.json.decode(body),
        },
        "error": None,
        "request_sha256": _hash(line),
    }


def _hash(line: Line) -> str:
    """Tells two requests apart, whatever they are called, and however their keys are ordered."""
    return sha256(msgspec.json.encode([line.method, line.url, line.body], order="deterministic")).hexdigest()


def _line(text: bytes, place: str) -> Line:
    try:
        line = msgspec.json.decode(text, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{place}: {error}; an object with custom_id, url and body is right") from error
    if line.method != "POST" or line.url not in URLS:
        right = f"POST and {', '.join(URLS)} are right"
        raise RequestError(f"{place}: {line.method} {line.url!r:.80} cannot be asked here; {right}")
    for name in ("stream", "background"):
        if line.body.get(name):
            raise RequestError(
                f"{place}: {name} is {line.body[name]!r:.40}; a result stands in one piece, so false is right"
            )
    return line


def _result(text: bytes, place: str) -> "_Result":
    try:
        return msgspec.json.decode(text, type=_Result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{place}: {error}; a file of results, or one that does not exist, is right") from error


class _Status(Struct):
    status_code: int


class _Result(Struct):
    custom_id: str
    response: _Status
    request_sha256: str | None = None
