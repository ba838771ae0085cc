"""Writing GGUF: bfloat16 matrices, float32 vectors and MXFP4 experts, laid out as llama.cpp or as Ollama has them.

float32 for the router, norms, biases and sinks is what ggml computes with, and holds bfloat16 exactly. Besides the keys
that llama.cpp asks for, the file carries the whole `tokenizer.json` (a key of the GGUF description) and what GGUF has
no keys for (see `gguf_metadata`), so that a conversion and back loses nothing.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np

from ossia.checkpoint.gguf import MAGIC, TYPES, stored_bytes
from ossia.checkpoint.gguf_layout import alternatives
from ossia.checkpoint.streams import Progress, Source, pieces, to_bfloat16
from ossia.checkpoint.tensors import Spec, Tensor
from ossia.mxfp4 import Packed, to_halves

__all__ = ["GgufStream", "Style"]

Style = Literal["gguf", "ollama"]

_ALIGNMENT = 32
_NUMBERS = {name: number for number, name in TYPES.items()}
_INTEGER, _FLOAT, _BOOLEAN, _STRING, _ARRAY = 4, 6, 7, 8, 9


@dataclass(frozen=True)
class _Part:
    """One tensor of the file: what it is called, its type and shape, which rows of ours it takes, where it starts."""

    name: str
    type: str
    shape: tuple[int, ...]
    rows: slice
    start: int = 0

    @property
    def bytes(self) -> int:
        return stored_bytes(self.type, math.prod(self.shape))


class GgufStream:
    """A GGUF file being written: opened with its metadata and table, then filled in any order."""

    def __init__(self, specs: Mapping[str, Spec], metadata: Mapping[str, Any], style: Style) -> None:
        self._parts: dict[str, list[_Part]] = {}
        at = 0
        for name, spec in specs.items():
            self._parts[name] = []
            for part in _parts(name, spec, style):
                self._parts[name].append(_Part(part.name, part.type, part.shape, part.rows, at))
                at += part.bytes + -part.bytes % _ALIGNMENT
        self._table = _table([part for parts in self._parts.values() for part in parts], metadata)
        self.total = at
        self._done = 0

    @property
    def bytes(self) -> int:
        """Size of the whole file."""
        return len(self._table) + self.total

    def begin(self, handle: BinaryIO) -> None:
        """Writes what stands before the tensors, and makes the file as long as it will be."""
        handle.truncate(self.bytes)
        handle.write(self._table)

    def write(self, handle: BinaryIO, name: str, tensor: Source, progress: Progress | None, lossy: bool) -> None:
        """Writes one of our tensors where it belongs."""
        for row, piece in pieces(tensor):
            for part in self._parts[name]:
                ours = piece if part.rows == slice(None) else piece[:, part.rows]
                stored = _encoded(ours, part.type, name, lossy)
                handle.seek(len(self._table) + part.start + row * (part.bytes // part.shape[0]))
                handle.write(stored.view(np.uint8).data)
                self._done += stored.nbytes
                if progress:
                    progress(self._done, self.total)


def _parts(name: str, spec: Spec, style: Style) -> Iterator[_Part]:
    # The first way of keeping a tensor is llama.cpp's, and the last Ollama's, except that q, k and v stay apart.
    ways = [way for way in alternatives(name) if ".attn_qkv." not in way[0]]
    names = ways[0 if style == "gguf" else -1]
    kind = _type(name, spec, style)
    if len(names) == 1:
        yield _Part(names[0], kind, spec.shape, slice(None))
        return
    half = (spec.shape[0], spec.shape[1] // 2, *spec.shape[2:])
    for start, theirs in enumerate(names):
        yield _Part(theirs, kind, half, slice(start, None, 2))


def _type(name: str, spec: Spec, style: Style) -> str:
    if spec.dtype == "mxfp4":
        return "MXFP4" if style == "gguf" else "MXFP4_NEIGHBOURS"
    vector = len(spec.shape) == 1 or name.endswith(("_bias", "router.weight"))
    return "F32" if vector else "BF16"


def _encoded(tensor: Tensor, kind: str, name: str, lossy: bool) -> np.ndarray:
    """A tensor, or rows of one, in the file's type."""
    if isinstance(tensor, Packed):
        ordered = to_halves(tensor.blocks) if kind == "MXFP4" else tensor.blocks
        return np.concatenate([tensor.scales[..., None], ordered], axis=-1)
    # A bfloat16 model's vectors become float32 exactly; float32 vectors stay what they are.
    return np.ascontiguousarray(tensor.astype(np.float32) if kind == "F32" else to_bfloat16(tensor, name, lossy))


def _table(parts: list[_Part], metadata: Mapping[str, Any]) -> bytes:
    """Everything that stands before the tensors' bytes."""
    pieces = [MAGIC, struct.pack("<IQQ", 3, len(parts), len(metadata) + 1)]
    for key, value in {**metadata, "general.alignment": _ALIGNMENT}.items():
        pieces += [_string(key), _value(value)]
    for part in parts:
        pieces += [_string(part.name), struct.pack("<I", len(part.shape))]
        pieces += [struct.pack("<Q", size) for size in reversed(part.shape)]
        pieces.append(struct.pack("<IQ", _NUMBERS[part.type], part.start))
    table = b"".join(pieces)
    return table + bytes(-len(table) % _ALIGNMENT)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """A typed metadata value; integers are unsigned 32-bit, as llama.cpp expects them."""
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOLEAN, value)
    if isinstance(value, int):
        return struct.pack("<II", _INTEGER, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    return struct.pack("<I", _ARRAY) + _array(value)


def _array(values: list[Any]) -> bytes:
    if all(isinstance(value, str) for value in values):
        return struct.pack("<IQ", _STRING, len(values)) + b"".join(map(_string, values))
    # Token types and lists of token ids are signed 32-bit by convention.
    return struct.pack("<IQ", 5, len(values)) + struct.pack(f"<{len(values)}i", *values)
