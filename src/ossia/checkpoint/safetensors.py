"""Reading one safetensors file as views of its memory map, and planning one to be written.

A file is eight bytes with the header's length, the header (JSON: name to dtype, shape and the range of its bytes), then
the bytes. Nothing in the header is believed: ranges must lie in the file, cover it without gap or overlap, and agree
with shape and dtype.

Source: the format's description, huggingface/safetensors, README.md, "Format".
"""

import json
import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ossia.errors import CheckpointError, TensorError
from ossia.files import open_regular
from ossia.json_words import kind

__all__ = ["DTYPES", "Slot", "header", "map_file", "read_file", "read_metadata"]

DTYPES: dict[str, np.dtype] = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "U8": np.dtype(np.uint8),
}
"""The dtypes that gpt-oss checkpoints are made of, as the format spells them."""

# The reference implementation refuses headers beyond this, too: 120b's takes 80 kB.
_LARGEST_HEADER = 100_000_000
_LARGEST_RANK = 8
_ALIGNMENT = 64
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Slot:
    """One tensor of a file to be written: dtype as the format spells it, shape, and where its bytes start."""

    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        """Where its bytes end."""
        return self.start + math.prod(self.shape) * DTYPES[self.dtype].itemsize


def map_file(file: Path) -> np.ndarray:
    """The bytes of a file, uint8 [size], read-only and mapped: nothing is read before it is used.

    Raises CheckpointError when the file cannot be read or is empty.
    """
    try:
        with open_regular(file) as handle:
            return np.frombuffer(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except ValueError as error:
        raise CheckpointError(f"{file}: the file is empty; a checkpoint is right") from error
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from error


def read_file(file: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, as read-only views of its map.

    Raises CheckpointError (TensorError, naming the tensor) when the file is damaged, cut short or contradicts itself.
    """
    data = map_file(file)
    try:
        entries, start = _entries(data)
        entries.pop(_METADATA, None)
        ranges = {name: _range(name, entry, len(data) - start) for name, entry in entries.items()}
        _check_cover(ranges, len(data) - start)
        return {name: _view(data[start:], entries[name], *ranges[name]) for name in entries}
    except CheckpointError as error:
        raise type(error)(f"{file}: {error}") from error


def read_metadata(file: Path) -> dict[str, Any]:
    """What a safetensors file says of itself; empty when it says nothing.

    Raises CheckpointError when its header cannot be read.
    """
    about = _entries(map_file(file))[0].get(_METADATA, {})
    return about if isinstance(about, dict) else {}


def _entries(data: np.ndarray) -> tuple[dict[str, Any], int]:
    """The header's entries, those about the whole file included, and where the tensors' bytes start."""
    if len(data) < 8:
        raise CheckpointError(f"{len(data)} bytes are no safetensors file; at least 8 are right")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    limit = min(len(data) - 8, _LARGEST_HEADER)
    if length > limit:
        raise CheckpointError(f"the header is said to have {length} bytes; at most {limit} are right here")
    try:
        entries = json.loads(data[8 : 8 + length].tobytes().decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is no readable JSON: {error}") from error
    if not isinstance(entries, dict):
        raise CheckpointError(f"the header is a JSON {kind(entries)}; an object is right")
    return entries, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"{name!r} stands there twice")
        result[name] = value
    return result


def _range(name: str, entry: object, size: int) -> tuple[int, int]:
    """Where a tensor's bytes start and end, behind the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise TensorError(f"{name}: the header has {entry!r:.200}; dtype, shape and data_offsets are right")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise TensorError(f"{name}: the dtype is {dtype!r:.80}; {', '.join(DTYPES)} are right")
    if not _sizes(shape) or len(shape) > _LARGEST_RANK:
        raise TensorError(f"{name}: the shape is {shape!r:.80}; at most {_LARGEST_RANK} sizes of 0 or more are right")
    if not _sizes(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= size:
        raise TensorError(f"{name}: its bytes are said to be {offsets!r:.80}; a range within 0 to {size} is right")
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != needed:
        raise TensorError(f"{name}: {offsets[1] - offsets[0]} bytes are set aside; {dtype} {shape} needs {needed}")
    return offsets[0], offsets[1]


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _check_cover(ranges: Mapping[str, tuple[int, int]], size: int) -> None:
    """Refuses ranges that overlap, or leave bytes to nobody."""
    at, before = 0, "the header"
    for name, (start, stop) in sorted(ranges.items(), key=lambda item: item[1]):
        if start != at:
            what = "overlaps" if start < at else "leaves a gap behind"
            raise TensorError(f"{name}: starts at byte {start} and {what} {before}; {at} is right")
        at, before = stop, name
    if at != size:
        raise CheckpointError(f"{size - at} bytes behind the last tensor belong to none; a file without them is right")


def _view(data: np.ndarray, entry: Mapping[str, Any], start: int, stop: int) -> np.ndarray:
    dtype = DTYPES[entry["dtype"]]
    view = data[start:stop]
    # Written so by no known program, but allowed: values that straddle their alignment are copied once.
    if view.ctypes.data % dtype.itemsize:
        view = view.copy()
        view.flags.writeable = False
    return view.view(dtype).reshape(entry["shape"])


def header(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> tuple[bytes, dict[str, Slot]]:
    """The bytes that open a file with these tensors (name to dtype and shape), and where each tensor's own go.

    The header is padded, so that tensors whose sizes are multiples of 64 bytes start at such multiples.
    """
    slots: dict[str, Slot] = {}
    at = 0
    # Wide dtypes first, so that none straddles its alignment whatever the sizes.
    for name, (dtype, shape) in sorted(tensors.items(), key=lambda item: -DTYPES[item[1][0]].itemsize):
        slots[name] = Slot(dtype, shape, at)
        at = slots[name].stop
    entries = {
        name: {"dtype": slot.dtype, "shape": slot.shape, "data_offsets": [slot.start, slot.stop]}
        for name, slot in slots.items()
    }
    text = json.dumps({_METADATA: dict(metadata)} | entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    opening = struct.pack("<Q", len(text)) + text
    return opening, {name: Slot(slot.dtype, slot.shape, slot.start + len(opening)) for name, slot in slots.items()}
