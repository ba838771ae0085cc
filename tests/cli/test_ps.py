"""What `ossia ps` prints of what a server answers, whatever that is."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ossia.cli import main
from tests.cli.answering import Answering


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def shown(capsys: pytest.CaptureFixture[str], answer: Any, *options: str) -> list[str]:
    with Answering({"/api/ps": (200, answer)}) as server:
        assert main(["ps", "--url", server.url, *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_models_and_how_long_they_stay(capsys: pytest.CaptureFixture[str]):
    models = [
        {
            "name": "gpt-oss:20b",
            "size": 13 * 2**30,
            "context_length": 131_072,
            "expires_at": in_seconds(301),
            "loaded": 1.0,
        },
        {
            "name": "nano",
            "size": 3 * 2**20,
            "context_length": 4096,
            "expires_at": "2318-01-01T00:00:00Z",
            "loaded": 1.0,
        },
        {"name": "b", "size": 2**20, "context_length": 0, "expires_at": in_seconds(1000), "loaded": 0.25},
        {"name": "c", "size": 2**20, "context_length": 100, "expires_at": in_seconds(-5)},
    ]
    lines = [line.split() for line in shown(capsys, {"models": models})]
    assert lines[0] == ["NAME", "SIZE", "CONTEXT", "STAYS"]
    assert [line[0] for line in lines[1:]] == ["gpt-oss:20b", "nano", "b", "c"]
    assert [line[3:] for line in lines[1:]] == [
        ["131,072", "5", "min"],
        ["4,096", "for", "ever"],
        ["-", "loading,", "25%"],
        ["100", "0", "s"],
    ]


def test_nothing_is_loaded(capsys: pytest.CaptureFixture[str]):
    assert [line.split() for line in shown(capsys, {"models": []})] == [["NAME", "SIZE", "CONTEXT", "STAYS"]]


def test_json(capsys: pytest.CaptureFixture[str]):
    assert json.loads("\n".join(shown(capsys, {"models": [{"name": "a"}]}, "--json"))) == {"models": [{"name": "a"}]}


@pytest.mark.parametrize(
    "models",
    [
        None,
        [3],
        [{}],
        [{"name": "\x1b]0;owned\x07\nx", "size": -1, "context_length": "x", "expires_at": 5, "loaded": "half"}],
        [{"name": ["x"], "size": 2.5, "expires_at": "9999-99-99"}, {"expires_at": "2026-01-01T00:00:00"}],
    ],
)
def test_an_answer_that_makes_no_sense_harms_nothing(capsys: pytest.CaptureFixture[str], models: Any):
    lines = shown(capsys, {"models": models})
    assert len(lines) == 1 + sum(isinstance(model, dict) for model in models or ())
    assert not any(character in "".join(lines) for character in "\x1b\x07")


def test_no_server(capsys: pytest.CaptureFixture[str]):
    assert main(["ps", "--url", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.startswith("ossia: no server answers at http://127.0.0.1:1")
