from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossia.checkpoint import open_checkpoint, write
from ossia.errors import CapacityError, CheckpointError, TensorError
from tests.checkpoint.models import SMALL, TOKENIZER, assert_same, tensors_for

FORMS = [
    (layout, experts) for layout in ("hugging_face", "original", "gguf", "ollama") for experts in ("mxfp4", "bfloat16")
]
FORMS.remove(("original", "bfloat16"))


@pytest.mark.parametrize(("layout", "experts"), FORMS)
def test_every_layout_gives_back_every_tensor(tmp_path: Path, layout, experts):
    tensors = tensors_for(SMALL, experts)
    generation = {"eos_token_id": [4, 7], "pad_token_id": 3, "temperature": 1.0}
    write(tmp_path / "model", SMALL, tensors, layout, tokenizer=TOKENIZER, generation=generation)
    checkpoint = open_checkpoint(tmp_path / "model")
    assert_same(checkpoint.tensors, tensors)
    assert (checkpoint.layout, checkpoint.experts, checkpoint.config) == (layout, experts, SMALL)
    assert checkpoint.tokenizer == TOKENIZER
    assert checkpoint.generation == generation


@pytest.mark.parametrize("layout", ["hugging_face", "original", "gguf", "ollama"])
def test_tensors_may_come_in_any_order(tmp_path: Path, layout):
    tensors = tensors_for(SMALL)
    write(tmp_path / "model", SMALL, reversed(tensors.items()), layout)
    assert_same(open_checkpoint(tmp_path / "model").tensors, tensors)


@pytest.mark.parametrize("layout", ["hugging_face", "gguf"])
def test_progress_runs_to_its_total(tmp_path: Path, layout):
    seen: list[tuple[int, int]] = []
    write(
        tmp_path / "model", SMALL, tensors_for(SMALL), layout, progress=lambda done, total: seen.append((done, total))
    )
    done = [at for at, _ in seen]
    assert done == sorted(done)
    assert len({total for _, total in seen}) == 1
    # GGUF pads tensors to 32 bytes, which nobody writes.
    assert 0 <= seen[-1][1] - done[-1] < 32 * len(tensors_for(SMALL)) * 2
    if layout == "hugging_face":
        assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("layout", ["hugging_face", "original", "gguf", "ollama"])
def test_a_missing_tensor_leaves_nothing_behind(tmp_path: Path, layout):
    tensors = tensors_for(SMALL)
    del tensors["lm_head.weight"]
    with pytest.raises(TensorError, match=r"lm_head.weight and 0 more missing"):
        write(tmp_path / "model", SMALL, tensors, layout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["hugging_face", "gguf"])
def test_float32_is_rounded_only_if_allowed(tmp_path: Path, layout):
    tensors = tensors_for(SMALL)
    tensors["lm_head.weight"] = np.full((200, 64), 1 + 2**-20, np.float32)
    with pytest.raises(TensorError, match=r"lm_head.weight has float32 values that bfloat16 cannot hold"):
        write(tmp_path / "model", SMALL, tensors, layout)
    write(tmp_path / "model", SMALL, tensors, layout, lossy=True)
    head = open_checkpoint(tmp_path / "model").tensors["lm_head.weight"]
    assert isinstance(head, np.ndarray)
    assert (head.astype(np.float32) == 1).all()


@pytest.mark.parametrize("layout", ["hugging_face", "gguf"])
def test_a_full_disk_while_writing_leaves_nothing_behind(tmp_path: Path, layout):
    def full(done: int, _: int) -> None:
        if done > 50_000:
            raise OSError(28, "No space left on device")

    with pytest.raises(CapacityError, match="the disk became full"):
        write(tmp_path / "model", SMALL, tensors_for(SMALL), layout, progress=full)
    assert list(tmp_path.iterdir()) == []


def test_dense_experts_must_be_announced_when_tensors_come_one_by_one(tmp_path: Path):
    dense = tensors_for(SMALL, "bfloat16")
    with pytest.raises(TensorError, match="mxfp4"):
        write(tmp_path / "model", SMALL, dense.items())
    write(tmp_path / "model", SMALL, dense.items(), experts="bfloat16")


def test_an_unknown_layout_is_told_the_known_ones(tmp_path: Path):
    layout: Any = "safetensors"
    with pytest.raises(
        CheckpointError, match="no layout 'safetensors'; hugging_face, original, gguf, ollama are right"
    ):
        write(tmp_path / "model", SMALL, tensors_for(SMALL), layout)


def test_gguf_has_no_files_beside_it(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no place for notes\.txt"):
        write(tmp_path / "model.gguf", SMALL, tensors_for(SMALL), "gguf", beside={"notes.txt": b""})
    write(tmp_path / "model", SMALL, tensors_for(SMALL), beside={"notes.txt": b"mine"})
    assert (tmp_path / "model" / "notes.txt").read_bytes() == b"mine"
