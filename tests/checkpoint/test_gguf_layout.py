import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import open_checkpoint, write
from ossia.checkpoint.gguf_layout import alternatives, open_gguf
from ossia.errors import CheckpointError, TensorError
from ossia.mxfp4 import Packed, decode, to_halves
from tests.checkpoint.models import SMALL, TOKENIZER, assert_same, tensors_for

gguf = pytest.importorskip("gguf")

KINDS = gguf.GGMLQuantizationType


def llama_cpp(
    file: Path, tensors: Any, dense: Any = KINDS.BF16, drop: str = "", style: str = "gpt-oss", fuse: bool = False
) -> Path:
    """A file as llama.cpp's converter makes it, through the gguf package and none of our writers."""
    writer = gguf.GGUFWriter(file, style)
    for key, value in {
        "block_count": 2,
        "context_length": 2048,
        "embedding_length": 64,
        "feed_forward_length": 96,
    }.items():
        writer.add_uint32(f"{style}.{key}", value)
    attention = {"head_count": 6, "head_count_kv": 2, "key_length": 16, "value_length": 16, "sliding_window": 8}
    for key, value in attention.items():
        writer.add_uint32(f"{style}.attention.{key}", value)
    writer.add_float32(f"{style}.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_uint32(f"{style}.expert_count", 5)
    writer.add_uint32(f"{style}.expert_used_count", 2)
    writer.add_float32(f"{style}.rope.freq_base", 150000.0)
    writer.add_float32(f"{style}.rope.scaling.factor", 32.0)
    writer.add_uint32(f"{style}.rope.scaling.original_context_length", 64)
    writer.add_uint32("tokenizer.ggml.eos_token_id", 4)
    writer.add_uint32("tokenizer.ggml.padding_token_id", 3)
    entries = renamed(tensors, dense)
    for name, values, kind in fused(entries) if fuse else entries:
        if name != drop:
            add(writer, name, values, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def add(writer: Any, name: str, values: np.ndarray, kind: Any) -> None:
    raw = values if kind in (KINDS.F32, KINDS.MXFP4) else gguf.quants.quantize(values.astype(np.float32), kind)
    writer.add_tensor(name, raw, raw_dtype=kind)


def renamed(tensors: Any, dense: Any) -> Iterator[tuple[str, np.ndarray, Any]]:
    """Names, values and types as the converter's table of names (the gguf package's own) has them."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT_OSS, 2)
    for name, tensor in tensors.items():
        if "gate_up_proj" in name:
            block = f"blk.{name.split('.')[2]}"
            kind = "bias" if name.endswith("bias") else "weight"
            for row, half in enumerate(("gate", "up")):
                values = tensor[:, row::2]
                yield f"{block}.ffn_{half}_exps.{kind}", *stored(name, values, dense)
        else:
            spelt = name if name.endswith(("weight", "bias", "sinks")) else f"{name}.weight"
            spelt = spelt.replace("down_proj_bias", "down_proj.bias")
            theirs = names.get_name(spelt, try_suffixes=(".weight", ".bias"))
            theirs = f"{theirs}.weight" if name.endswith("sinks") and not theirs.endswith(".weight") else theirs
            yield theirs, *stored(name, tensor, dense)


def stored(name: str, tensor: Any, dense: Any) -> tuple[np.ndarray, Any]:
    if isinstance(tensor, Packed):
        records = np.concatenate([tensor.scales[..., None], to_halves(tensor.blocks)], axis=-1)
        return records.reshape(*tensor.shape[:-1], -1), KINDS.MXFP4
    vector = tensor.ndim == 1 or name.endswith(("_bias", "router.weight"))
    return tensor.astype(np.float32), KINDS.F32 if vector else dense


def test_a_file_as_llama_cpp_makes_it_is_read(tmp_path: Path):
    tensors = tensors_for(SMALL)
    checkpoint = open_gguf(llama_cpp(tmp_path / "model.gguf", tensors))
    assert_same(checkpoint.tensors, tensors)
    assert (checkpoint.layout, checkpoint.experts, checkpoint.config) == ("gguf", "mxfp4", SMALL)
    assert checkpoint.stored["model.norm.weight"] == "F32"
    assert checkpoint.stored["lm_head.weight"] == "BF16"
    assert checkpoint.stored["model.layers.0.mlp.experts.gate_up_proj"] == "MXFP4"


def test_gate_rows_are_even_and_up_rows_odd(tmp_path: Path):
    """The judge: the gguf package's own reader and dequantiser, on the halves as they are in the file."""
    file = llama_cpp(tmp_path / "model.gguf", tensors_for(SMALL))
    theirs = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(file).tensors}
    ours = open_gguf(file).tensors["model.layers.1.mlp.experts.gate_up_proj"]
    assert isinstance(ours, Packed)
    np.testing.assert_array_equal(decode(ours)[:, 0::2], theirs["blk.1.ffn_gate_exps.weight"])
    np.testing.assert_array_equal(decode(ours)[:, 1::2], theirs["blk.1.ffn_up_exps.weight"])


@pytest.mark.parametrize("dense", ["Q8_0", "F16", "F32"])
def test_other_dense_types_become_the_float32_that_the_gguf_package_says(tmp_path: Path, dense: str):
    file = llama_cpp(tmp_path / "model.gguf", tensors_for(SMALL), KINDS[dense])
    theirs = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(file).tensors}
    checkpoint = open_gguf(file)
    for ours, name in (
        ("lm_head.weight", "output.weight"),
        ("model.layers.1.self_attn.k_proj.weight", "blk.1.attn_k.weight"),
    ):
        values = checkpoint.tensors[ours]
        assert isinstance(values, np.ndarray)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, theirs[name])
        assert checkpoint.stored[ours] == dense


def test_a_q8_0_scale_that_is_no_number_is_refused(tmp_path: Path):
    tensors = tensors_for(SMALL)
    head = tensors["lm_head.weight"]
    assert isinstance(head, np.ndarray)
    tensors["lm_head.weight"] = head.astype(np.float32)
    tensors["lm_head.weight"][3, 5] = 1e9
    with np.errstate(over="ignore"):
        checkpoint = open_gguf(llama_cpp(tmp_path / "model.gguf", tensors, KINDS.Q8_0))
    with pytest.raises(TensorError, match=r"output\.weight: a Q8_0 scale is not finite"):
        checkpoint.tensors["lm_head.weight"]


def test_ollamas_own_layout_keeps_neighbours_and_interleaved_rows(tmp_path: Path):
    """Its type 4 has the checkpoint's bytes as they are, each block behind its scale."""
    tensors = tensors_for(SMALL)
    write(tmp_path / "model.gguf", SMALL, tensors, "ollama")
    checkpoint = open_gguf(tmp_path / "model.gguf")
    assert checkpoint.layout == "ollama"
    assert_same(checkpoint.tensors, tensors)
    content = (tmp_path / "model.gguf").read_bytes()
    gate_up = tensors["model.layers.0.mlp.experts.gate_up_proj"]
    assert isinstance(gate_up, Packed)
    records = np.concatenate([gate_up.scales[..., None], gate_up.blocks], axis=-1)
    assert records.tobytes() in content
    for name in (
        b"blk.0.ffn_gate_up_exps.weight",
        b"blk.0.attn_out.bias",
        b"blk.0.ffn_norm.weight",
        b"blk.0.attn_sinks",
    ):
        assert name in content


def test_the_type_and_not_the_architecture_tells_the_order_of_nibbles(tmp_path: Path):
    """From August to October 2025 Ollama's converter wrote ggml's own type under its own architecture."""
    tensors = tensors_for(SMALL)
    checkpoint = open_gguf(llama_cpp(tmp_path / "model.gguf", tensors, style="gptoss"))
    assert checkpoint.layout == "ollama"
    assert_same(checkpoint.tensors, tensors)


def test_fused_qkv_is_cut_by_rows(tmp_path: Path):
    """As Ollama makes it of the original layout."""
    tensors = tensors_for(SMALL)
    checkpoint = open_gguf(llama_cpp(tmp_path / "model.gguf", tensors, style="gptoss", fuse=True))
    assert_same(checkpoint.tensors, tensors)
    assert alternatives("model.layers.0.self_attn.q_proj.bias")[-1] == ("blk.0.attn_qkv.bias",)


def fused(entries: Iterable[tuple[str, np.ndarray, Any]]) -> Iterator[tuple[str, np.ndarray, Any]]:
    """The same with q, k and v of a layer stacked by rows."""
    waiting: dict[str, list[np.ndarray]] = {}
    for name, values, kind in entries:
        whole = re.sub(r"attn_[qkv]\.", "attn_qkv.", name)
        parts = waiting.setdefault(whole, [])
        parts.append(values)
        if len(parts) == (3 if whole != name else 1):
            yield whole, np.concatenate(parts), kind


def test_missing_and_unknown_tensors_are_named(tmp_path: Path):
    with pytest.raises(TensorError, match=r"blk\.1\.ffn_up_exps\.weight is missing"):
        open_gguf(llama_cpp(tmp_path / "a.gguf", tensors_for(SMALL), drop="blk.1.ffn_up_exps.weight"))
    tensors = tensors_for(SMALL)
    content = (llama_cpp(tmp_path / "b.gguf", tensors)).read_bytes()
    (tmp_path / "c.gguf").write_bytes(content.replace(b"blk.0.attn_q.bias", b"blk.0.attn_x.bias"))
    with pytest.raises(TensorError, match=r"blk\.0\.attn_q\.bias is missing"):
        open_gguf(tmp_path / "c.gguf")
    (tmp_path / "d.gguf").write_bytes(
        content.replace(b"gpt-oss.block_count\x04\x00\x00\x00\x02", b"gpt-oss.block_count\x04\x00\x00\x00\x01")
    )
    with pytest.raises(TensorError, match=r"blk\.1\.\S+ and \d+ more unknown"):
        open_gguf(tmp_path / "d.gguf")


def test_shapes_and_types_are_checked_against_the_config(tmp_path: Path):
    tensors = tensors_for(SMALL)
    tensors["model.norm.weight"] = np.zeros(63, ml_dtypes.bfloat16)
    with pytest.raises(
        TensorError, match=r"output_norm.weight is F32 \[63\]; F32 or F16 or BF16 or Q8_0 \[64\] is right"
    ):
        open_gguf(llama_cpp(tmp_path / "a.gguf", tensors))
    mixed = tensors_for(SMALL) | {
        "model.layers.1.mlp.experts.down_proj": tensors_for(SMALL, "bfloat16")["model.layers.1.mlp.experts.down_proj"]
    }
    with pytest.raises(TensorError, match=r"blk\.1\.ffn_down_exps\.weight is BF16 \[5, 64, 96\]; MXFP4 \[5, 64, 96\]"):
        open_gguf(llama_cpp(tmp_path / "b.gguf", mixed))


def test_another_architecture_is_refused_by_name(tmp_path: Path):
    file = llama_cpp(tmp_path / "model.gguf", tensors_for(SMALL), style="llama")
    with pytest.raises(CheckpointError, match="the architecture is 'llama'; gpt-oss or gptoss is right"):
        open_gguf(file)


def test_the_vocabulary_is_handed_over(tmp_path: Path):
    write(tmp_path / "model.gguf", SMALL, tensors_for(SMALL), "gguf", tokenizer=TOKENIZER)
    checkpoint = open_checkpoint(tmp_path / "model.gguf")
    assert checkpoint.gguf_vocabulary is not None
    assert checkpoint.gguf_vocabulary.tokens[:3] == ("a", "b", "ab")
    assert checkpoint.gguf_vocabulary.merges == ("a b",)
    assert len(checkpoint.gguf_vocabulary.tokens) == 200
