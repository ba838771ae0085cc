import dataclasses
import hashlib
from pathlib import Path
from typing import Any, get_args

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import Checkpoint, Experts, conversion, convert, open_checkpoint, tensor_hash, write
from ossia.errors import CheckpointError, TensorError
from ossia.harmony import Vocabulary
from ossia.mxfp4 import Packed, Rule, decode, encode
from tests.checkpoint.models import SMALL, TOKENIZER, assert_same, tensors_for

LAYOUTS = ["hugging_face", "original", "gguf", "ollama"]
GATE_UP = "model.layers.0.mlp.experts.gate_up_proj"


def written(path: Path, layout: Any = "hugging_face", experts: Experts = "mxfp4", **options: Any) -> Checkpoint:
    write(path, SMALL, tensors_for(SMALL, experts), layout, **options)
    return open_checkpoint(path)


@pytest.mark.parametrize("last", LAYOUTS)
@pytest.mark.parametrize("first", LAYOUTS)
def test_there_and_back_changes_nothing(tmp_path: Path, first, last):
    """Not a byte of a Hugging Face folder, whatever layouts it passes through."""
    generation = {"bos_token_id": 1, "eos_token_id": [4, 7], "pad_token_id": 3, "temperature": 1.0}
    start = written(tmp_path / "start", tokenizer=TOKENIZER, generation=generation)
    hashes = convert(start, tmp_path / "first", first).hashes
    assert convert(open_checkpoint(tmp_path / "first"), tmp_path / "last", last).hashes == hashes
    assert convert(open_checkpoint(tmp_path / "last"), tmp_path / "end", "hugging_face").hashes == hashes
    for file in (tmp_path / "start").iterdir():
        assert (tmp_path / "end" / file.name).read_bytes() == file.read_bytes(), file.name
    assert len(list((tmp_path / "end").iterdir())) == 4


def test_hashes_are_of_the_values(tmp_path: Path):
    hashes = convert(written(tmp_path / "a"), tmp_path / "b", "gguf").hashes
    tensors = tensors_for(SMALL)
    head, gate_up = tensors["lm_head.weight"], tensors[GATE_UP]
    assert isinstance(head, np.ndarray)
    assert isinstance(gate_up, Packed)
    assert hashes["lm_head.weight"] == hashlib.sha256(head.astype("<f4").tobytes()).hexdigest()
    parts = [hashlib.sha256(part.tobytes()).digest() for part in (gate_up.blocks, gate_up.scales)]
    assert hashes[GATE_UP] == hashlib.sha256(b"".join(parts)).hexdigest() == tensor_hash(gate_up)
    assert list(hashes) == list(tensors)


def test_one_bit_changes_a_hash():
    values = np.zeros((40, 64), ml_dtypes.bfloat16)
    before = tensor_hash(values)
    values.view(np.uint16)[39, 63] ^= 0x8000
    assert tensor_hash(values) != before


def test_dense_experts_are_kept_or_quantised(tmp_path: Path):
    dense = written(tmp_path / "dense", experts="bfloat16")
    convert(dense, tmp_path / "kept", "gguf")
    assert_same(open_checkpoint(tmp_path / "kept").tensors, dense.tensors)
    for rule in get_args(Rule):
        done = convert(dense, tmp_path / rule, "original", quantise=True, rule=rule)
        quantised = open_checkpoint(tmp_path / rule)
        assert quantised.experts == "mxfp4"
        for name in (GATE_UP, "model.layers.1.mlp.experts.down_proj"):
            tensor, values = quantised.tensors[name], dense.tensors[name]
            assert isinstance(tensor, Packed)
            assert isinstance(values, np.ndarray)
            exact = values.astype(np.float32)
            np.testing.assert_array_equal(tensor.blocks, encode(exact, rule).blocks)
            relative = np.linalg.norm(decode(tensor) - exact) / np.linalg.norm(exact)
            assert done.quantisation_errors[name] == pytest.approx(relative, rel=1e-5)
        assert len(done.quantisation_errors) == 4
        assert_same(
            {"lm_head.weight": quantised.tensors["lm_head.weight"]}, {"lm_head.weight": dense.tensors["lm_head.weight"]}
        )


def q8_0(path: Path) -> Checkpoint:
    """Our own GGUF with the unembedding's bytes turned to Q8_0 by the gguf package."""
    gguf = pytest.importorskip("gguf")
    write(path, SMALL, tensors_for(SMALL), "gguf")
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(path.with_suffix(".q8"), "gpt-oss")
    for field in reader.fields.values():
        if field.name.startswith(("gpt-oss.", "ossia.", "tokenizer.")):
            kind = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=kind)
    for tensor in reader.tensors:
        kind, data = tensor.tensor_type, tensor.data
        if tensor.name == "output.weight":
            kind = gguf.GGMLQuantizationType.Q8_0
            data = gguf.quants.quantize(gguf.quants.dequantize(data, tensor.tensor_type), kind)
        writer.add_tensor(tensor.name, np.array(data), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_checkpoint(path.with_suffix(".q8"))


def test_q8_0_is_converted_only_if_loss_is_allowed(tmp_path: Path):
    source = q8_0(tmp_path / "model.gguf")
    assert source.stored["lm_head.weight"] == "Q8_0"
    with pytest.raises(TensorError, match=r"lm_head\.weight and 0 more are Q8_0, .* --lossy allows that"):
        convert(source, tmp_path / "out", "hugging_face")
    assert not (tmp_path / "out").exists()
    convert(source, tmp_path / "out", "hugging_face", lossy=True)
    ours, theirs = open_checkpoint(tmp_path / "out").tensors["lm_head.weight"], source.tensors["lm_head.weight"]
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, np.ndarray)
    np.testing.assert_array_equal(ours, theirs.astype(ml_dtypes.bfloat16))


def test_a_nan_scale_is_refused_and_leaves_nothing(tmp_path: Path):
    tensors = tensors_for(SMALL)
    gate_up = tensors[GATE_UP]
    assert isinstance(gate_up, Packed)
    gate_up.scales[4, 191, 1] = 255
    write(tmp_path / "nan", SMALL, tensors)
    with pytest.raises(TensorError, match=r"nan: model\..*gate_up_proj: the scale of block \[4, 191, 1\] is 255"):
        convert(open_checkpoint(tmp_path / "nan"), tmp_path / "out", "gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["nan"]


def test_what_reads_back_differently_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = written(tmp_path / "a")

    def open_damaged(path: Path) -> Checkpoint:
        file = path / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        return open_checkpoint(path)

    monkeypatch.setattr(conversion, "open_checkpoint", open_damaged)
    with pytest.raises(CheckpointError, match="reads back differently"):
        convert(source, tmp_path / "b", "hugging_face")
    assert not (tmp_path / "b").exists()


def test_what_cannot_be_read_back_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = written(tmp_path / "a")

    def open_cut(path: Path) -> Checkpoint:
        path.write_bytes(path.read_bytes()[:1000])
        return open_checkpoint(path)

    monkeypatch.setattr(conversion, "open_checkpoint", open_cut)
    with pytest.raises(CheckpointError, match=r"cannot be read, and was removed: .* the file is cut or lies"):
        convert(source, tmp_path / "b.gguf", "gguf")
    assert not (tmp_path / "b.gguf").exists()


def test_files_of_the_tokenizer_are_carried_along(tmp_path: Path):
    extra = {"tokenizer_config.json": b"{}", "chat_template.jinja": b"template", "README.md": b"not this"}
    source = written(tmp_path / "a", beside=extra)
    convert(source, tmp_path / "b", "hugging_face")
    names = {file.name for file in (tmp_path / "b").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer_config.json", "chat_template.jinja"}


def test_a_tokenizer_is_made_of_a_vocabulary_that_gguf_brought(tmp_path: Path):
    """Another program's file has the lists alone; the folder gets a `tokenizer.json` that encodes the same."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = Vocabulary.embedded().shortened(1000)
    config = dataclasses.replace(SMALL, vocab_size=vocabulary.size)
    tokenizer = vocabulary.to_tokenizer_json()
    write(tmp_path / "a.gguf", config, tensors_for(config), "gguf", tokenizer=tokenizer)
    bare = dataclasses.replace(open_checkpoint(tmp_path / "a.gguf"), tokenizer=None)
    convert(bare, tmp_path / "b", "hugging_face")
    judge = tokenizers.Tokenizer.from_file(str(tmp_path / "b" / "tokenizer.json"))
    text = "<|start|>user<|message|>What is 37 * 48?<|end|>"
    assert judge.encode(text).ids == tokenizers.Tokenizer.from_buffer(tokenizer).encode(text).ids
