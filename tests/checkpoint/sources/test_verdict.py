import json
import os
import struct
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from ossia.checkpoint import write
from ossia.checkpoint.sources.verdict import GGUF_HEAD, gguf_architecture, judge
from tests.checkpoint.models import SMALL, TINY, tensors_for
from tests.checkpoint.sources.keeping import gguf_file


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "gpt-oss-20b", SMALL, tensors_for(SMALL), shard_bytes=200_000)
    return tmp_path / "gpt-oss-20b"


@pytest.mark.parametrize("layout", ["hugging_face", "original", "gguf", "ollama"])
def test_what_we_write_can_be_run(tmp_path: Path, layout: str):
    path = tmp_path / ("model.gguf" if layout in ("gguf", "ollama") else "model")
    write(path, TINY, tensors_for(TINY), layout)  # type: ignore[arg-type]
    verdict = judge(path)
    assert (verdict.layout, verdict.refusal, verdict.related) == (layout, None, True)


def test_another_architecture(folder: Path):
    change_config(folder, model_type="llama")
    verdict = judge(folder)
    assert not verdict.related
    assert verdict.refusal == (
        "is of the architecture 'llama'; only gpt-oss models are run here, `ossia pull gpt-oss:20b` gets one"
    )


@pytest.mark.parametrize(
    ("changes", "layout", "words"),
    [
        ({"quantization": {"group_size": 32, "bits": 4}}, "mlx", "quantised for MLX"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes", "'bitsandbytes'"),
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq", "'gptq'"),
    ],
)
def test_formats_of_others_are_named_with_the_remedy(folder: Path, changes: dict[str, object], layout: str, words: str):
    change_config(folder, **changes)
    verdict = judge(folder)
    assert verdict.related
    assert verdict.layout == layout
    assert verdict.refusal is not None
    assert words in verdict.refusal
    assert "`ossia pull openai/gpt-oss-20b`" in verdict.refusal


def test_a_missing_shard_makes_it_incomplete(folder: Path):
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.unlink()
    verdict = judge(folder)
    assert verdict.incomplete
    assert verdict.refusal == f"only a part of it is here: {shard.name} is missing"


def test_a_missing_part_of_a_gguf_makes_it_incomplete(tmp_path: Path):
    verdict = judge(gguf_file(tmp_path / "m-00001-of-00002.gguf"))
    assert verdict.incomplete
    assert "m-00002-of-00002.gguf is missing" in (verdict.refusal or "")


def test_k_quants_are_named_with_the_remedy(tmp_path: Path):
    file = gguf_file(tmp_path / "gpt-oss-120b.gguf")
    data = file.read_bytes()
    at = data.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 2 * 8
    assert struct.unpack_from("<I", data, at) == (30,)
    file.write_bytes(data[:at] + struct.pack("<I", 12) + data[at + 4 :])
    verdict = judge(file)
    assert verdict.related
    assert "is Q4_K, which is not read here" in (verdict.refusal or "")
    assert "`ossia pull openai/gpt-oss-120b`" in (verdict.refusal or "")


def test_another_gguf_is_told_by_its_first_bytes(tmp_path: Path):
    file = gguf_file(tmp_path / "m.gguf")
    file.write_bytes(file.read_bytes().replace(b"gpt-oss", b"llama-3")[:GGUF_HEAD])
    verdict = judge(file)
    assert not verdict.related
    assert "architecture 'llama-3'" in (verdict.refusal or "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "5"])
def test_a_config_that_is_none(folder: Path, text: str):
    (folder / "config.json").write_text(text)
    assert judge(folder).refusal is not None


def test_damage_is_a_refusal_and_no_error(folder: Path, tmp_path: Path):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../../etc/passwd"}}')
    assert judge(folder).refusal is not None
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    assert judge(tmp_path / "x.gguf").refusal is not None
    assert judge(tmp_path / "gone.gguf").refusal is not None
    (tmp_path / "empty").mkdir()
    assert judge(tmp_path / "empty").refusal is not None


def test_the_architecture_is_read_or_not_known(tmp_path: Path):
    data = gguf_file(tmp_path / "m.gguf").read_bytes()
    assert gguf_architecture(data) == "gpt-oss"
    whole = next(count for count in range(len(data)) if gguf_architecture(data[:count]) == "gpt-oss")
    assert 24 < whole < 100
    assert all(gguf_architecture(data[:count]) is None for count in range(whole))
    key = struct.pack("<Q", 1) + b"a"
    before = b"".join(key + struct.pack("<Ib", 1, 5) for _ in range(3))
    rest = data[24:]
    assert gguf_architecture(data[:16] + struct.pack("<Q", 10) + before + rest) == "gpt-oss"
    assert gguf_architecture(data[:16] + struct.pack("<Q", 10) + key + struct.pack("<I", 9) + rest) is None
    assert gguf_architecture(data[:24] + struct.pack("<Q", 1 << 63)) is None


def test_what_may_not_be_read_is_a_refusal(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ossia.files.os.open", refused)
    assert "no readable" in (judge(folder).refusal or "")
    monkeypatch.setattr(Path, "is_dir", refused)
    assert "Permission denied" in (judge(folder / "other").refusal or "")


@hypothesis.given(st.binary(max_size=300))
def test_any_bytes_have_an_architecture_or_none(data: bytes):
    assert gguf_architecture(b"GGUF" + data) is None or len(data) > 40


@pytest.mark.parametrize("name", ["config.json", "model.gguf"])
def test_a_named_pipe_is_not_waited_for(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    assert judge(tmp_path if name == "config.json" else tmp_path / name).refusal is not None
