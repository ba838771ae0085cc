"""The copies in 8 bits that `fast` computes with: of attention's projections and the unembedding.

Those are the large matrices that checkpoints keep in 16 bits. Copies are made at load; those of a large model once, and
kept in a file that all processes map. The file is safetensors: the panels of each matrix (`ossia.int8`) under the
matrix's name, and `checksums`, the sum of each one's 64-bit words, in the order of the names. The file's own name says
what it was made from: where the checkpoint lies, and the sizes and times of its files. One that does not fit, or whose
sums are wrong, is made anew.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ossia.checkpoint import Checkpoint, Tensor, expected_tensors
from ossia.checkpoint.disk import new_file
from ossia.checkpoint.safetensors import header, read_file
from ossia.errors import OssiaError
from ossia.int8 import Int8, int8_bytes
from ossia.ops import Ops

__all__ = ["Copies", "copies_folder", "in_8_bits"]

WORTH_KEEPING = 256 << 20
"""Bytes of copies from which on they are kept: making fewer takes less than a tenth of a second."""

_VERSION = 1
_CHECKSUMS = "checksums"
_MATRICES = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "lm_head.weight")


def copies_folder() -> Path | None:
    """Where copies are kept: in the folder that OSSIA_CACHE names, or the user's cache. None: nowhere.

    Source: the XDG Base Directory Specification, XDG_CACHE_HOME.
    """
    named = os.environ.get("OSSIA_CACHE")
    if named is not None:
        return Path(named) if named else None
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (cache if cache.is_absolute() else Path.home() / ".cache") / "ossia"
    except RuntimeError:  # a user without a home
        return None


def in_8_bits(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """The matrices that `fast` rounds to 8 bits, by name: rows and columns."""
    specs = expected_tensors(checkpoint.config, checkpoint.experts)
    return {name: (spec.shape[0], spec.shape[1]) for name, spec in specs.items() if name.endswith(_MATRICES)}


@dataclass(frozen=True, eq=False)
class Copies(Mapping[str, Tensor | Int8]):
    """The tensors of a checkpoint, those of `in_8_bits` as such.

    kept     the file of the copies; None where they are made at every load
    written  whether that file was written just now
    refused  why it could not be
    """

    tensors: Mapping[str, Tensor]
    copies: Mapping[str, Int8]
    kept: Path | None = None
    written: bool = False
    refused: str = ""

    @classmethod
    def of(cls, checkpoint: Checkpoint, ops: Ops, folder: Path | None) -> "Copies":
        """The copies of a checkpoint, from their file in `folder`, or made by `ops`, and then kept there."""
        wanted = in_8_bits(checkpoint)
        small = sum(int8_bytes(*shape) for shape in wanted.values()) < WORTH_KEEPING
        file = None if small or folder is None else folder / _name(checkpoint.path)
        if file is not None and (found := _read(file, wanted)) is not None:
            return cls(checkpoint.tensors, found, file)
        made = {name: _made(checkpoint.tensors[name], ops) for name in wanted}
        if file is None:
            return cls(checkpoint.tensors, made)
        try:
            _write(file, made)
        except (OssiaError, OSError) as error:  # they are there all the same
            return cls(checkpoint.tensors, made, refused=str(error))
        return cls(checkpoint.tensors, made, file, written=True)

    def __getitem__(self, name: str) -> Tensor | Int8:
        return self.copies[name] if name in self.copies else self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def _made(tensor: Tensor, ops: Ops) -> Int8:
    assert isinstance(tensor, np.ndarray)  # dense matrices are
    return ops.round_int8(tensor)


def _name(path: Path) -> str:
    """Of the file of a checkpoint's copies: from where it lies, and from its files as they are now."""
    path = path.resolve()
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return f"{_hash(str(path))}-{_hash(json.dumps([_VERSION, stats]))}.safetensors"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(file: Path, wanted: Mapping[str, tuple[int, int]]) -> dict[str, Int8] | None:
    """The copies in a file; None where there is none, or not these, or they are damaged."""
    try:
        arrays = read_file(file)
        sums = arrays.pop(_CHECKSUMS)
        copies = {name: Int8(arrays[name], *shape) for name, shape in wanted.items()}
    except (OssiaError, KeyError):
        return None
    return copies if np.array_equal(sums, _checksums(copies)) else None


def _write(file: Path, copies: Mapping[str, Int8]) -> None:
    """Keep copies in a file, in place of what was there and of older ones of the same checkpoint.

    Raises CheckpointError or CapacityError when the disk does not allow it.
    """
    arrays = {name: copy.panels for name, copy in copies.items()} | {_CHECKSUMS: _checksums(copies)}
    opening, slots = header({name: ("U8", array.shape) for name, array in arrays.items()}, {"format": "ossia int8"})
    file.unlink(missing_ok=True)
    with new_file(file, sum(array.nbytes for array in arrays.values())) as unfinished, unfinished.open("wb") as handle:
        handle.write(opening)
        for name in sorted(arrays, key=lambda name: slots[name].start):
            handle.write(arrays[name].data)
        handle.flush()
        os.fsync(handle.fileno())
    for older in file.parent.glob(f"{file.name.split('-')[0]}-*.safetensors"):
        if older != file:
            older.unlink(missing_ok=True)


def _checksums(copies: Mapping[str, Int8]) -> np.ndarray:
    """uint8 [8 x copies]: of each the sum of its 64-bit words, in the order of the names."""
    with ThreadPoolExecutor() as threads:  # sums are made without the interpreter's lock
        sums = list(threads.map(lambda name: int(copies[name].panels.view(np.uint64).sum()), sorted(copies)))
    return np.array(sums, np.uint64).view(np.uint8)
