"""The copies in 8 bits of attention's projections and the unembedding.

Those are the large matrices that checkpoints keep in 16 bits. `fast` and `turbo` compute with copies in their place;
`exact` takes that of a large unembedding beside it, to tell which of its rows a draw needs (`ossia.int8.Screened`).
Copies are made at load; those of a large model once, and kept in a file that all processes of a user map. The file is
safetensors: the panels of each matrix (`ossia.int8`) under the matrix's name, and `checksums`, one of each, in the
order of the names. The file's own name says what it was made from: where the checkpoint lies, and the sizes, times and
places on the disk of its files. One that does not fit, whose sums are wrong, or that another user could have written,
is made anew; one whose checkpoint is gone is removed.
"""

import hashlib
import json
import os
import stat
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ossia.checkpoint import Checkpoint, Tensor, expected_tensors
from ossia.checkpoint.disk import new_file
from ossia.checkpoint.gguf import parts_of, stored_bytes
from ossia.checkpoint.safetensors import header, read_file, read_metadata
from ossia.config import ModelConfig
from ossia.errors import CapacityError, CheckpointError, OssiaError
from ossia.int8 import Int8, Screened, int8_bytes
from ossia.ops import Ops, Precision

__all__ = ["Copies", "Kept", "bytes_in_8_bits", "copies_folder", "forget", "in_8_bits"]

WORTH_KEEPING = 256 << 20
"""Bytes of copies from which on they are kept: making fewer takes less than a tenth of a second.

It is also what an unembedding's copy must have for `exact` to screen by it: less is read within 20 ms as it is.
"""

_VERSION = 2  # of how a matrix in 8 bits lies: 2 has scales in bfloat16 for each 64 columns
_ABANDONED_SECONDS = 3600.0
_CHECKSUMS = "checksums"
_WORD = 8
_UNEMBEDDING = "lm_head.weight"
_MATRICES = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", _UNEMBEDDING)


def copies_folder() -> Path | None:
    """Where copies are kept: in the folder that OSSIA_CACHE names, or the user's cache. None: nowhere.

    Source: the XDG Base Directory Specification, XDG_CACHE_HOME.
    """
    named = os.environ.get("OSSIA_CACHE")
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if named is not None:
            return Path(named).expanduser() if named else None
        return (cache if cache.is_absolute() else Path.home() / ".cache") / "ossia"
    except RuntimeError:  # a user without a home
        return None


def in_8_bits(config: ModelConfig, precision: Precision) -> dict[str, tuple[int, int]]:
    """The matrices that a precision has copies of, by name: rows and columns."""
    specs = expected_tensors(config, "mxfp4")
    found = {name: (spec.shape[0], spec.shape[1]) for name, spec in specs.items() if name.endswith(_MATRICES)}
    if precision is not Precision.EXACT:
        return found
    screen = {_UNEMBEDDING: found[_UNEMBEDDING]}
    return screen if bytes_in_8_bits(screen) >= WORTH_KEEPING else {}


def bytes_in_8_bits(matrices: Mapping[str, tuple[int, int]]) -> int:
    """Of the copies of such matrices, all together."""
    return sum(int8_bytes(*shape) for shape in matrices.values())


@dataclass(frozen=True, eq=False)
class Kept:
    """The copies in a file, which are not to be computed with before they are found to be sound."""

    file: Path
    copies: Mapping[str, Int8]
    sums: np.ndarray

    @classmethod
    def of(cls, checkpoint: Checkpoint, precision: Precision, folder: Path | None) -> "Kept | None":
        """Those that a precision wants; None where there are none, or none of these, or they may be another user's."""
        wanted = in_8_bits(checkpoint.config, precision)
        try:
            file = None if folder is None or _are_few(wanted) else folder / _name(checkpoint.path)
            return None if file is None else _read(file, wanted)
        except OSError:
            return None

    def are_sound(self, ops: Ops) -> bool:
        """Whether their sums are what they were when they were written."""
        return np.array_equal(self.sums, _checksums(self.copies, ops))


@dataclass(frozen=True, eq=False)
class Copies(Mapping[str, Tensor | Int8 | Screened]):
    """The tensors of a checkpoint, those of `in_8_bits` as such, or at `exact` with their copies beside them.

    beside   whether copies stand beside what they were made from
    kept     the file of the copies; None where they are made at every load
    written  whether that file was written just now
    refused  why it could not be
    """

    tensors: Mapping[str, Tensor]
    copies: Mapping[str, Int8]
    beside: bool = False
    kept: Path | None = None
    written: bool = False
    refused: str = ""

    @classmethod
    def of(cls, checkpoint: Checkpoint, ops: Ops, folder: Path | None) -> "Copies":
        """The copies of a checkpoint, from their file in `folder`, or made by `ops`, and then kept there.

        Without a folder `exact` has none: to make them at each start takes longer than screening saves in many tokens.
        """
        kept = Kept.of(checkpoint, ops.precision, folder)
        if kept is not None and kept.are_sound(ops):
            return cls.believed(checkpoint, ops, kept)
        return cls.made(checkpoint, ops, folder)

    @classmethod
    def believed(cls, checkpoint: Checkpoint, ops: Ops, kept: Kept) -> "Copies":
        """Copies that were found to be sound."""
        return cls(checkpoint.tensors, kept.copies, ops.precision is Precision.EXACT, kept.file)

    @classmethod
    def made(cls, checkpoint: Checkpoint, ops: Ops, folder: Path | None) -> "Copies":
        """Copies made now, and kept in `folder` if they are worth it."""
        wanted, beside = in_8_bits(checkpoint.config, ops.precision), ops.precision is Precision.EXACT
        if beside and folder is None:
            wanted = {}
        if _are_few(wanted) or folder is None:
            return cls(checkpoint.tensors, _all_made(checkpoint, ops, wanted), beside)
        made: dict[str, Int8] = {}
        try:
            file = folder / _name(checkpoint.path)
            made = _all_made(checkpoint, ops, wanted)
            _write(file, made, checkpoint.path, ops)
            # What was made takes memory of its own; the file's is shared, and given back when wanted.
            found = _read(file, wanted)
            sound = found is not None and found.are_sound(ops)
            return cls(checkpoint.tensors, found.copies if found and sound else made, beside, file, written=True)
        except (CheckpointError, CapacityError, OSError) as error:
            made = made or _all_made(checkpoint, ops, wanted)
            return cls(checkpoint.tensors, made, beside, refused=str(error))

    @property
    def bytes(self) -> int:
        """Of all copies together."""
        return sum(copy.panels.nbytes for copy in self.copies.values())

    def computed_bytes(self, checkpoint: Checkpoint) -> int:
        """What is computed with of a checkpoint's bytes, with the copies, and without what they stand in place of."""
        total = checkpoint.bytes + self.bytes
        for name, copy in {} if self.beside else self.copies.items():
            total -= stored_bytes(checkpoint.stored[name], copy.rows * copy.columns)
        return total

    def __getitem__(self, name: str) -> Tensor | Int8 | Screened:
        if name not in self.copies:
            return self.tensors[name]
        copy = self.copies[name]
        return Screened(cast(np.ndarray, self.tensors[name]), copy) if self.beside else copy

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def forget(checkpoint: Path, folder: Path | None) -> int:
    """Remove the copies of a checkpoint that is being removed; the bytes that this freed.

    Raises OSError when the disk does not allow it.
    """
    freed = 0
    for file in [] if folder is None else folder.glob(f"{_place(checkpoint)}-*.safetensors"):
        freed += file.stat().st_size
        file.unlink()
    return freed


def _are_few(wanted: Mapping[str, tuple[int, int]]) -> bool:
    """Whether matrices of these sizes are not worth keeping."""
    return bytes_in_8_bits(wanted) < WORTH_KEEPING


def _all_made(checkpoint: Checkpoint, ops: Ops, wanted: Mapping[str, tuple[int, int]]) -> dict[str, Int8]:
    return {name: ops.round_int8(cast(np.ndarray, checkpoint.tensors[name])) for name in wanted}


def _name(path: Path) -> str:
    """Of the file of a checkpoint's copies: from where it lies, and from its files as they are now."""
    path = path.resolve()
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else parts_of(path)
    found = [(os.fsencode(file.name).hex(), file.stat()) for file in files if file.exists()]
    # Whoever copies a file with its times still changes when and where it came to the disk.
    stats = [(name, one.st_size, one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for name, one in found]
    made_from = json.dumps([_VERSION, stats])
    return f"{_place(path)}-{_hash(made_from.encode())}.safetensors"


def _place(path: Path) -> str:
    return _hash(os.fsencode(path.resolve()))


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _read(file: Path, wanted: Mapping[str, tuple[int, int]]) -> Kept | None:
    """The copies in a file; None where there is none, or not these, or they may be another user's.

    It may have others besides: what `exact` wants is a part of what `fast` does.
    """
    try:
        if not _is_own(file):
            return None
        arrays = read_file(file)
        sums = dict(zip(sorted(arrays.keys() - {_CHECKSUMS}), arrays[_CHECKSUMS].reshape(-1, 4), strict=True))
        copies = {name: Int8(arrays[name], *shape) for name, shape in wanted.items()}
    except (OssiaError, OSError, KeyError, ValueError):
        return None
    aligned = all(copy.panels.ctypes.data % _WORD == 0 for copy in copies.values())
    return Kept(file, copies, np.concatenate([sums[name] for name in sorted(copies)])) if aligned else None


def _is_own(file: Path) -> bool:
    """Whether nobody but this user, or the system's, can have written it. Windows has no such numbers."""
    if not hasattr(os, "getuid"):
        return True
    found = file.stat()
    return found.st_uid in (os.getuid(), 0) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write(file: Path, copies: Mapping[str, Int8], checkpoint: Path, ops: Ops) -> None:
    """Keep copies in a file that its user alone can read, in place of what was there; then remove what is of no use.

    Raises CheckpointError, CapacityError or OSError when the disk does not allow it.
    """
    arrays = {name: copy.panels for name, copy in copies.items()} | {_CHECKSUMS: _checksums(copies, ops)}
    about = {"format": "ossia int8", "checkpoint": os.fsencode(checkpoint.resolve()).hex()}
    opening, slots = header({name: ("U8", array.shape) for name, array in arrays.items()}, about)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with new_file(file, sum(array.nbytes for array in arrays.values())) as unfinished, unfinished.open("wb") as handle:
        handle.write(opening)
        for name in sorted(arrays, key=lambda name: slots[name].start):
            handle.write(arrays[name].data)
        handle.flush()
        os.fsync(handle.fileno())
    file.chmod(0o600)
    for other in file.parent.glob("*.safetensors"):
        older = other != file and other.name.startswith(f"{_place(checkpoint)}-")
        if older or _is_orphan(other):
            other.unlink(missing_ok=True)
    for part in file.parent.glob(".*.part"):  # of whoever was ended while writing
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            part.unlink(missing_ok=True)


def _is_orphan(file: Path) -> bool:
    """Whether the checkpoint that a file of copies was made from is no longer there."""
    try:
        return not os.path.lexists(bytes.fromhex(read_metadata(file)["checkpoint"]))
    except (CheckpointError, OSError, ValueError, KeyError, TypeError):
        return False  # not ours to judge


def _checksums(copies: Mapping[str, Int8], ops: Ops) -> np.ndarray:
    """uint8 [4 x copies], in the order of the names.

    Of each the CRC of name and shape, and of the sums of all panels' 64-bit words: at the speed of memory.
    """
    names = sorted(copies)
    sums = ops.row_sums([copies[name].panels for name in names])
    ends = np.cumsum([len(copies[name].panels) for name in names])
    each = zip(names, np.split(sums, ends[:-1]), strict=True)
    found = [zlib.crc32(part.tobytes(), zlib.crc32(f"{name} {copies[name].shape}".encode())) for name, part in each]
    return np.array(found, np.uint32).view(np.uint8)
