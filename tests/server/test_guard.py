"""The door: who is let in, and how little is done for who is not."""

import asyncio
import logging
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from ossia.server.clients import Keys
from ossia.server.endpoint import Endpoint
from ossia.server.service import client_of
from ossia.server.settings import Limits
from tests.server.door import ALICE, BOB, Note, browser, http, listening, within

KEYS = Keys({"alice": ALICE, "bob": BOB})
HERE = "127.0.0.1:8000"


class Rooms:
    """Endpoints behind the door that count their visitors."""

    def __init__(self) -> None:
        self.visits = 0
        self.endpoints = [
            Endpoint("POST", "/v1/room", self.enter, "", body=Note),
            Endpoint("GET", "/v1/room", self.look, ""),
            Endpoint("GET", "/open", self.look, "", open=True),
        ]

    async def enter(self, request: Request, body: Note) -> Response:
        self.visits += 1
        return Response(client_of(request).id)

    async def look(self, request: Request) -> Response:
        self.visits += 1
        return Response("here")


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


def code(answer: Any) -> str:
    return answer.json()["error"]["code"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {ALICE}"},
        {"Authorization": f"bearer  {ALICE} "},
        {"x-api-key": ALICE},
        {"Authorization": "Bearer wrong", "x-api-key": ALICE},
    ],
)
def test_a_key_lets_its_owner_in(rooms: Rooms, headers: dict[str, str]):
    answer = browser(rooms.endpoints, keys=KEYS).post("/v1/room", json={"text": ""}, headers=headers)
    assert (answer.status_code, answer.text) == (200, "alice")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {ALICE}x"},
        {"Authorization": f"Basic {ALICE}"},
        {"Authorization": ALICE},
        {"Authorization": "Bearer"},
        {"x-api-key": ""},
    ],
)
def test_nothing_else_does(rooms: Rooms, headers: dict[str, str]):
    client = browser(rooms.endpoints, keys=KEYS)
    for answer in (client.post("/v1/room", json={"text": ""}, headers=headers), client.get("/none", headers=headers)):
        assert (answer.status_code, code(answer)) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert rooms.visits == 0


def test_open_paths_need_no_key(rooms: Rooms):
    assert browser(rooms.endpoints, keys=KEYS).get("/open").status_code == 200


def test_without_keys_everybody_is_anyone(rooms: Rooms):
    answer = browser(rooms.endpoints).post("/v1/room", json={"text": ""}, headers={"Authorization": "Bearer x"})
    assert answer.text == "anyone"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST.",
        "app.localhost",
        HERE,
        "[::1]:8000",
        "192.168.1.7:8000",
        "named.example",
    ],
)
def test_hosts_that_are_ours(rooms: Rooms, host: str):
    client = browser(rooms.endpoints, hosts=["named.example"])
    assert client.get("/v1/room", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "127.0.0.1@evil.example",
        "",
        "[evil]:1",
        "named.example.evil",
    ],
)
def test_a_host_whose_name_was_made_to_point_here_is_refused(rooms: Rooms, host: str):
    answer = browser(rooms.endpoints, hosts=["named.example"]).get("/v1/room", headers={"Host": host})
    assert (answer.status_code, code(answer)) == (403, "host_not_allowed")
    assert rooms.visits == 0


def test_any_host_is_ours_when_that_is_meant(rooms: Rooms):
    assert browser(rooms.endpoints, hosts=["*"]).get("/v1/room", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost", "x"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_from_elsewhere_is_refused_before_anything_happens(rooms: Rooms, origin: str, method: str):
    client = browser(rooms.endpoints, origins=["https://named.example"])
    headers = {"Origin": origin, "Content-Type": "text/plain", "Access-Control-Request-Method": "POST"}
    answer = client.request(method, "/v1/room", content=b'{"text": ""}', headers=headers)
    assert (answer.status_code, code(answer)) == (403, "origin_not_allowed")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert rooms.visits == 0


def test_our_own_page_and_programs_without_one_are_let_in(rooms: Rooms):
    client = browser(rooms.endpoints)
    assert client.get("/v1/room", headers={"Origin": f"http://{HERE}"}).status_code == 200
    assert client.get("/v1/room").status_code == 200


@pytest.mark.parametrize("origins", [["https://named.example"], ["https://Named.example/"], ["*"]])
def test_a_named_page_may_read_answers_and_errors(rooms: Rooms, origins: list[str]):
    client = browser(rooms.endpoints, origins=origins, keys=KEYS)
    headers = {"Origin": "https://named.example", "Authorization": f"Bearer {ALICE}"}
    for path, status in (("/v1/room", 200), ("/none", 404)):
        answer = client.get(path, headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "https://named.example"
        assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in client.get("/open").headers


def test_a_browser_that_asks_a_named_page_beforehand_needs_no_key(rooms: Rooms):
    client = browser(rooms.endpoints, origins=["https://named.example"], keys=KEYS)
    headers = {
        "Origin": "https://named.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-os",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = client.options("/v1/room", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert rooms.visits == 0


def test_cookies_are_never_wanted(rooms: Rooms):
    client = browser(rooms.endpoints, origins=["*"])
    assert (
        "access-control-allow-credentials" not in client.get("/open", headers={"Origin": "https://a.example"}).headers
    )


def test_a_body_that_says_it_is_too_long_is_not_read(rooms: Rooms):
    client = browser(rooms.endpoints, limits=Limits(body_bytes=100))
    answer = client.post("/v1/room", content=b'{"text": "%s"}' % (b"x" * 100))
    assert (answer.status_code, code(answer)) == (413, "request_too_large")
    assert rooms.visits == 0


def test_a_body_without_a_length_is_counted(rooms: Rooms):
    def chunks():
        yield b'{"text": "'
        for _ in range(100):
            yield b"x" * 10
        yield b'"}'

    client = browser(rooms.endpoints, limits=Limits(body_bytes=500))
    answer = client.post("/v1/room", content=chunks())
    assert (answer.status_code, code(answer)) == (413, "request_too_large")
    assert (
        browser(rooms.endpoints, limits=Limits(body_bytes=1012)).post("/v1/room", content=chunks()).status_code == 200
    )
    assert rooms.visits == 1


def test_all_bodies_together_are_bounded_as_long_as_they_are_answered():
    async def check() -> None:
        rooms = Rooms()
        released = asyncio.Event()

        async def wait(request: Request, body: Note) -> Response:
            await released.wait()
            return Response("done")

        endpoints = [*rooms.endpoints, Endpoint("POST", "/v1/wait", wait, "", body=Note)]
        body = b'{"text": "%s"}' % (b"x" * 1000)
        async with listening(endpoints, limits=Limits(bodies_bytes=2500)) as port:
            first, second = [asyncio.ensure_future(sent(port, http("/v1/wait", body))) for _ in range(2)]
            await asyncio.sleep(0.3)
            refused = await sent(port, http("/v1/room", body))
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in refused.lower()
            released.set()
            assert [(await each)[-4:] for each in (first, second)] == [b"done"] * 2
            assert (await sent(port, http("/v1/room", body))).endswith(b"anyone")

    within(10, check())


async def sent(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("limits", "headers"),
    [
        (Limits(headers=20), {f"x-{number}": "1" for number in range(20)}),
        (Limits(header_bytes=1000), {"x": "y" * 1000}),
    ],
)
def test_headers_are_bounded(rooms: Rooms, limits: Limits, headers: dict[str, str]):
    answer = browser(rooms.endpoints, limits=limits).get("/v1/room", headers=headers)
    assert (answer.status_code, code(answer)) == (431, "headers_too_large")


def test_a_long_query_is_headers_too(rooms: Rooms):
    assert browser(rooms.endpoints).get("/v1/room", params={"x": "y" * 40_000}).status_code == 431


def test_a_body_that_stops_coming_is_given_up():
    async def check() -> bytes:
        rooms = Rooms()
        async with listening(rooms.endpoints, limits=Limits(body_seconds=0.2)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(http("/v1/room", b'{"text": ""}')[:-3])
            answer = await reader.read()
            writer.close()
            assert rooms.visits == 0
            return answer

    answer = within(5, check())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"nothing more of the body came for 0.2 seconds" in answer


def test_every_answer_has_the_requests_id(rooms: Rooms):
    client = browser(rooms.endpoints)
    ids = [client.get(path).headers["x-request-id"] for path in ("/open", "/none", "/v1/messages")]
    assert len(set(ids)) == 3
    messages = client.get("/v1/messages")
    assert messages.headers["request-id"] == messages.headers["x-request-id"]
    assert messages.headers["x-content-type-options"] == "nosniff"


def test_the_journal_says_what_became_of_each_request(rooms: Rooms, caplog: pytest.LogCaptureFixture):
    client = browser(rooms.endpoints, keys=KEYS)
    with caplog.at_level(logging.INFO, "ossia.server"):
        answer = client.post("/v1/room", json={"text": "private"}, headers={"x-api-key": ALICE})
        client.get("/v1/room?key=secret")
    first, second = [vars(record) for record in caplog.records]
    assert first["request"] == answer.headers["x-request-id"]
    found = {key: first[key] for key in ("method", "path", "status", "client", "bytes")}
    assert found == {"method": "POST", "path": "/v1/room", "status": 200, "client": "alice", "bytes": 18}
    assert (second["status"], second["client"]) == (401, "none")
    assert not any(word in str([first, second]) for word in ("private", "secret", ALICE))


def test_requests_are_counted_by_route_and_never_by_path(rooms: Rooms):
    client = browser(rooms.endpoints)
    for path in ("/open", "/none/1", "/none/2"):
        client.get(path)
    client.request("STRANGE", "/none/3")
    metrics = client.app.state.service.metrics  # type: ignore[attr-defined]
    assert metrics.requests.value("GET", "/open", "200") == 1
    assert metrics.requests.value("GET", "none", "404") == 2
    assert metrics.requests.value("other", "none", "404") == 1
    assert metrics.open_requests.value() == 0


def test_websockets_are_closed(rooms: Rooms):
    with pytest.raises(WebSocketDisconnect), browser(rooms.endpoints).websocket_connect("/v1/room"):
        pass
