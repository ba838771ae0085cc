import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint import write
from ossia.checkpoint.gguf import read_gguf
from ossia.mxfp4 import Packed, decode
from tests.checkpoint.models import SMALL, TOKENIZER, tensors_for

gguf = pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write(path, SMALL, tensors_for(SMALL), "gguf", tokenizer=TOKENIZER, generation={"eos_token_id": [4, 7]})
    return path


def test_names_and_shapes_are_those_of_the_gguf_packages_table(file: Path):
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT_OSS, 2)
    stems = {name for _, name in table.mapping.values()}
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    assert {name.rsplit(".", 1)[0] for name in found} <= stems
    assert found["blk.0.ffn_gate_exps.weight"].shape.tolist() == [64, 96, 5]
    assert found["blk.0.ffn_down_exps.weight"].shape.tolist() == [96, 64, 5]
    assert found["blk.1.attn_q.weight"].shape.tolist() == [64, 96]


def test_counts_of_types_are_those_of_the_published_file(file: Path):
    """Published: 289 F32, 98 matrices, 72 MXFP4 for 24 layers; so 12, 4 and 3 a layer, and 1 and 2 beside them."""
    kinds = [tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors]
    assert {kind: kinds.count(kind) for kind in kinds} == {"F32": 12 * 2 + 1, "BF16": 4 * 2 + 2, "MXFP4": 3 * 2}


def test_the_gguf_package_reads_our_values(file: Path):
    theirs = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(file).tensors}
    tensors = tensors_for(SMALL)
    pairs = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.1.attn_output.bias": "model.layers.1.self_attn.o_proj.bias",
        "blk.1.attn_sinks.weight": "model.layers.1.self_attn.sinks",
        "blk.0.post_attention_norm.weight": "model.layers.0.post_attention_layernorm.weight",
        "blk.0.ffn_gate_inp.weight": "model.layers.0.mlp.router.weight",
        "blk.0.ffn_down_exps.bias": "model.layers.0.mlp.experts.down_proj_bias",
    }
    for name, ours in pairs.items():
        values = tensors[ours]
        assert isinstance(values, np.ndarray)
        np.testing.assert_array_equal(theirs[name], values.astype(np.float32), name)
    down, gate_up = (tensors[f"model.layers.1.mlp.experts.{one}_proj"] for one in ("down", "gate_up"))
    assert isinstance(down, Packed)
    assert isinstance(gate_up, Packed)
    np.testing.assert_array_equal(theirs["blk.1.ffn_down_exps.weight"], decode(down))
    np.testing.assert_array_equal(theirs["blk.1.ffn_gate_exps.weight"], decode(gate_up)[:, 0::2])
    np.testing.assert_array_equal(theirs["blk.1.ffn_up_exps.weight"], decode(gate_up)[:, 1::2])


def test_the_gguf_package_reads_our_metadata(file: Path):
    fields = {key: field.contents() for key, field in gguf.GGUFReader(file).fields.items()}
    assert fields["general.architecture"] == gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.GPT_OSS]
    assert fields["general.file_type"] == gguf.LlamaFileType.MOSTLY_MXFP4_MOE
    assert fields["gpt-oss.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    assert fields["gpt-oss.attention.sliding_window"] == 8
    assert fields["gpt-oss.rope.scaling.original_context_length"] == 64
    assert fields["tokenizer.ggml.tokens"][:5] == ["a", "b", "ab", "[PAD3]", "<|return|>"]
    assert fields["tokenizer.ggml.token_type"][:5] == [1, 1, 1, 5, 3]
    assert fields["tokenizer.ggml.eos_token_id"] == 4
    assert fields["tokenizer.huggingface.json"] == TOKENIZER.decode()


def test_numbers_have_the_types_that_llama_cpp_asks_for(tmp_path: Path):
    """It refuses a file whose `rope.freq_base` is an integer, as the published configs spell it."""
    config = replace(SMALL, rope_theta=150000, swiglu_limit=7)
    write(tmp_path / "model.gguf", config, tensors_for(config), "gguf")
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    floats = {key.removeprefix("gpt-oss.") for key, field in fields.items() if field.types[0].name == "FLOAT32"}
    # Source: llama.cpp, src/llama-model.cpp: what it reads into a float for this architecture.
    assert floats == {
        "rope.freq_base",
        "attention.layer_norm_rms_epsilon",
        "rope.scaling.factor",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
        "ossia.swiglu_limit",
    }


def test_tensors_lie_one_behind_another_as_ggml_asks(file: Path):
    """ggml refuses a file unless each offset is the sum of the padded sizes before it, in the table's order."""
    at = 0
    for tensor in gguf.GGUFReader(file).tensors:
        assert int(tensor.field.parts[-1][0]) == at
        at += tensor.n_bytes + -tensor.n_bytes % 32
    assert file.stat().st_size == gguf.GGUFReader(file).data_offset + at


def test_padding_is_zero_and_the_header_says_version_3(file: Path):
    content = file.read_bytes()
    assert struct.unpack("<4sI", content[:8]) == (b"GGUF", 3)
    ends = sorted(tensor.data_offset + tensor.n_bytes for tensor in gguf.GGUFReader(file).tensors)
    assert all(content[end : end + -end % 32] == bytes(-end % 32) for end in ends)
    assert read_gguf(file).size == len(content)
