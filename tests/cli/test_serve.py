"""`ossia serve` as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ossia.cli import main
from ossia.cli.serve import greeting
from ossia.errors import ConfigError
from ossia.server import serving
from ossia.server.remote import Launch
from ossia.server.settings import ServerConfig
from tests.cli.tiny import write_tiny


def command(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ossia", "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OSSIA_SERVER_STORE": ":memory:"} | environment,
    )


@contextmanager
def running(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str], str]]:
    """The process once its model is loaded, the addresses it prints, and all that it prints."""
    process = command(*words, "--port", "0", **environment)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("Serving "), process.communicate(timeout=20)
        rest = [process.stdout.readline() for _ in range(4)]
        yield process, re.findall(r"http://[\w.:\[\]]+", first), "".join([first, *rest])
    finally:
        process.kill()
        process.communicate(timeout=20)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def fetched(address: str, key: str | None = None) -> Any:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny"))


def test_it_says_where_it_listens_and_ends_at_a_signal(tiny: str):
    with running(tiny, "--threads", "1", "--ollama-port", "0", "--context", "200") as (process, addresses, said):
        assert len(set(addresses)) == 2
        for address in addresses:
            (card, *_) = fetched(f"{address}/v1/models")["data"]
            assert (card["id"], card["context_length"]) == ("tiny", 200)
        process.send_signal(signal.SIGINT)
        status, out, err = ended(process)
    assert status == 0
    assert out == ""
    assert said.splitlines()[-1] == "Ctrl-c ends it."
    assert "path=/v1/models status=200" in err
    assert "Traceback" not in err


def test_several_models_are_named_and_the_first_is_loaded(tiny: str, tmp_path: Path):
    other = write_tiny(tmp_path / "other", seed=1)
    with running(tiny, "--threads", "1", str(other)) as (_, (address,), said):
        assert said.startswith("Serving tiny ")
        cards = {card["id"]: card["loaded"] for card in fetched(f"{address}/v1/models")["data"]}
    assert (cards["tiny"], cards["other"]) == (True, False)


def test_options_the_environment_and_a_file_make_its_settings(tiny: str, tmp_path: Path):
    key = "a-key-for-this-test-only"
    settings = tmp_path / "serve.toml"
    settings.write_text('[server]\nlog = "json"\nhosts = ["named.example"]\n')
    words = (tiny, "--threads", "1", "--name", "gpt-oss:20b", "--config", str(settings))
    with running(*words, OSSIA_API_KEYS=f"me:{key}") as (process, (address,), said):
        assert fetched(f"{address}/v1/models", key)["data"][0]["id"] == "gpt-oss:20b"
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            fetched(f"{address}/v1/models")
        refused.value.close()
        process.send_signal(signal.SIGTERM)
        status, out, err = ended(process)
    assert status == 0
    assert "YOUR-KEY" in said
    lines = [json.loads(line) for line in err.splitlines()]
    assert [(line["status"], line["client"]) for line in lines] == [(200, "me"), (401, "none")]
    assert key not in said + out + err


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ((), "settings", {}),
        (("--max-requests", "3"), "settings", {"max_requests": 3}),
        (("--kv-cache-dtype", "int8"), "kv_cache_dtype", "int8"),
    ],
)
def test_what_the_engine_is_to_be_like_is_passed_on(
    words: tuple[str, ...], name: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    launched: list[Launch] = []

    def make(config: ServerConfig, launch: Launch, **_: object) -> None:
        launched.append(launch)
        raise ConfigError("that is all")

    monkeypatch.setattr(serving, "make_service", make)
    assert main(["serve", "nano", *words]) == 1
    assert [getattr(launch, name) for launch in launched] == [value]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing-of-that-name"], "no model 'nothing-of-that-name' here"),
        (["--host", "0.0.0.0"], "which others can reach, and there are no API keys"),
        (["--api-keys", "missing.txt"], "missing.txt: not a readable file of API keys"),
        (["--config", "missing.toml"], "missing.toml: not a readable TOML file"),
        (["--allow-origin", "example.com"], "origins has 'example.com'"),
        (["--context", "10"], "context is 10; at least "),
        (["--ollama", "--port", "11434"], "port and ollama_port are both 11434"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_soon(words: list[str], says: str):
    begin = time.monotonic()
    status, out, err = ended(command(*words))
    assert (status, out) == (1, "")
    assert err.startswith("ossia: ")
    assert says in err
    assert len(err.splitlines()) == 1
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "65536"],
        ["--name", ""],
        ["--name", " "],
        ["--keep-alive", "-2"],
        ["--keep-alive", "x"],
        ["--prot", "1"],
    ],
)
def test_options_that_are_none_are_refused(words: list[str]):
    status, _, err = ended(command(*words))
    assert status == 2
    assert "see `ossia serve --help`" in err


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(tiny: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, out, err = ended(command(tiny, "--port", str(taken.getsockname()[1])))
    assert (status, out) == (1, "")
    assert "is taken by another program" in err


@pytest.mark.parametrize("keys", [False, True])
def test_the_greeting_can_be_copied(keys: bool):
    text = greeting("tiny", {"backend": "native", "precision": "exact", "threads": 2}, 4096, ["http://h:1"], keys)
    first, curl, sdk, codex, last = text.splitlines()
    assert first == "Serving tiny (native, exact, context 4,096) at http://h:1"
    assert json.loads(curl.partition("-d '")[2].removesuffix("'"))["model"] == "tiny"
    assert ("Authorization: Bearer YOUR-KEY" in curl) is keys
    assert 'base_url="http://h:1/v1"' in sdk
    assert "wire_api=responses" in codex
    assert ("env_key" in codex) is keys
    assert last == "Ctrl-c ends it."
