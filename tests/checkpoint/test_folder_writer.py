import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint import open_checkpoint, write
from ossia.checkpoint.folder_writer import config_file
from ossia.config import FULL, ModelConfig
from ossia.errors import CheckpointError
from ossia.mxfp4 import Packed, decode
from tests.checkpoint.models import SMALL, assert_same, tensors_for


def test_shards_are_full_and_indexed(tmp_path: Path):
    write(tmp_path / "model", SMALL, tensors_for(SMALL), shard_bytes=60_000)
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    files = sorted(file.name for file in (tmp_path / "model").glob("*.safetensors"))
    assert files == [f"model-{n:05}-of-{len(files):05}.safetensors" for n in range(1, len(files) + 1)]
    assert set(index["weight_map"].values()) == set(files)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors_for(SMALL).values())
    assert all((tmp_path / "model" / file).stat().st_size < 70_000 for file in files)


def test_the_safetensors_package_reads_every_tensor(tmp_path: Path):
    judge = pytest.importorskip("safetensors.numpy")
    tensors = tensors_for(SMALL)
    write(tmp_path / "model", SMALL, tensors, shard_bytes=60_000)
    found: dict[str, np.ndarray] = {}
    for file in (tmp_path / "model").glob("*.safetensors"):
        found |= judge.load_file(file)
    for name, tensor in tensors.items():
        if isinstance(tensor, Packed):
            np.testing.assert_array_equal(found.pop(f"{name}_blocks"), tensor.blocks)
            np.testing.assert_array_equal(found.pop(f"{name}_scales"), tensor.scales)
        else:
            np.testing.assert_array_equal(found.pop(name), tensor)
    assert found == {}


def test_the_original_layout_is_as_the_reference_reads_it(tmp_path: Path):
    """q, k and v stacked by rows, blocks and scales by its names, and its own config."""
    judge = pytest.importorskip("safetensors.numpy")
    tensors = tensors_for(SMALL)
    write(tmp_path / "model", SMALL, tensors, "original")
    found = judge.load_file(tmp_path / "model" / "model.safetensors")
    stacked = np.concatenate([np.asarray(tensors[f"model.layers.1.self_attn.{one}_proj.weight"]) for one in "qkv"])
    np.testing.assert_array_equal(found["block.1.attn.qkv.weight"], stacked)
    gate_up = tensors["model.layers.0.mlp.experts.gate_up_proj"]
    assert isinstance(gate_up, Packed)
    np.testing.assert_array_equal(found["block.0.mlp.mlp1_weight.scales"], gate_up.scales)
    assert json.loads((tmp_path / "model" / "config.json").read_text()) == SMALL.to_original_dict()
    assert len(found) == 15 * 2 + 3


@pytest.mark.parametrize("experts", ["mxfp4", "bfloat16"])
def test_transformers_loads_the_folder_unchanged(tmp_path: Path, experts):
    """The judge's weights are ours, MXFP4 dequantised, and nothing is missing, unexpected or of another shape."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tensors = tensors_for(SMALL, experts)
    write(tmp_path / "model", SMALL, tensors, shard_bytes=60_000, generation={"eos_token_id": [4, 3]})
    assert transformers.AutoConfig.from_pretrained(tmp_path / "model").model_type == "gpt_oss"
    model, info = transformers.GptOssForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(info.values())
    assert model.generation_config.eos_token_id == [4, 3]
    from_disk = open_checkpoint(tmp_path / "model")
    assert_same(from_disk.tensors, tensors)
    for name, value in model.state_dict().items():
        expected = value.to(torch.float32).numpy()
        np.testing.assert_array_equal(
            _values(tensors[name]), expected.swapaxes(1, 2) if expected.ndim == 3 else expected
        )


def _values(tensor: np.ndarray | Packed) -> np.ndarray:
    return decode(tensor) if isinstance(tensor, Packed) else tensor.astype(np.float32)


def test_the_config_written_is_the_published_one_and_is_read_back():
    data = json.loads(config_file(SMALL, "hugging_face", "mxfp4"))
    assert data["quantization_config"]["quant_method"] == "mxfp4"
    assert ModelConfig.from_dict(data) == SMALL
    assert "quantization_config" not in json.loads(config_file(SMALL, "hugging_face", "bfloat16"))


@pytest.mark.parametrize(
    "change",
    [
        {"rms_norm_eps": 1e-6},
        {"layer_types": (FULL, FULL)},
        {"max_position_embeddings": 100},
        {"rope_scaling": dataclasses.replace(SMALL.rope_scaling, truncate=True)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_original_config_refuses_what_it_cannot_say(change: dict):
    config = dataclasses.replace(SMALL, **change)
    with pytest.raises(CheckpointError, match=f"no place for {next(iter(change))}"):
        config_file(config, "original", "mxfp4")
