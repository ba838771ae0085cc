"""`ossia batch` on the embedded model."""

import json
from pathlib import Path

import pytest

from ossia.cli import main
from ossia.errors import ConfigError
from ossia.server import serving
from ossia.server.remote import Launch

QUESTION = {"model": "nano", "messages": [{"role": "user", "content": "What is 2 + 2?"}], "reasoning_effort": "low"}


def test_a_file_of_requests_is_answered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file, output = tmp_path / "in.jsonl", tmp_path / "in.results.jsonl"
    asked = [{"custom_id": name, "url": "/v1/chat/completions", "body": QUESTION} for name in "ab"]
    file.write_text("\n".join(map(json.dumps, asked)))
    assert main(["batch", str(file)]) == 0
    assert "2 answered, 0 were there before, 0 of all have an error" in capsys.readouterr().err
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert {each["custom_id"] for each in found} == {"a", "b"}
    assert all(each["response"]["body"]["choices"][0]["message"]["content"] for each in found)
    assert main(["batch", str(file)]) == 0
    assert "0 answered" in capsys.readouterr().err


def test_a_file_without_requests_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "in.jsonl").write_text("\n")
    assert main(["batch", str(tmp_path / "in.jsonl")]) == 1
    assert "no requests" in capsys.readouterr().err


def test_what_keys_and_values_are_kept_as_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    launched: list[Launch] = []

    def make(config: object, launch: Launch, **_: object) -> None:
        launched.append(launch)
        raise ConfigError("that is all")

    monkeypatch.setattr(serving, "make_service", make)
    (tmp_path / "in.jsonl").write_text(json.dumps({"custom_id": "a", "url": "/v1/chat/completions", "body": QUESTION}))
    assert main(["batch", str(tmp_path / "in.jsonl"), "--kv-cache-dtype", "int8"]) == 1
    assert [launch.kv_cache_dtype for launch in launched] == ["int8"]
