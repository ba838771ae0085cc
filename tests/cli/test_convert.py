import json
from pathlib import Path

import pytest

from ossia.checkpoint import open_checkpoint, tensor_hash, write
from ossia.cli import main
from tests.checkpoint.models import SMALL, tensors_for


@pytest.fixture
def model(tmp_path: Path) -> str:
    write(tmp_path / "model", SMALL, tensors_for(SMALL))
    return str(tmp_path / "model")


def test_the_layout_follows_the_name(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str):
    assert main(["convert", model, str(tmp_path / "model.gguf")]) == 0
    lines = capsys.readouterr().out.splitlines()
    opened = open_checkpoint(tmp_path / "model.gguf")
    assert opened.layout == "gguf"
    assert lines == [f"{tensor_hash(tensor)}  {name}" for name, tensor in opened.tensors.items()]


@pytest.mark.parametrize("layout", ["original", "ollama"])
def test_the_layout_may_be_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str, layout: str):
    assert main(["convert", model, str(tmp_path / "out"), "--layout", layout, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["from"], about["layout"]) == ("hugging_face", layout)
    assert len(about["sha256"]) == len(tensors_for(SMALL))
    assert open_checkpoint(tmp_path / "out").layout == layout


def test_dense_experts_are_quantised_on_request(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    write(tmp_path / "dense", SMALL, tensors_for(SMALL, "bfloat16"))
    assert main(["convert", str(tmp_path / "dense"), str(tmp_path / "out"), "--experts", "mxfp4", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert open_checkpoint(tmp_path / "out").experts == "mxfp4"
    assert len(about["quantisation_error"]) == 4
    # Gaussian values at four bits and a scale for 32: about 11 %.
    assert all(0.05 < error < 0.15 for error in about["quantisation_error"].values())


def test_an_existing_target_is_one_line(capsys: pytest.CaptureFixture[str], model: str):
    assert main(["convert", model, model]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "exists already" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "layout"),
    [("out.safetensors", []), ("out.gguf", ["--layout", "original"]), ("out.gguf", ["--layout", "hugging_face"])],
)
def test_a_folder_is_not_called_like_a_file(tmp_path: Path, model: str, capsys, name: str, layout: list[str]):
    assert main(["convert", model, str(tmp_path / name), *layout]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"is a folder, and this is the name of a file; {tmp_path / 'out'} is right" in said
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["inner", "inner.gguf", "deep/inner"])
def test_nothing_is_written_into_what_is_read(tmp_path: Path, model: str, capsys, name: str):
    before = sorted(Path(model).rglob("*"))
    (tmp_path / "link").symlink_to(model)
    for source, target in ((model, f"{model}/{name}"), (f"{tmp_path}/link", f"{model}/{name}")):
        assert main(["convert", source, target]) == 1
        assert "a place outside of it is right" in capsys.readouterr().err
    assert sorted(Path(model).rglob("*")) == before
