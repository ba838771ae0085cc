import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint.safetensors import header, read_file
from ossia.errors import CheckpointError, TensorError


def save(file: Path, head: Any, body: bytes, length: int | None = None) -> Path:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    file.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    return file


def entry(start: int, stop: int, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [stop - start] if shape is None else shape, "data_offsets": [start, stop]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_what_the_safetensors_package_writes_is_read(file: Path):
    judge = pytest.importorskip("safetensors.numpy")
    random = np.random.default_rng(0)
    tensors = {
        "bf16": random.standard_normal((3, 5), np.float32).astype(ml_dtypes.bfloat16),
        "f32": random.standard_normal((2, 2, 2), np.float32),
        "u8": random.integers(0, 256, 7, np.uint8),
        "none": np.zeros((0, 4), np.float32),
    }
    judge.save_file(tensors, file, metadata={"format": "pt"})
    found = read_file(file)
    assert found.keys() == tensors.keys()
    for name, expected in tensors.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_what_is_planned_here_the_safetensors_package_reads(file: Path):
    judge = pytest.importorskip("safetensors")
    opening, slots = header({"a": ("U8", (5,)), "b": ("F32", (2, 3)), "c": ("BF16", (3,))}, {"format": "pt"})
    size = max(slot.stop for slot in slots.values())
    content = bytearray(opening + bytes(size - len(opening)))
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    content[slots["b"].start : slots["b"].stop] = values.tobytes()
    file.write_bytes(content)
    with judge.safe_open(file, "numpy") as opened:
        assert sorted(opened.keys()) == ["a", "b", "c"]
        np.testing.assert_array_equal(opened.get_tensor("b"), values)
        assert opened.metadata() == {"format": "pt"}
    assert len(opening) % 64 == 0


def test_tensors_are_views_of_the_map_that_cannot_be_written(file: Path):
    save(file, {"a": entry(0, 8, "F32", [2])}, np.array([1, 2], np.float32).tobytes())
    view = read_file(file)["a"]
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 3


def test_values_off_their_alignment_are_copied(file: Path):
    head = json.dumps({"a": entry(0, 1), "b": entry(1, 9, "F32", [2])}).encode()
    save(file, head + b" " * (-len(head) % 8), b"\x07" + np.array([1, 2], np.float32).tobytes())
    found = read_file(file)["b"]
    assert found.flags.aligned
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, [1, 2])


LIES = {
    "size beyond the file": ({"a": entry(0, 9)}, "within 0 to 8"),
    "negative": ({"a": entry(-1, 7)}, "within 0 to 8"),
    "backwards": ({"a": {"dtype": "U8", "shape": [0], "data_offsets": [8, 0]}}, "within 0 to 8"),
    "overlap": ({"a": entry(0, 6), "b": entry(4, 8)}, "b: starts at byte 4 and overlaps a; 6 is right"),
    "gap": ({"a": entry(0, 2), "b": entry(4, 8)}, "b: starts at byte 4 and leaves a gap behind a; 2 is right"),
    "left over": ({"a": entry(0, 4)}, "4 bytes behind the last tensor belong to none"),
    "wrong dtype": ({"a": entry(0, 8, "F64", [1])}, "a: the dtype is 'F64'; BF16, F32, U8 are right"),
    "dtype of another kind": ({"a": entry(0, 8) | {"dtype": 3}}, "the dtype is 3"),
    "shape disagrees": ({"a": entry(0, 8, "F32", [3])}, r"8 bytes are set aside; F32 \[3\] needs 12"),
    "huge shape": ({"a": entry(0, 8, "U8", [1 << 62, 1 << 62])}, "needs 2126764793255"),
    "fraction": ({"a": entry(0, 8, "U8", [8.0])}, "the shape is"),  # type: ignore[list-item]
    "truth": ({"a": entry(0, 1, "U8", [True])}, "the shape is"),
    "rank": ({"a": entry(0, 8, "U8", [8] + [1] * 8)}, "at most 8 sizes"),
    "no shape": ({"a": {"dtype": "U8", "data_offsets": [0, 8]}}, "dtype, shape and data_offsets are right"),
    "more keys": ({"a": entry(0, 8) | {"more": 1}}, "dtype, shape and data_offsets are right"),
    "no object": ({"a": 5}, "dtype, shape and data_offsets are right"),
    "list": ([1], "a JSON list; an object is right"),
    "no JSON": (b"{", "no readable JSON"),
    "no UTF-8": (b'{"\xff": 1}', "no readable JSON"),
    "twice": (b'{"a": 1, "a": 2}', "'a' stands there twice"),
    # Ten thousand million comparisons where each name is counted among all.
    "twice among many": (
        json.dumps({f"n{n}": 0 for n in range(100_000)}).encode()[:-1] + b', "n99999": 1}',
        "'n99999' stands there twice",
    ),
    "deep": (b"[" * 200_000, "no readable JSON"),
    "huge number": (b'{"a": ' + b"9" * 5000 + b"}", "no readable JSON"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused(file: Path, lie: str):
    head, message = LIES[lie]
    save(file, head, bytes(8))
    with pytest.raises(CheckpointError, match=message) as caught:
        read_file(file)
    assert str(caught.value).startswith(str(file))


def test_errors_about_one_tensor_are_tensor_errors(file: Path):
    with pytest.raises(TensorError, match="a: its bytes"):
        read_file(save(file, {"a": entry(0, 9)}, bytes(8)))


@pytest.mark.parametrize("length", [1 << 63, 10**9, 100])
def test_a_header_longer_than_the_file_is_refused_before_it_is_read(file: Path, length: int):
    with pytest.raises(CheckpointError, match=f"said to have {length} bytes; at most 10 are right here"):
        read_file(save(file, {}, bytes(8), length))


@pytest.mark.parametrize("size", range(8))
def test_files_shorter_than_a_length_are_refused(file: Path, size: int):
    file.write_bytes(bytes(size))
    with pytest.raises(CheckpointError, match="empty" if size == 0 else f"{size} bytes are no safetensors"):
        read_file(file)


def test_a_file_that_is_not_there_is_named(file: Path):
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read: No such file"):
        read_file(file)
