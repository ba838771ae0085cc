import json
from pathlib import Path

import pytest

from ossia.checkpoint import published_configs, write
from ossia.cli import main
from tests.checkpoint.models import SMALL, tensors_for


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["show", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("20b", ["20.9B parameters, 3.6B active", "12.8 GiB", "20,914,757,184", "layers        24, of which 12"]),
        ("openai/gpt-oss-120b", ["116.8B parameters, 5.1B active", "60.8 GiB", "128 of width 2880, 4 active"]),
    ],
)
def test_published_models(capsys: pytest.CaptureFixture[str], name: str, words: list[str]):
    text = shown(capsys, name)
    for word in (*words, "64 query heads, 8 key and value heads", "YaRN, factor 32 beyond 4,096, not truncated"):
        assert word in text
    assert "(config only)" in text
    assert "draws look first at a copy of the unembedding in 4 bits, 293.8 MiB, at exact in 8 bits, 569.9 MiB" in text


def test_json_has_the_numbers(capsys: pytest.CaptureFixture[str]):
    about = json.loads(shown(capsys, "120b", "--json"))
    assert about["parameters"] == 116_829_156_672
    assert about["active_parameters"] == 5_132_849_472
    assert sum(part["parameters"] for part in about["parts"].values()) == about["parameters"]
    assert sum(part["bytes"] for part in about["parts"].values()) == about["bytes"]
    assert about["config"]["num_local_experts"] == 128
    assert about["copies"]["fast"] > about["copies"]["exact"] > 201_088 * 2880


def test_a_bare_config_is_enough(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "mine.json").write_text(published_configs()["20b"].read_text())
    assert "20.9B parameters" in shown(capsys, str(tmp_path / "mine.json"))


def test_a_checkpoint_says_how_it_is_stored(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    write(tmp_path / "model.gguf", SMALL, tensors_for(SMALL), "gguf")
    assert "(gguf layout, stored as BF16, F32, MXFP4)" in shown(capsys, str(tmp_path / "model.gguf"))
    about = json.loads(shown(capsys, str(tmp_path / "model.gguf"), "--json"))
    assert about["layout"] == "gguf"
    assert about["stored_bytes"] == (tmp_path / "model.gguf").stat().st_size


def test_an_unknown_model_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["show", "21b"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ossia: no model '21b' here")
    assert captured.err.count("\n") == 1
