import json
import shutil
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import Checkpoint, Tensor, open_checkpoint, write
from ossia.checkpoint.folder import INDEX, open_folder
from ossia.checkpoint.layouts import places
from ossia.checkpoint.safetensors import header
from ossia.config import ModelConfig
from ossia.errors import CheckpointError, ConfigError, TensorError
from ossia.mxfp4 import Packed
from tests.checkpoint.models import SMALL, TOKENIZER, assert_same, tensors_for

safetensors = pytest.importorskip("safetensors.numpy")

GATE_UP = "model.layers.0.mlp.experts.gate_up_proj"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "model", SMALL, tensors_for(SMALL))
    return tmp_path / "model"


def edit(folder: Path, change: Any) -> None:
    """Rewrites the folder's tensors with another program after `change` has had its way with them."""
    file = folder / "model.safetensors"
    tensors = {name: np.array(value) for name, value in safetensors.load_file(file).items()}
    change(tensors)
    safetensors.save_file(tensors, file)


def test_a_folder_written_by_the_safetensors_package_is_read_by_our_names(tmp_path: Path):
    tensors = tensors_for(SMALL)
    flat: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, Packed):
            flat |= {f"{name}_blocks": tensor.blocks, f"{name}_scales": tensor.scales}
        else:
            flat[name] = tensor
    safetensors.save_file(flat, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    checkpoint = open_folder(tmp_path)
    assert_same(checkpoint.tensors, tensors)
    assert (checkpoint.layout, checkpoint.experts, checkpoint.config) == ("hugging_face", "mxfp4", SMALL)
    assert checkpoint.bytes == sum(tensor.nbytes for tensor in tensors.values())
    assert checkpoint.stored[GATE_UP] == "MXFP4"
    assert checkpoint.stored["lm_head.weight"] == "BF16"


def parts_of(tensor: Tensor) -> tuple[np.ndarray, ...]:
    return (tensor.blocks, tensor.scales) if isinstance(tensor, Packed) else (tensor,)


def test_tensors_are_views_and_not_copies(folder: Path):
    tensors = open_folder(folder).tensors
    for name in tensors:
        for part, again in zip(parts_of(tensors[name]), parts_of(tensors[name]), strict=True):
            assert not part.flags.writeable
            assert not part.flags.owndata
            assert np.shares_memory(part, again)


def test_rows_of_a_fused_qkv_are_views_too(tmp_path: Path):
    write(tmp_path / "model", SMALL, tensors_for(SMALL), "original")
    tensors = open_folder(tmp_path / "model").tensors
    query = tensors["model.layers.0.self_attn.q_proj.weight"]
    key = tensors["model.layers.0.self_attn.k_proj.weight"]
    assert isinstance(query, np.ndarray)
    assert isinstance(key, np.ndarray)
    assert key.ctypes.data == query.ctypes.data + query.nbytes


@pytest.mark.parametrize("dequantised", [False, True], ids=["dense", "dequantised"])
def test_what_transformers_saves_is_read(tmp_path: Path, dequantised: bool):
    """Dense experts come transposed; those of a checkpoint that was MXFP4 also come under the name of the blocks."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    write(tmp_path / "first", SMALL, tensors_for(SMALL, "mxfp4" if dequantised else "bfloat16"))
    model = transformers.GptOssForCausalLM.from_pretrained(tmp_path / "first")
    model.save_pretrained(tmp_path / "second")
    checkpoint = open_folder(tmp_path / "second")
    assert checkpoint.config == SMALL
    assert checkpoint.experts == "bfloat16"
    for name, value in model.state_dict().items():
        expected = value.to(torch.float32).numpy()
        ours = checkpoint.tensors[name]
        assert isinstance(ours, np.ndarray)
        np.testing.assert_array_equal(ours.astype(np.float32), expected.swapaxes(1, 2) if ours.ndim == 3 else expected)


def test_dense_experts_under_both_names_are_refused(tmp_path: Path):
    write(tmp_path / "model", SMALL, tensors_for(SMALL, "bfloat16"))
    edit(tmp_path / "model", put(f"{GATE_UP}_blocks", np.zeros((5, 64, 192), np.dtype(ml_dtypes.bfloat16))))
    with pytest.raises(TensorError, match="gate_up_proj"):
        open_folder(tmp_path / "model")


def test_float32_weights_are_read_as_they_are(folder: Path):
    def widen(tensors: dict[str, np.ndarray]) -> None:
        tensors["lm_head.weight"] = tensors["lm_head.weight"].astype(np.float32) + np.float32(1e-6)

    edit(folder, widen)
    head = open_folder(folder).tensors["lm_head.weight"]
    assert isinstance(head, np.ndarray)
    assert head.dtype == np.float32


def test_the_folders_own_tokenizer_and_generation_config_are_honoured(folder: Path):
    (folder / "tokenizer.json").write_bytes(TOKENIZER)
    (folder / "generation_config.json").write_text('{"eos_token_id": [4, 3], "temperature": 1.0}')
    checkpoint = open_folder(folder)
    assert checkpoint.tokenizer == TOKENIZER
    assert checkpoint.generation == {"eos_token_id": [4, 3], "temperature": 1.0}
    assert open_folder(folder).gguf_vocabulary is None


def test_the_original_folder_has_its_tokenizer_and_ids_from_beside_it(tmp_path: Path):
    folder = tmp_path / "original"
    write(folder, SMALL, tensors_for(SMALL), "original")
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [4, 7], "pad_token_id": 3}')
    checkpoint = open_folder(folder)
    assert checkpoint.tokenizer == TOKENIZER
    assert checkpoint.config == SMALL
    (tmp_path / "original").rename(tmp_path / "other")
    assert open_folder(tmp_path / "other").tokenizer is None


def remove(name: str) -> Any:
    return lambda tensors: tensors.pop(name)


def put(name: str, value: np.ndarray) -> Any:
    return lambda tensors: tensors.update({name: value})


BF16 = np.dtype(ml_dtypes.bfloat16)
EDITS = {
    "missing": (remove("model.norm.weight"), "model.norm.weight missing; the config calls for 41 tensors, 40 are here"),
    "missing scales": (remove(f"{GATE_UP}_scales"), f"{GATE_UP}_scales missing"),
    "unknown": (put("lora.a", np.zeros(2, np.float32)), "lora.a unknown; the config calls for 41 tensors, 42 are here"),
    "shape": (put("model.norm.weight", np.zeros(63, BF16)), r"is bfloat16 \[63\]; bfloat16 or float32 \[64\] is right"),
    "dtype": (put("model.norm.weight", np.zeros(64, np.uint8)), r"norm.weight is uint8 \[64\]; bfloat16 or float32"),
    "bfloat16 scales": (
        put(f"{GATE_UP}_scales", np.zeros((5, 192, 2), BF16)),
        r"_scales is bfloat16 \[5, 192, 2\]; uint8",
    ),
    "two of one": (
        put(f"{GATE_UP}_blocks", np.zeros((5, 64, 192), BF16)),
        r"_blocks is bfloat16 \[5, 64, 192\]; uint8",
    ),
    "other names": (lambda tensors: tensors.clear() or tensors.update(x=np.zeros(1, BF16)), "of no known layout"),
    "layers": (remove("model.layers.1.self_attn.sinks"), r"model.layers.1.self_attn.sinks missing"),
}


@pytest.mark.parametrize("case", EDITS)
def test_tensors_are_checked_against_the_config(folder: Path, case: str):
    change, message = EDITS[case]
    edit(folder, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_folder(folder)
    assert isinstance(caught.value, TensorError) == (case != "other names")
    assert str(folder) in str(caught.value)


def test_a_config_with_other_sizes_is_refused_by_the_first_tensor(folder: Path):
    config = SMALL.to_dict() | {"vocab_size": 201}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TensorError, match=r"embed_tokens.weight is bfloat16 \[200, 64\]; .* \[201, 64\] is right"):
        open_folder(folder)


def test_every_cut_of_a_file_is_refused(folder: Path):
    file = folder / "model.safetensors"
    content = file.read_bytes()
    for size in [0, 1, 7, 8, 9, 100, *range(1000, len(content), 9973), len(content) - 1]:
        file.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            open_folder(folder)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    write(tmp_path / "model", SMALL, tensors_for(SMALL), shard_bytes=60_000)
    return tmp_path / "model"


def change_index(folder: Path, **changes: Any) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] |= changes
    (folder / INDEX).write_text(json.dumps(index))


def test_shards_are_read_through_their_index(sharded: Path):
    assert len(list(sharded.glob("*.safetensors"))) > 3
    assert_same(open_folder(sharded).tensors, tensors_for(SMALL))


def test_shards_without_an_index_are_read_all(sharded: Path):
    (sharded / INDEX).unlink()
    assert_same(open_folder(sharded).tensors, tensors_for(SMALL))


def test_a_file_that_the_index_does_not_name_is_left_alone(sharded: Path):
    (sharded / "adapter.safetensors").write_bytes(b"not one")
    open_folder(sharded)


def test_an_index_must_be_true(sharded: Path):
    name = "model.layers.0.self_attn.sinks"
    weights = json.loads((sharded / INDEX).read_text())["weight_map"]
    home, other = weights[name], weights["lm_head.weight"]
    change_index(sharded, **{name: other})
    with pytest.raises(TensorError, match=f"has {name} in {other}, but it is in {home}"):
        open_folder(sharded)
    change_index(sharded, **{name: home, "lm_head.weight": home})
    with pytest.raises(TensorError, match=f"has lm_head.weight in {home}, but it is in none of the files it names"):
        open_folder(sharded)


def test_an_index_names_files_of_its_own_folder(sharded: Path):
    for outside in ("../model.safetensors", "/etc/passwd", "a/b.safetensors"):
        change_index(sharded, **{"lm_head.weight": outside})
        with pytest.raises(CheckpointError, match="a file of this folder is right"):
            open_folder(sharded)


def test_a_missing_shard_is_named(sharded: Path):
    first = sorted(sharded.glob("*.safetensors"))[0]
    first.unlink()
    with pytest.raises(CheckpointError, match=f"{first.name}: cannot be read: No such file"):
        open_folder(sharded)


def test_a_tensor_in_two_files_is_refused(folder: Path):
    shutil.copy(folder / "model.safetensors", folder / "twice.safetensors")
    with pytest.raises(TensorError, match=r"is in model.safetensors and in twice.safetensors; once is right"):
        open_folder(folder)


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, '{"weight_map": []}', '{"weight_map": {}}', '{"a": 1}'])
def test_an_index_that_is_none_is_refused(sharded: Path, text: str):
    (sharded / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match=INDEX):
        open_folder(sharded)


@pytest.mark.parametrize("text", ["[]", "{", "\x00", "1" * 5000])
def test_a_generation_config_that_is_none_is_refused(folder: Path, text: str):
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(CheckpointError, match="generation_config"):
        open_folder(folder)


def test_folders_without_a_config_or_tensors_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config.json"):
        open_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    with pytest.raises(CheckpointError, match=r"no \*\.safetensors file"):
        open_folder(tmp_path)


def test_opening_reads_no_tensor(tmp_path: Path):
    """A file of 68 GB, all of it a hole, opens at once."""
    config = ModelConfig.from_dict(SMALL.to_dict() | {"vocab_size": 1 << 24, "hidden_size": 1024})
    opened = _open_sparse(tmp_path, config)
    assert opened.bytes > 60 << 30
    assert opened.tensors["lm_head.weight"].shape == (1 << 24, 1024)


def _open_sparse(folder: Path, config: ModelConfig) -> Checkpoint:
    kept = {place.name: place for parts in places(config, "hugging_face", "mxfp4").values() for place in parts}
    opening, slots = header({name: (place.dtype, place.shape) for name, place in kept.items()}, {})
    with (folder / "model.safetensors").open("wb") as handle:
        handle.write(opening)
        handle.truncate(max(slot.stop for slot in slots.values()))
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return open_checkpoint(folder)
