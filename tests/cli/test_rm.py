import io
import json
import sys
from pathlib import Path

import pytest

from ossia.checkpoint import cached_files
from ossia.checkpoint.sources import records
from ossia.cli import main
from tests.checkpoint.sources.keeping import keep_hub


class Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that Ossia pulled, the only one there is."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME", "OSSIA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / ".ollama/models"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    folder = keep_hub(tmp_path / ".cache/huggingface/hub", "openai/gpt-oss-20b")
    records.note(folder, "gpt-oss:20b")
    return folder


def test_yes_removes(snapshot: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["rm", "gpt-oss:20b", "--yes"]) == 0
    assert not snapshot.exists()
    assert "openai/gpt-oss-20b is removed; " in capsys.readouterr().err
    assert main(["rm", "gpt-oss:20b", "--yes"]) == 1
    assert "no model 'gpt-oss:20b' has been downloaded" in capsys.readouterr().err


def test_json_says_what_was_freed(snapshot: Path, capsys: pytest.CaptureFixture[str]):
    size = sum(file.stat().st_size for file in snapshot.iterdir())
    assert main(["rm", "gpt-oss:20b", "-y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["freed_bytes"] == size


def test_its_copies_in_8_bits_go_with_it(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    size = sum(file.stat().st_size for file in snapshot.iterdir())
    folder = tmp_path / ".cache/ossia"
    folder.mkdir(parents=True)
    own, other = folder / f"{cached_files._place(snapshot)}-1.safetensors", folder / "0-1.safetensors"
    for file in (own, other):
        file.write_bytes(bytes(1000))
    assert main(["rm", "gpt-oss:20b", "-y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["freed_bytes"] == size + 1000
    assert list(folder.iterdir()) == [other]


def test_where_nobody_can_be_asked_nothing_is_removed(snapshot: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["rm", "gpt-oss:20b"]) == 1
    assert "would be removed; --yes says that it may be" in capsys.readouterr().err
    assert snapshot.exists()


@pytest.mark.parametrize(
    ("answer", "gone"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_the_user_is_asked(snapshot: Path, monkeypatch: pytest.MonkeyPatch, answer: str, gone: bool):
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    assert main(["rm", "gpt-oss:20b"]) == (0 if gone else 1)
    assert snapshot.exists() is not gone


def test_what_others_downloaded_stays(snapshot: Path, capsys: pytest.CaptureFixture[str]):
    records.forget(snapshot)
    assert main(["rm", "gpt-oss:20b", "--yes"]) == 1
    assert "was downloaded by Hugging Face" in capsys.readouterr().err
    assert snapshot.exists()
    assert main(["rm", "gpt-oss:20b", "--yes", "--foreign"]) == 0
    assert not snapshot.exists()
