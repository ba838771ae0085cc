from pathlib import Path

import pytest

from ossia.checkpoint import find
from ossia.checkpoint.sources import records
from ossia.checkpoint.sources.hub_cache import models
from ossia.checkpoint.sources.removal import plan_removal, remove
from ossia.errors import CheckpointError, ModelNotFoundError
from tests.checkpoint.sources.keeping import gguf_file, keep_hub, keep_hub_file, keep_ollama


@pytest.fixture
def cache(home: Path) -> Path:
    return home / ".cache/huggingface/hub"


def test_what_ossia_pulled_is_removed(cache: Path):
    snapshot = keep_hub(cache, "openai/gpt-oss-20b")
    records.note(snapshot, "gpt-oss:20b")
    removal = plan_removal("gpt-oss:20b")
    assert not removal.foreign
    size = removal.local.bytes
    assert remove(removal) == size
    assert not snapshot.exists()
    assert not records.pulled(snapshot)
    with pytest.raises(ModelNotFoundError):
        find("gpt-oss:20b")


def test_another_programs_model_is_removed_only_when_said(cache: Path):
    snapshot = keep_hub(cache, "some/model")
    removal = plan_removal("some/model")
    assert removal.foreign
    with pytest.raises(CheckpointError, match=r"was downloaded by Hugging Face.*--foreign"):
        remove(removal)
    assert (snapshot / "config.json").exists()
    assert remove(removal, foreign=True) > 0
    assert not snapshot.exists()


def test_ours_goes_before_others(home: Path, cache: Path):
    snapshot = keep_hub(cache, "openai/gpt-oss-20b")
    file = keep_ollama(home / ".ollama/models", "library/gpt-oss", "20b")
    records.note(file, "ollama://gpt-oss:20b")
    assert plan_removal("ollama://gpt-oss:20b").local.path == file
    # The very name is meant, not what could stand in for it.
    assert plan_removal("openai/gpt-oss-20b").local.path == snapshot
    assert plan_removal("openai/gpt-oss-20b").foreign


def test_ollamas_store(home: Path):
    file = keep_ollama(home / ".ollama/models", "me/mine", "latest")
    records.note(file, "ollama://me/mine")
    size = sum(one.stat().st_size for one in file.parent.iterdir())
    assert plan_removal("ollama://me/mine") == plan_removal("me/mine:latest")
    assert remove(plan_removal("ollama://me/mine")) == size
    assert not file.exists()


def test_one_gguf_of_several(cache: Path, tmp_path: Path):
    folder = cache / "models--ggml-org--gpt-oss-20b-GGUF"
    for name, seed in (("m-Q8_0.gguf", 0), ("m-F16.gguf", 1)):
        data = gguf_file(tmp_path / name, seed=seed).read_bytes()
        keep_hub_file(folder, folder / "snapshots" / ("a" * 40), name, data)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    removal = plan_removal("ggml-org/gpt-oss-20b-GGUF:Q8_0")
    size = removal.local.bytes
    assert remove(removal, foreign=True) == size > 0
    assert [local.name for local in models(cache)] == ["ggml-org/gpt-oss-20b-GGUF:F16"]
    assert find("ggml-org/gpt-oss-20b-GGUF").name == "m-F16.gguf"
    assert len(list((folder / "blobs").iterdir())) == 1


def test_lm_studios_files(home: Path):
    folder = home / ".lmstudio/models/me/mine"
    folder.mkdir(parents=True)
    file = gguf_file(folder / "mine-Q8_0.gguf")
    size = file.stat().st_size
    assert remove(plan_removal("me/mine:Q8_0"), foreign=True) == size
    assert not file.exists()


def test_paths_and_nano_are_not_removed(home: Path):
    gguf_file(home / "mine.gguf")
    with pytest.raises(CheckpointError, match="is a path, not a download"):
        plan_removal("mine.gguf")
    with pytest.raises(CheckpointError, match="part of the package"):
        plan_removal("nano")
    with pytest.raises(ModelNotFoundError, match="no model 'gpt-oss:20b' has been downloaded"):
        plan_removal("gpt-oss:20b")
    assert (home / "mine.gguf").exists()


def test_what_cannot_be_removed_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch):
    keep_hub(cache, "some/model")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    removal = plan_removal("some/model")
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(CheckpointError, match="cannot be removed: Permission denied"):
        remove(removal, foreign=True)
