"""The copies in 8 bits of attention's projections and the unembedding, and one of the unembedding in 4.

Those are the large matrices that checkpoints keep in 16 bits. `fast` and `turbo` compute with copies in their place;
`exact` takes that of a large unembedding beside it, to tell which of its rows a draw needs (`ossia.int4.Screened`), and
the others take one in 4 bits beside that in 8. Copies are made at load; those of a large model once, and kept in a file
that all processes of a user map: the panels of each matrix (`ossia.int8`, `ossia.int4`) under the matrix's name, and
`checksums`, one of each, in the order of the names. One that does not fit, or whose sums are wrong, is made anew.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ossia.checkpoint import Checkpoint, Tensor, expected_tensors
from ossia.checkpoint.cached_files import SUFFIX, is_own, named, write
from ossia.checkpoint.gguf import stored_bytes
from ossia.checkpoint.safetensors import read_file
from ossia.config import ModelConfig
from ossia.errors import CapacityError, CheckpointError, OssiaError
from ossia.int4 import Int4, Screened, int4_bytes
from ossia.int8 import Int8, int8_bytes
from ossia.ops import Ops, Precision

__all__ = ["Copies", "Kept", "bytes_in_8_bits", "in_8_bits", "screen_bytes"]

WORTH_KEEPING = 256 << 20
"""Bytes of copies from which on they are kept: making fewer takes less than a tenth of a second.

It is also what an unembedding's copy in 8 bits must have for draws to be screened: less is read within 20 ms as it is.
"""

_VERSION = 2  # of how a matrix in 8 bits lies: 2 has scales in bfloat16 for each 64 columns
_CHECKSUMS = "checksums"
_WORD = 8
_UNEMBEDDING = "lm_head.weight"
_SCREEN = "lm_head.screen"  # the unembedding in 4 bits
_MATRICES = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", _UNEMBEDDING)


def in_8_bits(config: ModelConfig, precision: Precision) -> dict[str, tuple[int, int]]:
    """The matrices that a precision has copies of, by name: rows and columns."""
    specs = expected_tensors(config, "mxfp4")
    found = {name: (spec.shape[0], spec.shape[1]) for name, spec in specs.items() if name.endswith(_MATRICES)}
    if precision is not Precision.EXACT:
        return found
    screen = {_UNEMBEDDING: found[_UNEMBEDDING]}
    return screen if bytes_in_8_bits(screen) >= WORTH_KEEPING else {}


def screen_bytes(config: ModelConfig, precision: Precision) -> int:
    """What draws are screened by, beside what is computed with: of a small unembedding nothing."""
    size = int8_bytes if precision is Precision.EXACT else int4_bytes
    return sum(size(*shape) for shape in in_8_bits(config, Precision.EXACT).values())


def _wanted(config: ModelConfig, precision: Precision, *, screens: bool) -> dict[str, tuple[int, int]]:
    """`in_8_bits`, and the unembedding in 4 if draws are to be screened by it."""
    wanted = in_8_bits(config, precision)
    if screens and precision is not Precision.EXACT and screen_bytes(config, precision):
        wanted[_SCREEN] = wanted[_UNEMBEDDING]
    return wanted


def bytes_in_8_bits(matrices: Mapping[str, tuple[int, int]]) -> int:
    """Of the copies of such matrices, all together."""
    return sum(int8_bytes(*shape) for shape in matrices.values())


@dataclass(frozen=True, eq=False)
class Kept:
    """The copies in a file, which are not to be computed with before they are found to be sound."""

    file: Path
    copies: Mapping[str, Int8 | Int4]
    sums: np.ndarray

    @classmethod
    def of(cls, checkpoint: Checkpoint, precision: Precision, folder: Path | None, *, screens: bool) -> "Kept | None":
        """Those that a precision wants; None where there are none, or none of these, or they may be another user's."""
        wanted = _wanted(checkpoint.config, precision, screens=screens)
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

    Where draws are to be screened, and there is a folder, the unembedding in 8 bits comes with a copy in 4.

    beside   whether copies stand beside what they were made from
    kept     the file of the copies; None where they are made at every load
    written  whether that file was written just now
    refused  why it could not be
    """

    tensors: Mapping[str, Tensor]
    copies: Mapping[str, Int8 | Int4]
    beside: bool = False
    kept: Path | None = None
    written: bool = False
    refused: str = ""

    @classmethod
    def of(cls, checkpoint: Checkpoint, ops: Ops, folder: Path | None, *, screens: bool = False) -> "Copies":
        """The copies of a checkpoint, from their file in `folder`, or made by `ops`, and then kept there.

        Without a folder nothing is screened: to make copies for that at each start takes longer than it saves in many
        tokens.
        """
        kept = Kept.of(checkpoint, ops.precision, folder, screens=screens)
        if kept is not None and kept.are_sound(ops):
            return cls.believed(checkpoint, ops, kept)
        return cls.made(checkpoint, ops, folder, screens=screens)

    @classmethod
    def believed(cls, checkpoint: Checkpoint, ops: Ops, kept: Kept) -> "Copies":
        """Copies that were found to be sound."""
        return cls(checkpoint.tensors, kept.copies, ops.precision is Precision.EXACT, kept.file)

    @classmethod
    def made(cls, checkpoint: Checkpoint, ops: Ops, folder: Path | None, *, screens: bool = False) -> "Copies":
        """Copies made now, and kept in `folder` if they are worth it."""
        beside = ops.precision is Precision.EXACT
        wanted = _wanted(checkpoint.config, ops.precision, screens=screens and folder is not None)
        if beside and folder is None:
            wanted = {}
        if _are_few(wanted) or folder is None:
            return cls(checkpoint.tensors, _all_made(checkpoint, ops, wanted), beside)
        made: dict[str, Int8 | Int4] = {}
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
    def screens(self) -> bool:
        """Whether draws are screened by one of the copies."""
        return _SCREEN in self.copies or (self.beside and bool(self.copies))

    @property
    def bytes(self) -> int:
        """Of all copies together."""
        return sum(copy.panels.nbytes for copy in self.copies.values())

    def computed_bytes(self, checkpoint: Checkpoint) -> int:
        """What is computed with of a checkpoint's bytes, with the copies, and without what they stand in place of."""
        total = checkpoint.bytes + self.bytes
        for name, copy in {} if self.beside else self.copies.items():
            if name in checkpoint.stored:
                total -= stored_bytes(checkpoint.stored[name], copy.rows * copy.columns)
        return total

    def __getitem__(self, name: str) -> Tensor | Int8 | Screened:
        if name not in self.copies:
            return self.tensors[name]
        copy = cast(Int8, self.copies[name])
        if self.beside:
            return Screened(cast(np.ndarray, self.tensors[name]), copy)
        return Screened(copy, self.copies[_SCREEN]) if name == _UNEMBEDDING and _SCREEN in self.copies else copy

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def _are_few(wanted: Mapping[str, tuple[int, int]]) -> bool:
    """Whether matrices of these sizes are not worth keeping."""
    return bytes_in_8_bits(wanted) < WORTH_KEEPING


def _all_made(checkpoint: Checkpoint, ops: Ops, wanted: Mapping[str, tuple[int, int]]) -> dict[str, Int8 | Int4]:
    made = {name: ops.round_int8(cast(np.ndarray, checkpoint.tensors[name])) for name in wanted if name != _SCREEN}
    return made | ({_SCREEN: ops.round_int4(made[_UNEMBEDDING])} if _SCREEN in wanted else {})


def _name(path: Path) -> str:
    """Of the file of a checkpoint's copies."""
    return named(path, [_VERSION]) + SUFFIX


def _read(file: Path, wanted: Mapping[str, tuple[int, int]]) -> Kept | None:
    """The copies in a file; None where there is none, or not these, or they may be another user's.

    It may have others besides: what `exact` wants is a part of what `fast` does, and that without a screen is, too.
    """
    try:
        if not is_own(file):
            return None
        arrays = read_file(file)
        sums = dict(zip(sorted(arrays.keys() - {_CHECKSUMS}), arrays[_CHECKSUMS].reshape(-1, 4), strict=True))
        copies = {name: (Int4 if name == _SCREEN else Int8)(arrays[name], *shape) for name, shape in wanted.items()}
    except (OssiaError, OSError, KeyError, ValueError):
        return None
    aligned = all(copy.panels.ctypes.data % _WORD == 0 for copy in copies.values())
    return Kept(file, copies, np.concatenate([sums[name] for name in sorted(copies)])) if aligned else None


def _write(file: Path, copies: Mapping[str, Int8 | Int4], checkpoint: Path, ops: Ops) -> None:
    """Raises CheckpointError, CapacityError or OSError when the disk does not allow it."""
    arrays = {name: copy.panels for name, copy in copies.items()} | {_CHECKSUMS: _checksums(copies, ops)}
    write(file, arrays, checkpoint, {"format": "ossia int8"})


def _checksums(copies: Mapping[str, Int8 | Int4], ops: Ops) -> np.ndarray:
    """uint8 [4 x copies], in the order of the names.

    Of each the CRC of name and shape, and of the sums of all panels' 64-bit words: at the speed of memory.
    """
    names = sorted(copies)
    sums = ops.row_sums([copies[name].panels for name in names])
    ends = np.cumsum([len(copies[name].panels) for name in names])
    each = zip(names, np.split(sums, ends[:-1]), strict=True)
    found = [zlib.crc32(part.tobytes(), zlib.crc32(f"{name} {copies[name].shape}".encode())) for name, part in each]
    return np.array(found, np.uint32).view(np.uint8)
