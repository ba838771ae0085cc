"""Reading the GGUF container: its metadata, and its tensors as views of the memory map.

Nothing that the file says about itself is believed before it is checked against the file's size: counts, lengths of
strings, ranges of tensors. What the tensors mean for gpt-oss is `gguf_layout`'s part.

Source: ggml-org/ggml, docs/gguf.md (versions 2 and 3, little-endian); ggml.h, `enum ggml_type`.
"""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ossia.checkpoint.safetensors import map_file
from ossia.errors import CheckpointError, TensorError

__all__ = ["MAGIC", "SIZES", "TYPES", "GgufFile", "GgufTensor", "parts_of", "read_gguf", "stored_bytes"]

MAGIC = b"GGUF"

_NAMES = (
    # ggml has retired 4 (Q4_2); Ollama's first gpt-oss files use it for MXFP4 in neighbour order.
    "F32 F16 Q4_0 Q4_1 MXFP4_NEIGHBOURS Q4_3 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS "
    "IQ1_S IQ4_NL IQ3_S IQ2_S IQ4_XS I8 I16 I32 I64 F64 IQ1_M BF16 Q4_0_4_4 Q4_0_4_8 Q4_0_8_8 TQ1_0 TQ2_0 IQ4_NL_4_4 "
    "IQ4_NL_4_8 IQ4_NL_8_8 MXFP4 NVFP4 Q1_0"
)
TYPES = dict(enumerate(_NAMES.split()))
"""Names of the tensor types by number."""

SIZES: dict[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q8_0": (32, 34),
    "MXFP4": (32, 17),
    "MXFP4_NEIGHBOURS": (32, 17),
}
"""Values and bytes of one block, for the types that can be read."""

_Scalar = Literal["B", "b", "H", "h", "I", "i", "f", "?", "Q", "q", "d"]
_SCALARS: dict[int, _Scalar] = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_LARGEST_RANK = 4
_MOST_PARTS = 999


@dataclass(frozen=True, eq=False)
class GgufTensor:
    """One tensor: its type's name, the shape of its values (slowest axis first), its bytes uint8 [rows, row bytes]."""

    type: str
    shape: tuple[int, ...]
    data: np.ndarray


@dataclass(frozen=True, eq=False)
class GgufFile:
    """Metadata by key (an array of numbers as a memoryview), tensors by name, and the size of the file in bytes."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]
    size: int


def stored_bytes(kind: str, count: int) -> int:
    """The bytes of so many values, a multiple of the block's, in one of `SIZES`."""
    values, size = SIZES[kind]
    return count // values * size


def parts_of(file: Path) -> list[Path]:
    """All files of the model that `file` is a part of, by its name: `model-00001-of-00003.gguf` has two others."""
    match = re.fullmatch(r"(.*)-(\d{5})-of-(\d{5})\.gguf", file.name)
    if not match or not 1 <= int(match[2]) <= int(match[3]) <= _MOST_PARTS:
        return [file]
    return [file.with_name(f"{match[1]}-{part:05}-of-{match[3]}.gguf") for part in range(1, int(match[3]) + 1)]


def read_gguf(file: Path) -> GgufFile:
    """A GGUF file, mapped; if its name says that it is one of several, all of them, with the first one's metadata.

    Raises CheckpointError (TensorError, naming the tensor) when it is damaged, cut short or contradicts itself, or has
    tensors quantised in a way that is not read here.
    """
    first, *rest = (_read_part(part) for part in parts_of(file))
    tensors, size = dict(first.tensors), first.size
    for part in rest:
        if twice := sorted(tensors.keys() & part.tensors.keys()):
            raise TensorError(f"{file}: {twice[0]} is in two of its parts; once is right")
        tensors |= part.tensors
        size += part.size
    count = first.metadata.get("split.count", 1)
    if count not in (0, len(rest) + 1):
        raise CheckpointError(f"{file}: is one of {count!r:.80} parts; names like model-00001-of-00003.gguf are right")
    return GgufFile(first.metadata, tensors, size)


def _read_part(file: Path) -> GgufFile:
    data = map_file(file)
    try:
        reader = _Reader(data)
        tensor_count, metadata_count = _opening(reader)
        metadata = _metadata(reader, metadata_count)
        return GgufFile(metadata, _tensors(reader, data, tensor_count, _alignment(metadata)), len(data))
    except CheckpointError as error:
        raise type(error)(f"{file}: {error}") from error


class _Reader:
    """Walks over the bytes before the tensors; every step is checked against the end of the file."""

    def __init__(self, data: np.ndarray) -> None:
        self._view = data.data
        self.at = 0

    def take(self, count: int, what: str) -> memoryview:
        left = len(self._view) - self.at
        if count > left:
            raise CheckpointError(
                f"{what} at byte {self.at} needs {count} bytes, {left} are left: the file is cut or lies"
            )
        self.at += count
        return self._view[self.at - count : self.at]

    def scalar(self, kind: str, what: str) -> Any:
        return struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind), what))[0]

    def string(self, what: str) -> str:
        text = self.take(self.scalar("Q", what), what)
        try:
            return str(text, "utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{what} before byte {self.at} is no UTF-8: {error.reason}") from error

    def array(self, what: str) -> "list[str] | memoryview[Any]":
        """Strings as a list; numbers as a view of the file, since as Python's objects they would take 40 bytes each."""
        kind, count = self.scalar("I", what), self.scalar("Q", what)
        if kind == _STRING:
            # Eight bytes of length at least, each: a count beyond that is a lie, found before the list is made.
            if count * 8 > len(self._view) - self.at:
                raise CheckpointError(f"{what} is said to have {count} strings, more than the file has bytes for")
            return self._strings(count, what)
        if kind not in _SCALARS:
            raise CheckpointError(f"{what} is an array of type {kind}; scalars or strings are right")
        size = struct.calcsize("<" + _SCALARS[kind])
        return self.take(count * size, what).cast(_SCALARS[kind])

    def _strings(self, count: int, what: str) -> list[str]:
        """`count` strings one after the other. A vocabulary has hundreds of thousands, hence the tight loop."""
        view, end, at, found = self._view, len(self._view), self.at, list[str]()
        length_at = struct.Struct("<Q").unpack_from
        for _ in range(count):
            begin = at + 8
            after = begin + length_at(view, at)[0] if begin <= end else end + 1
            try:
                found.append(str(view[begin:after], "utf-8") if after <= end else self._fail(at, what))
            except UnicodeDecodeError:
                self._fail(at, what)
            at = after
        self.at = at
        return found

    def _fail(self, at: int, what: str) -> str:
        """Read the string there in the way that says what is wrong with it."""
        self.at = at
        return self.string(what)

    def value(self, what: str) -> Any:
        kind = self.scalar("I", what)
        if kind == _STRING:
            return self.string(what)
        if kind == _ARRAY:
            return self.array(what)
        if kind not in _SCALARS:
            raise CheckpointError(f"{what} has type {kind}; 0 to 12 are right")
        return self.scalar(_SCALARS[kind], what)


def _opening(reader: _Reader) -> tuple[int, int]:
    """How many tensors and how many metadata the file is said to have."""
    magic, version = bytes(reader.take(4, "the magic")), reader.scalar("I", "the version")
    if magic != MAGIC:
        raise CheckpointError(f"starts with {magic!r}; {MAGIC!r} is right")
    if version not in (2, 3):
        raise CheckpointError(f"is GGUF version {version}; 2 or 3, little-endian, is right")
    return reader.scalar("Q", "the tensor count"), reader.scalar("Q", "the metadata count")


def _metadata(reader: _Reader, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for index in range(count):
        key = reader.string(f"metadata key {index}")
        if key in metadata:
            raise CheckpointError(f"metadata key {key!r:.80} stands there twice")
        metadata[key] = reader.value(f"metadata {key!r:.80}")
    return metadata


def _alignment(metadata: Mapping[str, Any]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 8 <= alignment <= 1 << 20 or alignment & (alignment - 1):
        raise CheckpointError(f"general.alignment is {alignment!r:.80}; a power of two from 8 to 1048576 is right")
    return alignment


def _tensors(reader: _Reader, data: np.ndarray, count: int, alignment: int) -> dict[str, GgufTensor]:
    infos: dict[str, tuple[str, tuple[int, ...], int]] = {}
    for index in range(count):
        name = reader.string(f"name of tensor {index}")
        if name in infos:
            raise TensorError(f"{name} stands there twice")
        infos[name] = _info(reader, name, alignment)
    body = data[reader.at + -reader.at % alignment :]
    tensors: dict[str, GgufTensor] = {}
    at, before = 0, "the metadata"
    for name, (kind, shape, offset) in sorted(infos.items(), key=lambda item: item[1][2]):
        values, size = SIZES[kind]
        rows, row_bytes = math.prod(shape[:-1]), shape[-1] // values * size
        if offset < at:
            raise TensorError(f"{name}: starts at byte {offset} and overlaps {before}, which ends at {at}")
        at, before = offset + rows * row_bytes, name
        if at > len(body):
            raise TensorError(f"{name}: ends at byte {at} of the tensors' {len(body)}: the file is cut or lies")
        tensors[name] = GgufTensor(kind, shape, body[offset:at].reshape(rows, row_bytes))
    return tensors


def _info(reader: _Reader, name: str, alignment: int) -> tuple[str, tuple[int, ...], int]:
    """Type, shape and offset of a tensor."""
    rank = reader.scalar("I", name)
    if not 1 <= rank <= _LARGEST_RANK:
        raise TensorError(f"{name} has {rank} axes; 1 to {_LARGEST_RANK} are right")
    shape = tuple(reader.scalar("Q", name) for _ in range(rank))[::-1]
    number, offset = reader.scalar("I", name), reader.scalar("Q", name)
    kind = TYPES.get(number, f"unknown type {number}")
    if kind not in SIZES:
        raise TensorError(f"{name} is {kind}, which is not read here; {', '.join(SIZES)} are")
    if 0 in shape or shape[-1] % SIZES[kind][0]:
        raise TensorError(f"{name} is {kind} {list(shape)}; rows of a multiple of {SIZES[kind][0]} values are right")
    if offset % alignment:
        raise TensorError(f"{name}: starts at byte {offset}; a multiple of the alignment, {alignment}, is right")
    return kind, shape, offset
