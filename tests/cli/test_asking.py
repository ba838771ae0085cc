"""One request to a server: what is sent, and what is said when the answer is none."""

import argparse
from typing import Any

import pytest

from ossia.cli import _asking
from ossia.errors import RequestError, UnavailableError
from tests.cli.answering import Answering


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OSSIA_API_KEY", "secret")
    with Answering({"/api/ps": (200, {"a": 1}), "/at/api/x": (200, {})}) as server:
        assert _asking.ask(server.url, "GET", "/api/ps") == {"a": 1}
        _asking.ask(server.url.removeprefix("http://") + "/at/", "POST", "/api/x", {"b": 2})
    assert server.asked == [("GET", "/api/ps", None), ("POST", "/at/api/x", {"b": 2})]
    assert server.keys == ["Bearer secret"] * 2


@pytest.mark.parametrize(
    ("status", "content", "error", "message"),
    [
        (404, {"error": "model 'x' not found"}, RequestError, "^model 'x' not found$"),
        (401, {"error": {"message": "no key"}}, RequestError, "^no key$"),
        (500, {}, RequestError, "^status 500$"),
        (200, b"<html>", UnavailableError, r"what answers at http://.* is no server of Ossia's \(status 200"),
        (502, [1], UnavailableError, "no server of Ossia's"),
        (200, b"[" * 100_000, UnavailableError, "no server of Ossia's"),
    ],
)
def test_what_is_refused_or_makes_no_sense(status: int, content: Any, error: type[Exception], message: str):
    with Answering({"/": (status, content)}) as server, pytest.raises(error, match=message):
        _asking.ask(server.url, "GET", "/")


def test_nobody_answers():
    with Answering({}) as server:
        pass
    with pytest.raises(
        UnavailableError, match=f"no server answers at {server.url}: .*refused; `ossia serve` starts one"
    ):
        _asking.ask(server.url, "GET", "/")


@pytest.mark.parametrize("url", ["", "ftp://a", "http://", "http://a:b", "http://a:99999", "http://[x"])
def test_a_url_that_is_none(url: str):
    with pytest.raises(RequestError, match="the URL is"):
        _asking.ask(url, "GET", "/")


def test_the_url_can_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OSSIA_URL", "http://127.0.0.1:1")
    parser = argparse.ArgumentParser()
    _asking.add_server(parser)
    assert parser.parse_args([]).url == "http://127.0.0.1:1"
    assert parser.parse_args(["--url", "x"]).url == "x"
