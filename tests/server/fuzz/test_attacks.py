"""Requests that mean harm, over a real socket, to the whole application: each is answered soon, and nothing breaks."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ossia.checkpoint import find
from ossia.server.app import make_app
from ossia.server.catalogue import Catalogue
from ossia.server.clients import Keys
from ossia.server.listening import bind, run
from ossia.server.models import Models
from ossia.server.remote import Launch
from ossia.server.responses import close_shelf
from ossia.server.service import Service
from ossia.server.settings import Limits, ServerConfig
from tests.cli.tiny import VOCABULARY
from tests.grammar.hostile import SCHEMAS, TEXTS
from tests.server.door import ALICE, BOB, http, within
from tests.server.playing import Player
from tests.server.serving import service_for

FINAL = "<|channel|>final<|message|>No.<|return|>"
CALL = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2}<|call|>'
ASKED = [{"role": "user", "content": "u"}]
PATIENCE = 20.0
"""Seconds for one answer on a machine that is busy with other things; most take some milliseconds."""

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "ollama": "/api/chat",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
}


@asynccontextmanager
async def attacked(service: Service) -> AsyncIterator[int]:
    """The whole application at a port, for as long as the context lasts."""
    app, begun = make_app(service), asyncio.Event()
    sockets = bind("127.0.0.1", 0)

    async def started() -> None:
        begun.set()

    async def stopping() -> None: ...

    task = asyncio.create_task(run(app, service.config, sockets, started=started, stopping=stopping, insisted=stopping))
    try:
        await asyncio.wait_for(begun.wait(), PATIENCE)
        yield sockets[0].getsockname()[1]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await close_shelf(app)


async def sent(port: int, data: bytes, seconds: float = PATIENCE) -> tuple[int, bytes]:
    """Status and body of what comes back for these bytes; 0 where the connection is closed without a word."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            answer = b""
            with suppress(ConnectionError):
                answer = await reader.read()
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ", 2)[1]) if head else 0), body


async def posted(port: int, path: str, body: Any, **headers: str) -> tuple[int, bytes]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await sent(port, http(path, raw, Content_Type="application/json", **headers))


def played(**config: Any) -> Service:
    player = Player(VOCABULARY, FINAL, endless=True)
    player.context = 1 << 16
    return service_for(player, store=":memory:", **config)


async def _still_answers(port: int, **headers: str) -> None:
    status, body = await posted(port, PATHS["chat"], {"model": "tiny", "messages": ASKED}, **headers)
    assert (status, b"No." in body) == (200, True), body


def chunked(parts: list[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    return f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body


def said(length: int) -> bytes:
    """A request whose body is said to be so long, and does not come."""
    plain = http("/v1/responses", b"", Content_Type="application/json")
    return plain.replace(b"Content-Length: 0", b"Content-Length: %d" % length)


LARGE = b'{"model": "tiny", "messages": "' + b"x" * 40_000
MANY_HEADERS = "".join(f"X-{number}: x\r\n" for number in range(2000)).encode()
RAW: dict[str, tuple[bytes, set[int]]] = {
    "a body that says it is too long": (said(10**12), {413}),
    "a body of a length beyond numbers": (said(10**40), {400, 413}),
    "a body without a length": (chunked([LARGE] * 3), {413}),
    "a body in a million parts": (chunked([b" "] * 40_000), {413}),
    "both lengths": (chunked([b"{}"]).replace(b"Connection", b"Content-Length: 2\r\nConnection"), {400}),
    "deep arrays": (http("/v1/messages", b"[" * 30_000), {400}),
    "deep objects": (http("/api/chat", b'{"a":' * 5_000), {400}),
    "thousands of headers": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + MANY_HEADERS + b"\r\n",
        {400, 431},
    ),
    "a long header": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        {400, 431},
    ),
    "a long path": (
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        {400, 431},
    ),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", {400, 403}),
    "a host behind another": (http("/v1/responses", b"{}", Host="localhost, evil.example"), {403}),
    "a host with a user": (http("/v1/responses", b"{}", Host="localhost@evil.example"), {403}),
    "a host that begins like ours": (http("/v1/responses", b"{}", Host="127.0.0.1.evil.example"), {403}),
    "an absolute target": (
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        {403},
    ),
    "no host": (b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n", {400, 403}),
    "a page from elsewhere": (http("/v1/responses", b"{}", Origin="https://evil.example"), {403}),
    "a page of no origin": (http("/v1/responses", b"{}", Origin="null"), {403}),
    "a form": (http("/v1/responses", b"a=b", Content_Type="text/plain", Origin="http://evil.example"), {403}),
    "asking beforehand": (
        http(
            "/v1/responses",
            method="OPTIONS",
            Origin="https://evil.example",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Private_Network="true",
        ),
        {403},
    ),
    "a line break in a header": (http("/v1/responses", b"{}", X="a\r\nHost: evil.example"), {400, 403}),
    "compressed": (http("/v1/responses", b"\x1f\x8b\x08" + b"\0" * 50, Content_Encoding="gzip"), {415}),
    "no UTF-8": (http("/v1/responses", b'{"model": "\xff\xfe"}'), {400}),
    "half a surrogate pair": (http("/v1/responses", b'{"model": "tiny", "input": "\\ud800"}'), {400}),
    "another protocol": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {0, 400, 403, 505}),
}


@pytest.mark.parametrize("attack", RAW)
def test_what_is_no_honest_request_is_refused_and_others_are_answered(attack: str):
    data, statuses = RAW[attack]

    async def scene() -> None:
        limits = Limits(body_bytes=30_000, bodies_bytes=1 << 20)
        async with attacked(played(limits=limits)) as port:
            status, body = await sent(port, data)
            assert status in statuses, (status, body[:300])
            assert b"access-control-allow" not in body.lower()
            await _still_answers(port)

    within(60, scene())


def test_hundreds_who_never_finish_their_headers_keep_nobody_out():
    async def scene() -> None:
        async with attacked(played(limits=Limits(header_seconds=1.0, connections=300))) as port:
            unfinished = b"POST /v1/responses HTTP/1.1\r\nHost: loc"
            slow = [asyncio.create_task(sent(port, unfinished)) for _ in range(200)]
            await asyncio.sleep(0.1)
            await _still_answers(port)
            assert {status for status, _ in await asyncio.gather(*slow)} <= {0, 408}

    within(60, scene())


def bodies(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field of each API that takes a schema, with this one in it."""
    function = {"name": "add", "parameters": schema}
    chat = {"model": "tiny", "messages": ASKED}
    yield "chat", chat | {"tools": [{"type": "function", "function": function | {"strict": True}}]}
    yield "chat", chat | {"tools": [{"type": "function", "function": function}]}
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}
    yield "chat", chat | {"response_format": form}
    yield "responses", {"model": "tiny", "input": "u", "tools": [{"type": "function", **function}]}
    yield "ollama", chat | {"format": schema, "stream": False}
    yield "messages", chat | {"max_tokens": 50, "tools": [{"name": "add", "input_schema": schema}]}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_that_is_a_bomb_is_taken_or_refused_soon(name: str):
    async def scene() -> None:
        async with attacked(played()) as port:
            for api, body in bodies(SCHEMAS[name]):
                begin = time.monotonic()
                status, answer = await posted(port, PATHS[api], body)
                assert status in (200, 400, 413), (api, answer[:300])
                assert time.monotonic() - begin < PATIENCE
            await _still_answers(port)

    within(150, scene())


@pytest.mark.parametrize("name", TEXTS)
def test_a_grammar_that_is_a_bomb_is_taken_or_refused_soon(name: str):
    rule = TEXTS[name]
    kind = type(rule).__name__.lower()
    field = {"regex": "pattern", "choice": "values", "lark": "source"}[kind]
    given = {"type": kind, field: next(iter(vars(rule).values()))}

    async def scene() -> None:
        async with attacked(played()) as port:
            work = posted(port, PATHS["chat"], {"model": "tiny", "messages": ASKED, "grammar": given})
            (status, answer), _ = await asyncio.gather(work, _still_answers(port))
            assert status in (200, 400, 413), answer[:300]

    within(60, scene())


OUTSIDE = (
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "file:///etc/passwd",
    "~root/.ssh/id_rsa",
    "nano/../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "nano\0/etc/passwd",
    "\\\\evil.example\\share",
    "http://169.254.169.254/latest",
    "hf://../../etc/passwd",
    "ollama://../../../etc/passwd:latest",
    "..",
    ".",
    "a" * 5000,
)
_opened: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event in ("open", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo"):
        _opened.append(f"{event} {arguments[0]!r} {arguments[1:2]!r}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is opened, listed and connected to in this process, as long as the context lasts."""
    global _opened  # an audit hook cannot be taken away again
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


sys.addaudithook(_watch)


def _models() -> Models:
    async def start(launch: Launch, progress: Any) -> Any:
        raise AssertionError(f"{launch.model} was loaded")

    nano = find("nano")
    return Models(Launch(model=str(nano)), name="served", local=lambda: {"served": nano, "nano": nano}, start=start)


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_in_a_request_becomes_a_path_or_an_address(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OSSIA_HOME", str(tmp_path))
    asked = {
        "/v1/chat/completions": {"model": name, "messages": ASKED},
        "/v1/completions": {"model": name, "prompt": "p"},
        "/v1/responses": {"model": name, "input": "u"},
        "/v1/messages": {"model": name, "messages": ASKED, "max_tokens": 5},
        "/v1/messages/count_tokens": {"model": name, "messages": ASKED},
        "/v1/responses/input_tokens": {"model": name, "input": "u"},
        "/api/chat": {"model": name, "messages": ASKED},
        "/api/generate": {"model": name, "prompt": "p"},
        "/api/show": {"model": name},
        "/tokenize": {"model": name, "text": "t"},
        "/detokenize": {"model": name, "tokens": [1]},
        "/render": {"model": name, "messages": ASKED},
    }
    there = {"/v1/responses": {"model": "served", "input": "u", "previous_response_id": name}}

    async def scene() -> None:
        config = ServerConfig(store=":memory:")
        service = Service(config=config, models=_models(), catalogue=Catalogue(lambda: {"nano": find("nano")}))
        async with attacked(service) as port:
            with watched() as opened:
                for path, body in [*asked.items(), *there.items()]:
                    status, answer = await posted(port, path, body)
                    assert status in (400, 404), (path, status, answer[:300])
                for method, path in (("GET", "/v1/responses/"), ("DELETE", "/v1/responses/"), ("GET", "/v1/models/")):
                    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
                    status, answer = await sent(port, http(path + quoted, method=method))
                    assert status in (400, 404, 405, 431), (path, status, answer[:300])
        touched = [each for each in opened if any(word in each for word in ("passwd", "environ", "id_rsa", "169.254"))]
        assert touched == []

    within(60, scene())


def test_what_one_client_has_others_cannot_see_continue_or_end():
    keys = Keys({"alice": ALICE, "bob": BOB})
    mine: dict[str, Any] = {"Authorization": f"Bearer {ALICE}"}
    other: dict[str, Any] = {"Authorization": f"Bearer {BOB}"}

    async def scene() -> None:
        async with attacked(played(keys=keys)) as port:
            status, answer = await posted(port, PATHS["responses"], {"model": "tiny", "input": "secret"}, **mine)
            assert status == 200
            known = json.loads(answer)
            path = f"/v1/responses/{known['id']}"
            item = {"type": "item_reference", "id": known["output"][0]["id"]}
            for method, each in (
                ("GET", path),
                ("DELETE", path),
                ("POST", f"{path}/cancel"),
                ("GET", f"{path}/input_items"),
            ):
                status, answer = await sent(port, http(each, method=method, **other))
                assert (status, b"secret" in answer) == (404, False), (method, each, answer)
            for body in ({"input": "u", "previous_response_id": known["id"]}, {"input": [item]}):
                status, answer = await posted(port, PATHS["responses"], {"model": "tiny", **body}, **other)
                assert (status, b"secret" in answer) == (404, False), answer
            assert (await sent(port, http(path, method="GET", **mine)))[0] == 200
            assert (await sent(port, http(path, method="GET")))[0] == 401

    within(60, scene())


def test_the_id_of_another_clients_call_gives_none_of_its_reasoning():
    player = Player(VOCABULARY, "<|channel|>analysis<|message|>secret<|end|><|start|>assistant" + CALL, FINAL)
    service = service_for(player, store=":memory:", keys=Keys({"alice": ALICE, "bob": BOB}))
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    body = {"model": "tiny", "messages": ASKED, "tools": [tool]}

    async def scene() -> None:
        async with attacked(service) as port:
            _, answer = await posted(port, PATHS["chat"], body, Authorization=f"Bearer {ALICE}")
            (call,) = json.loads(answer)["choices"][0]["message"]["tool_calls"]
            said = [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": "4"},
            ]
            again = body | {"messages": [*ASKED, *said]}
            status, _ = await posted(port, PATHS["chat"], again, Authorization=f"Bearer {BOB}")
            assert status == 200
        assert "secret" not in player.prompts[1]
        assert player.wanted[0].salt != player.wanted[1].salt

    within(60, scene())
