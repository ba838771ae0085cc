"""What is here, read once."""

import os
from pathlib import Path

import pytest

from ossia.checkpoint import find
from ossia.server import catalogue
from ossia.server.catalogue import Catalogue, downloaded, with_aliases
from tests.checkpoint.sources.keeping import keep_hub, keep_ollama
from tests.cli.tiny import CONFIG, write_tiny


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing but what a test puts there; and nothing is remembered for a moment only."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(catalogue, "FRESH_SECONDS", 0.0)
    return tmp_path


def test_nano_is_always_here():
    assert downloaded() == {"nano": find("nano")}
    (entry,) = Catalogue(downloaded).entries()
    assert (entry.name, entry.layout, entry.experts) == ("nano", "hugging_face", "mxfp4")
    assert entry.config.max_position_embeddings == 131_072
    assert entry.bytes > 1_000_000


def test_what_programs_have_downloaded_is_here(home: Path, monkeypatch: pytest.MonkeyPatch):
    # These stand-ins are too small for the published models' vocabulary.
    monkeypatch.setattr(catalogue, "vocabulary_of", lambda checkpoint: None)
    keep_hub(home / ".cache/huggingface/hub", "openai/gpt-oss-20b")
    keep_ollama(home / ".ollama/models", "library/gpt-oss", "120b")
    entries = {entry.name: entry.layout for entry in Catalogue(downloaded).entries()}
    assert entries == {"openai/gpt-oss-20b": "hugging_face", "gpt-oss:120b": "ollama", "nano": "hugging_face"}


def test_the_published_models_go_by_all_their_names(home: Path):
    path = keep_hub(home / ".cache/huggingface/hub", "openai/gpt-oss-20b")
    found = with_aliases(downloaded())
    assert {found[name] for name in ("openai/gpt-oss-20b", "gpt-oss:20b", "gpt-oss", "gpt-oss-20b")} == {path}
    assert "gpt-oss:120b" not in found
    assert with_aliases({"nano": find("nano")}) == {"nano": find("nano")}


def test_what_cannot_be_opened_is_left_out(home: Path):
    broken = write_tiny(home / "broken")
    (broken / "config.json").write_text("{}")
    tiny = write_tiny(home / "tiny")
    here = Catalogue(lambda: {"tiny": tiny, "broken": broken, "gone": home / "gone"})
    assert [(entry.name, entry.config) for entry in here.entries()] == [("tiny", CONFIG)]
    refused = here.refused()
    assert sorted(refused) == ["broken", "gone"]
    assert refused["broken"].startswith("config.json: ")
    assert str(home) not in str(refused)


def test_a_small_model_without_a_tokenizer_is_left_out_with_the_reason(home: Path):
    path = write_tiny(home / "tiny")
    (path / "tokenizer.json").unlink()
    here = Catalogue(lambda: {"tiny": path})
    assert here.entries() == []
    assert (
        f"the tokenizer has 201088 tokens and the model's vocab_size is {CONFIG.vocab_size}" in here.refused()["tiny"]
    )
    assert str(home) not in here.refused()["tiny"]


def test_one_path_may_have_several_names(home: Path):
    path = write_tiny(home / "tiny")
    assert [entry.name for entry in Catalogue(lambda: {"a": path, "b": path}).entries()] == ["a", "b"]


def test_files_are_read_again_only_when_they_have_changed(home: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[Path] = []
    opener = catalogue.open_checkpoint
    monkeypatch.setattr(catalogue, "open_checkpoint", lambda path: opened.append(path) or opener(path))
    path = write_tiny(home / "tiny")
    here = Catalogue(lambda: {"tiny": path, "gone": home / "gone"})
    assert here.entries() == here.entries()
    assert opened.count(path) == 1
    os.utime(path, (1, 1))
    assert [entry.created for entry in here.entries()] == [1]
    assert opened.count(path) == 2


def test_a_list_asked_for_twice_in_a_row_is_made_once(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalogue, "FRESH_SECONDS", 60.0)
    asked: list[int] = []
    here = Catalogue(lambda: asked.append(1) or {"nano": find("nano")})
    assert here.entries() is here.entries()
    assert len(asked) == 1


def test_a_folder_that_is_gone_is_called_that(tmp_path: Path):
    catalogue = Catalogue(lambda: {"gone": tmp_path / "gone"})
    assert catalogue.refused() == {"gone": "its folder or file is gone"}
