import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ossia.cli import main
from tests.checkpoint.sources.servers import COMMIT, Files, Hub

NAME = "openai/gpt-oss-20b"


@pytest.fixture
def hub(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has a model that talks, a home without any, and no proxies."""
    for name in ("HF_HUB_OFFLINE", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    with Files({}) as cdn, Hub(cdn) as server:
        server.repositories[NAME] = {file.name: file.read_bytes() for file in tiny.iterdir()}
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def snapshot(home: Path) -> Path:
    return home / ".cache/huggingface/hub/models--openai--gpt-oss-20b/snapshots" / COMMIT


def test_a_model_is_pulled_once(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["pull", "gpt-oss:20b"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == "gpt-oss:20b: pulling manifest"
    assert captured.err.splitlines()[-1] == f"gpt-oss:20b is here: {snapshot(tmp_path)}"
    asked = len(hub.asked)
    assert main(["pull", "gpt-oss", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"model": "gpt-oss", "path": str(snapshot(tmp_path))}
    assert len(hub.asked) == asked


def test_run_pulls_what_is_missing(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """As users of Ollama expect; the answer of a model with random weights is whatever it is."""
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["run", "gpt-oss:20b", "Hello", "--max-tokens", "4", "--json", "--backend", "reference"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["settings"]["path"] == str(snapshot(tmp_path))
    assert "pulling manifest" in captured.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("some/other", "no repository some/other, or it is private"),
        ("a b", "no name of a model"),
        (f"{NAME}@v9", "no revision 'v9'"),
        (f"{NAME}:Q4_K_M", "neither config.json with model*.safetensors nor GGUF"),
    ],
)
def test_what_cannot_be_pulled_is_one_line(hub: Hub, capsys: pytest.CaptureFixture[str], name: str, words: str):
    assert main(["pull", name]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("ossia: ")
    assert words in last


def test_ctrl_c_says_that_nothing_is_lost(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ossia.checkpoint.pull", interrupted)
    assert main(["pull", NAME]) == 130
    assert capsys.readouterr().err == f"stopped; `ossia pull {NAME}` goes on from here\n"


def test_a_model_that_turns_out_not_to_run_is_said(hub: Hub, capsys: pytest.CaptureFixture[str]):
    config = json.loads(hub.repositories[NAME]["config.json"])
    hub.repositories[NAME]["config.json"] = json.dumps(config | {"num_hidden_layers": 3}).encode()
    assert main(["pull", NAME]) == 1
    assert "was downloaded to" in capsys.readouterr().err.splitlines()[-1]
