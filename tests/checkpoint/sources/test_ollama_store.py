from pathlib import Path

import pytest

from ossia.checkpoint.sources.names import RegistryName
from ossia.checkpoint.sources.ollama_store import Store, models
from tests.checkpoint.sources.keeping import keep_ollama


def test_models_are_found_by_their_manifests(tmp_path: Path):
    file = keep_ollama(tmp_path, "library/gpt-oss", "20b")
    keep_ollama(tmp_path, "me/mine", "latest", seed=1)
    found = {local.name: local for local in models(tmp_path)}
    assert sorted(found) == ["ollama://gpt-oss:20b", "ollama://me/mine:latest"]
    assert found["ollama://gpt-oss:20b"].path == file
    assert found["ollama://gpt-oss:20b"].bytes == file.stat().st_size + 6 + 2
    assert found["ollama://gpt-oss:20b"].same_as == "openai/gpt-oss-20b"
    assert found["ollama://me/mine:latest"].same_as is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"layers": [{"digest": "../../x"}]}', "[" * 100_000, "\0"])
def test_manifests_that_make_no_sense_are_no_models(tmp_path: Path, text: str):
    keep_ollama(tmp_path, "library/gpt-oss", "20b")
    (tmp_path / "manifests/registry.ollama.ai/library/gpt-oss/120b").write_text(text)
    assert [local.name for local in models(tmp_path)] == ["ollama://gpt-oss:20b"]
    assert list(models(tmp_path / "none")) == []


def test_removing_frees_what_nothing_else_names(tmp_path: Path):
    store = Store(tmp_path)
    first = keep_ollama(tmp_path, "library/gpt-oss", "20b")
    second = keep_ollama(tmp_path, "library/other", "20b", seed=1)
    size = first.stat().st_size
    # Licence and configuration are the same in both.
    assert store.remove(store.manifest(RegistryName("gpt-oss", "20b"))) == size
    assert not first.exists()
    assert second.exists()
    assert not (tmp_path / "manifests/registry.ollama.ai/library/gpt-oss").exists()
    assert store.remove(store.manifest(RegistryName("other", "20b"))) == size + 6 + 2
    assert list((tmp_path / "blobs").iterdir()) == []


def test_two_tags_of_one_model_share_it(tmp_path: Path):
    store = Store(tmp_path)
    file = keep_ollama(tmp_path, "library/gpt-oss", "20b")
    keep_ollama(tmp_path, "library/gpt-oss", "latest")
    assert store.remove(store.manifest(RegistryName("gpt-oss", "20b"))) == 0
    assert file.exists()
    assert [local.name for local in models(tmp_path)] == ["ollama://gpt-oss:latest"]


def test_nothing_is_freed_while_a_manifest_cannot_be_read(tmp_path: Path):
    store = Store(tmp_path)
    file = keep_ollama(tmp_path, "library/gpt-oss", "20b")
    (tmp_path / "manifests/registry.ollama.ai/library/gpt-oss/odd").write_text("{")
    assert store.remove(store.manifest(RegistryName("gpt-oss", "20b"))) == 0
    assert file.exists()
