import os
from pathlib import Path

import pytest

from ossia.checkpoint import open_checkpoint, write
from ossia.errors import CheckpointError, ConfigError, ModelNotFoundError
from tests.checkpoint.models import SMALL, tensors_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "model", SMALL, tensors_for(SMALL))
    return tmp_path / "model"


def test_a_folder_and_its_only_file_are_the_same(folder: Path):
    assert open_checkpoint(folder / "model.safetensors").path == open_checkpoint(str(folder)).path == folder


def test_gguf_is_known_by_its_first_bytes_or_its_name(tmp_path: Path):
    write(tmp_path / "blob", SMALL, tensors_for(SMALL), "gguf")
    assert open_checkpoint(tmp_path / "blob").layout == "gguf"
    (tmp_path / "other.gguf").write_bytes(b"nothing of it")
    with pytest.raises(CheckpointError, match=r"other\.gguf: starts with b'noth'; b'GGUF' is right"):
        open_checkpoint(tmp_path / "other.gguf")


def test_a_folder_with_one_gguf_file_is_that_file(tmp_path: Path):
    write(tmp_path / "model.gguf", SMALL, tensors_for(SMALL), "gguf")
    assert open_checkpoint(tmp_path).path == tmp_path / "model.gguf"


def test_a_folder_that_holds_none_hears_what_would_be_right(tmp_path: Path, folder: Path):
    (tmp_path / "empty").mkdir()
    (folder / "config.json").unlink()
    for path in (tmp_path / "empty", folder):
        with pytest.raises(ConfigError, match=rf"{path}: holds no checkpoint, as config\.json is missing; a folder"):
            open_checkpoint(path)


def test_one_of_several_shards_is_no_model(folder: Path):
    (folder / "more.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is one of 2 shards; the folder, .*model, is right"):
        open_checkpoint(folder / "model.safetensors")


def test_other_files_are_refused(folder: Path):
    with pytest.raises(CheckpointError, match=r"config\.json: is neither GGUF nor safetensors"):
        open_checkpoint(folder / "config.json")
    with pytest.raises(ModelNotFoundError, match="nothing: no such file or folder"):
        open_checkpoint(folder / "nothing")


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "generation_config.json", "tokenizer.json"),
        *("model.safetensors", "model.safetensors.index.json"),
    ],
)
def test_a_named_pipe_in_place_of_a_file_is_refused_without_waiting(folder: Path, name: str):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises((CheckpointError, ConfigError), match=rf"/{name}: .*not a regular file"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.gguf", "model-00001-of-00002.gguf", "blob"])
def test_a_named_pipe_in_place_of_gguf_is_refused_without_waiting(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{name}: .*not a regular file"):
        open_checkpoint(tmp_path / name)
