import io
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from ossia.checkpoint.sources import transport
from ossia.checkpoint.sources.transport import Client, RefusedError, TransientError, origin, patiently, shown
from ossia.errors import CancelledError, DownloadError
from tests.checkpoint.sources.servers import Answer, Request, Server


class Scripted(Server):
    """Answers as it is told, by path."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.answers: dict[str, Answer] = {}

    def answer(self, request: Request) -> Answer:
        found = self.answers.get(request.path, Answer(404))
        return Answer(found.status, found.body, dict(found.headers))


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Scripted]:
    with Scripted("localhost") as server:
        yield server


def test_the_token_goes_to_its_own_host(server: Scripted):
    server.answers["/x"] = Answer(200, b"{}")
    assert Client(server.url, "secret").object(server.url + "/x") == {}
    assert server.asked[0].headers["Authorization"] == "Bearer secret"


def test_the_token_follows_no_redirect_to_another_host(server: Scripted, other: Scripted):
    server.answers["/x"] = Answer(302, b"", {"Location": other.url + "/y"})
    other.answers["/y"] = Answer(200, b'{"a": 1}')
    assert Client(server.url, "secret").object(server.url + "/x") == {"a": 1}
    assert "Authorization" in server.asked[0].headers
    assert not {"Authorization", "authorization"} & other.asked[0].headers.keys()


def test_the_token_follows_a_redirect_within_its_host(server: Scripted, other: Scripted):
    """As the hub sends them for repositories that were renamed, also after a way around another host."""
    server.answers["/old"] = Answer(307, b"", {"Location": "/new"})
    server.answers["/new"] = Answer(302, b"", {"Location": other.url + "/there"})
    other.answers["/there"] = Answer(302, b"", {"Location": server.url + "/back"})
    server.answers["/back"] = Answer(200, b"{}")
    Client(server.url, "secret").object(server.url + "/old")
    assert [("Authorization" in request.headers) for request in server.asked] == [True, True, True]
    assert "Authorization" not in other.asked[0].headers


def test_the_token_is_not_sent_to_another_address(server: Scripted, other: Scripted):
    other.answers["/x"] = Answer(200, b"{}")
    Client(server.url, "secret").object(other.url + "/x")
    assert "Authorization" not in other.asked[0].headers


def test_a_range_follows_a_redirect(server: Scripted, other: Scripted):
    server.answers["/x"] = Answer(302, b"", {"Location": other.url + "/y"})
    other.answers["/y"] = Answer(200, b"")
    Client(server.url).open(server.url + "/x", {"Range": "bytes=0-9"}).close()
    assert other.asked[0].headers["Range"] == "bytes=0-9"


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_redirects_stay_with_http(server: Scripted, place: str):
    server.answers["/x"] = Answer(302, b"", {"Location": place})
    with pytest.raises(DownloadError) as caught:
        Client(server.url).object(server.url + "/x")
    assert not isinstance(caught.value, TransientError)


def test_redirects_do_not_leave_https(monkeypatch: pytest.MonkeyPatch):
    request = urllib.request.Request("https://hub.example/x")
    handler = transport._Redirects(Client("https://hub.example", "secret"))
    with pytest.raises(ValueError, match=r"redirects from https to http://hub\.example/x"):
        handler.redirect_request(request, io.BytesIO(), 302, "", {}, "http://hub.example/x")


def test_redirects_end(server: Scripted):
    server.answers["/x"] = Answer(302, b"", {"Location": "/x"})
    with pytest.raises(DownloadError, match="answered 302"):
        Client(server.url).object(server.url + "/x")


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"[" * 100_000, b"\xff", b"null"])
def test_what_is_no_json_object_is_refused(server: Scripted, body: bytes):
    server.answers["/x"] = Answer(200, body)
    with pytest.raises(DownloadError, match="JSON"):
        Client(server.url).object(server.url + "/x")


def test_no_more_is_read_than_a_description_has(server: Scripted):
    server.answers["/x"] = Answer(200, b" " * 101)
    with pytest.raises(DownloadError, match="more than 100 bytes"):
        Client(server.url).bytes(server.url + "/x", limit=100)


def test_refusals_say_what_the_server_said(server: Scripted):
    headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
    server.answers["/x"] = Answer(403, b"", headers)
    with pytest.raises(RefusedError, match="answered 403 Access is restricted") as caught:
        Client(server.url).object(server.url + "/x")
    assert (caught.value.status, caught.value.code) == (403, "GatedRepo")


@pytest.mark.parametrize(("status", "after", "wait"), [(429, "7", 7.0), (503, "9999", 60.0), (500, "soon", 0.0)])
def test_busy_servers_may_answer_later(server: Scripted, status: int, after: str, wait: float):
    server.answers["/x"] = Answer(status, b"", {"Retry-After": after})
    with pytest.raises(TransientError) as caught:
        Client(server.url).object(server.url + "/x")
    assert caught.value.wait == wait


def test_a_silent_server_is_a_passing_failure(server: Scripted):
    server.faults.stall = threading.Event()
    server.faults.stall.set()
    server.answers["/x"] = Answer(200, b"{}", {"X-Content": ""})
    with pytest.raises(TransientError, match="timed out"):
        Client(server.url, timeout=0.2).object(server.url + "/x")


def test_nobody_there_is_a_passing_failure():
    with Scripted() as server:
        url = server.url
    with pytest.raises(TransientError, match="refused"):
        Client(url).object(url + "/x")


@pytest.mark.parametrize("base", ["", "huggingface.co", "file:///etc", "http://", "javascript:x"])
def test_an_address_must_be_one(base: str):
    with pytest.raises(DownloadError, match="no address of a server"):
        Client(base)


def test_messages_show_no_signatures_or_passwords():
    assert shown("https://me:secret@cdn.example/a/b?X-Amz-Signature=secret#x") == "https://cdn.example/a/b"


def test_origins():
    assert origin("https://Hub.example/x") == origin("https://hub.example:443/y")
    assert origin("https://hub.example") != origin("http://hub.example")
    assert origin("https://hub.example") != origin("https://hub.example.evil.example")
    assert origin("https://hub.example@evil.example/") != origin("https://hub.example")
    assert origin("https://hub.example:notaport/")[2] == -1


def test_patience_ends():
    waits: list[float] = []
    tried: list[int] = []

    def never() -> None:
        tried.append(1)
        raise TransientError("busy")

    with pytest.raises(DownloadError, match="busy; tried 3 times"):
        patiently(never, sleep=waits.append, tries=3)
    assert len(tried) == 3
    assert sum(waits) == pytest.approx(3.0)


def test_patience_can_be_stopped():
    def never() -> None:
        raise TransientError("busy")

    with pytest.raises(CancelledError):
        patiently(never, stopped=lambda: True, sleep=lambda seconds: None)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "its address cannot be found: Name or service not known; a network connection and a right name are needed",
        ),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError("timed out"), "timed out"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_fails_below_http_is_said_without_numbers(failure: Exception, words: str):
    for error in (failure, urllib.error.URLError(failure)):
        assert str(transport.broken(error, "https://hub/x")) == f"https://hub/x: {words}"
