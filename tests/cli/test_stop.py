"""`ossia stop` asks as Ollama's clients do."""

import pytest

from ossia.cli import main
from tests.cli.answering import Answering


def test_it_asks_for_no_time_at_all(capsys: pytest.CaptureFixture[str]):
    with Answering({"/api/generate": (200, {"done": True})}) as server:
        assert main(["stop", "gpt-oss:20b", "--url", server.url]) == 0
    assert server.asked == [
        ("POST", "/api/generate", {"model": "gpt-oss:20b", "keep_alive": 0, "stream": False}),
    ]
    assert capsys.readouterr().err == "gpt-oss:20b is unloaded\n"


def test_a_model_that_is_kept(capsys: pytest.CaptureFixture[str]):
    answer = {"done": True, "done_reason": "load", "ossia": {"kept": "it stays"}}
    with Answering({"/api/generate": (200, answer)}) as server:
        assert main(["stop", "nano", "--url", server.url]) == 1
    assert capsys.readouterr().err == "nano: it stays\n"


def test_a_model_that_is_still_used(capsys: pytest.CaptureFixture[str]):
    answer = {"done": True, "done_reason": "unload", "ossia": {"kept": "requests use it"}}
    with Answering({"/api/generate": (200, answer)}) as server:
        assert main(["stop", "other", "--url", server.url]) == 0
    assert capsys.readouterr().err == "other: requests use it\n"


def test_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]):
    with Answering({"/api/generate": (404, {"error": "model 'x' not found"})}) as server:
        assert main(["stop", "x", "--url", server.url]) == 1
    assert capsys.readouterr().err == "ossia: model 'x' not found\n"
