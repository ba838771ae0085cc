from pathlib import Path

import pytest

from ossia.checkpoint import judge, write
from ossia.checkpoint.sources.hub_cache import Storage, models, snapshots
from tests.checkpoint.models import TINY, tensors_for
from tests.checkpoint.sources.keeping import COMMIT, gguf_file, keep_hub, keep_hub_file

OTHER = "b" * 40


def names(cache: Path) -> list[str]:
    return sorted(local.name for local in models(cache))


def test_models_are_named_by_repository_and_revision(tmp_path: Path):
    keep_hub(tmp_path, "some/model")
    keep_hub(tmp_path, "some/other", OTHER, "v2")
    keep_hub(tmp_path, "gpt2", "c" * 40, None)
    assert names(tmp_path) == [f"gpt2@{'c' * 40}", "some/model", "some/other@v2"]


def test_a_branch_with_a_slash(tmp_path: Path):
    snapshot = keep_hub(tmp_path, "some/model", revision=None)
    references = tmp_path / "models--some--model" / "refs" / "pr"
    references.mkdir(parents=True)
    (references / "3").write_text(COMMIT)
    assert [(one.name, one.folder) for one in snapshots(tmp_path)] == [("some/model@pr/3", snapshot)]


def test_gguf_files_are_models_of_their_own(tmp_path: Path):
    folder = tmp_path / "models--ggml-org--gpt-oss-20b-GGUF"
    data = gguf_file(tmp_path / "x.gguf").read_bytes()
    for name in ("m-Q8_0.gguf", "m-F16-00001-of-00002.gguf", "m-F16-00002-of-00002.gguf"):
        keep_hub_file(folder, folder / "snapshots" / COMMIT, name, data)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    found = {local.name: local for local in models(tmp_path)}
    assert sorted(found) == ["ggml-org/gpt-oss-20b-GGUF:F16", "ggml-org/gpt-oss-20b-GGUF:Q8_0"]
    assert len(found["ggml-org/gpt-oss-20b-GGUF:F16"].files) == 2
    assert {local.same_as for local in found.values()} == {"openai/gpt-oss-20b"}


@pytest.mark.parametrize("reference", ["../../../etc", "", "a/b", ".", "x\ny", "\xff" * 10])
def test_a_reference_leads_to_a_commit_of_its_repository(tmp_path: Path, reference: str):
    keep_hub(tmp_path, "some/model")
    (tmp_path / "models--some--model" / "refs" / "main").write_text(reference)
    assert names(tmp_path) == [f"some/model@{COMMIT}"]


def test_no_cache_has_no_models(tmp_path: Path):
    (tmp_path / "models--file").write_text("")
    assert names(tmp_path) == names(tmp_path / "none") == []


def test_linking_is_repeatable_and_relative(tmp_path: Path):
    storage = Storage(tmp_path, "some/model")
    storage.blob("abc").parent.mkdir(parents=True)
    storage.blob("abc").write_text("content")
    for _ in range(2):
        storage.link(COMMIT, "deep/config.json", "abc")
        storage.refer("main", COMMIT)
    link = storage.snapshot(COMMIT) / "deep" / "config.json"
    assert str(link.readlink()) == "../../../blobs/abc"
    assert link.read_text() == "content"
    assert (storage.folder / "refs" / "main").read_text() == COMMIT
    assert len(list(link.parent.iterdir())) == 1


def test_where_there_are_no_links_there_are_second_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise OSError("no links here")

    storage = Storage(tmp_path, "some/model")
    storage.blob("abc").parent.mkdir(parents=True)
    storage.blob("abc").write_text("content")
    monkeypatch.setattr(Path, "symlink_to", refused)
    storage.link(COMMIT, "one", "abc")
    monkeypatch.setattr(Path, "hardlink_to", refused)
    storage.link(COMMIT, "two", "abc")
    assert [(storage.snapshot(COMMIT) / name).read_text() for name in ("one", "two")] == ["content"] * 2


def test_removing_the_last_snapshot_removes_everything(tmp_path: Path):
    cache = tmp_path / "cache"
    keep_hub(cache, "some/model")
    (local,) = models(cache)
    size = local.bytes
    assert Storage(cache, "some/model").remove(local.path, local.files) == size > 0
    assert list(cache.iterdir()) == []


def test_what_another_commit_uses_stays(tmp_path: Path):
    first = keep_hub(tmp_path, "some/model", seed=0)
    second = keep_hub(tmp_path, "some/model", OTHER, "v2", seed=1)
    found = {local.path: local for local in models(tmp_path)}
    before = {file.name: file.read_bytes() for file in second.iterdir()}
    freed = Storage(tmp_path, "some/model").remove(first, found[first].files)
    # The config is the same in both.
    assert freed == found[second].bytes - len(before["config.json"])
    assert {file.name: file.read_bytes() for file in second.iterdir()} == before
    assert names(tmp_path) == ["some/model@v2"]
    assert not (tmp_path / "models--some--model" / "refs" / "main").exists()


def test_a_link_that_leads_elsewhere_is_removed_and_its_target_not(tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    cache = tmp_path / "cache"
    snapshot = keep_hub(cache, "some/model")
    (snapshot / "tokenizer.json").symlink_to(precious)
    (local,) = models(cache)
    Storage(cache, "some/model").remove(snapshot, local.files)
    assert precious.read_text() == "mine"
    assert list(cache.iterdir()) == []


def test_a_download_of_another_program_goes_on(tmp_path: Path):
    keep_hub(tmp_path, "some/model")
    busy = tmp_path / "models--some--model" / "blobs" / "abc.12345678.incomplete"
    busy.write_text("half")
    (local,) = models(tmp_path)
    Storage(tmp_path, "some/model").remove(local.path, local.files)
    assert busy.exists()


def test_original_is_a_model_of_its_own(tmp_path: Path):
    """`hf download openai/gpt-oss-20b --include "original/*"`, as the model's card says."""
    folder = tmp_path / "models--openai--gpt-oss-20b"
    write(tmp_path / "made", TINY, tensors_for(TINY), "original")
    for file in (tmp_path / "made").iterdir():
        keep_hub_file(
            folder, folder / "snapshots" / COMMIT / "original", file.name, file.read_bytes(), "../../../blobs"
        )
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    (local,) = models(tmp_path)
    assert local.name == "openai/gpt-oss-20b/original"
    assert local.same_as == "openai/gpt-oss-20b"
    assert judge(local.path).layout == "original"
    assert Storage(tmp_path, "openai/gpt-oss-20b").remove(folder / "snapshots" / COMMIT, local.files) > 0
    assert not folder.exists()
