"""A matrix in 8 bits (`ossia.int8`) rounded to 4, which tells most probably which of its rows a draw needs.

Each 64 columns of a row share a scale, their largest magnitude over 7 rounded up to bfloat16, and each value becomes
one of the two whole numbers beside it, from -7 to 7, drawn so that on average it is itself. So what rounding takes from
a product has no direction, and over many columns most of it cancels out (native/src/int4_screen.cc).

The bytes lie as in 8 bits, but that two quads of columns share 64 bytes: the first has the lower halves, and a half h
stands for h - 8.

Source: native/src/int4.h, where this is computed with.
"""

from dataclasses import dataclass

import numpy as np
from ml_dtypes import bfloat16

from ossia.errors import TensorError
from ossia.int8 import PANEL_ROWS, SEGMENT, Int8, panel_bytes, scale_bytes, segments_of, up

__all__ = ["LARGEST", "Int4", "Screened", "encode", "int4_bytes", "int4_panel_bytes"]

LARGEST = np.float32(7)
"""The largest whole number, in units of its scale."""

_QUAD, _ZERO = 4, 8
_WIDEST = np.float32(2.0**60)
_GOLDEN = 0x9E3779B97F4A7C15
_MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


@dataclass(frozen=True, eq=False)
class Int4:
    """A matrix [rows, columns] in 4 bits: `panels` uint8 [rows / 16 rounded up, int4_panel_bytes(columns)].

    Raises TensorError when they do not belong together.
    """

    panels: np.ndarray
    rows: int
    columns: int

    def __post_init__(self) -> None:
        right = (-(-self.rows // PANEL_ROWS), int4_panel_bytes(self.columns))
        if self.panels.shape != right or self.panels.dtype != np.uint8:
            raise TensorError(
                f"panels of [{self.rows}, {self.columns}] in 4 bits are {self.panels.dtype} "
                f"{list(self.panels.shape)}; uint8 {list(right)} is right"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return self.rows, self.columns


@dataclass(frozen=True, eq=False)
class Screened:
    """A matrix that is computed with, and beside it a narrower copy that tells which of its rows a draw needs.

    values  bfloat16 or float32 [N, C], or the matrix in 8 bits
    copy    the same in 8 bits, or in 4 of one in 8
    """

    values: np.ndarray | Int8
    copy: Int8 | Int4

    def __post_init__(self) -> None:
        if self.values.shape != self.copy.shape:
            raise TensorError(f"a copy {list(self.copy.shape)} of {list(self.values.shape)}; the same shape is right")


def int4_bytes(rows: int, columns: int) -> int:
    """The bytes of a matrix."""
    return -(-rows // PANEL_ROWS) * int4_panel_bytes(columns)


def int4_panel_bytes(columns: int) -> int:
    """The bytes of 16 rows."""
    return (panel_bytes(columns) + scale_bytes(columns)) // 2


def encode(matrix: Int8) -> Int4:
    """Each value one of the two whole numbers of its scale beside it, by a hash of its place.

    Where the scale in 8 bits is NaN, or more than 2^60, that in 4 is NaN, and the numbers are 0.
    """
    rows, columns = matrix.shape
    segments = segments_of(columns)
    numbers = np.zeros((rows, segments * SEGMENT), np.float32)
    numbers[:, :columns] = matrix.numbers
    grouped, scales = numbers.reshape(rows, segments, SEGMENT), matrix.scales
    own = up((np.abs(grouped).max(axis=2) * scales / LARGEST).astype(np.float32))
    own[~(scales <= _WIDEST)] = np.nan
    first = np.arange(rows, dtype=np.uint64)[:, None] * np.uint64(columns)
    places = first + np.arange(segments * SEGMENT, dtype=np.uint64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(own > 0, scales / own, np.float32(0)).astype(np.float32)
    drawn = np.floor(grouped * ratio[:, :, None] + _chances(places).reshape(grouped.shape))
    halves = np.zeros((len(matrix.panels) * PANEL_ROWS, segments * SEGMENT), np.uint8) + np.uint8(_ZERO)
    halves[:rows] = (np.clip(drawn, -LARGEST, LARGEST) + _ZERO).astype(np.uint8).reshape(rows, -1)
    return Int4(_panels(halves, own, len(matrix.panels), columns), rows, columns)


def _panels(halves: np.ndarray, own: np.ndarray, count: int, columns: int) -> np.ndarray:
    scales = np.zeros((count * PANEL_ROWS, own.shape[1]), bfloat16)
    scales[: len(own)] = own
    found = np.zeros((count, int4_panel_bytes(columns)), np.uint8)
    first = np.ascontiguousarray(scales.reshape(count, PANEL_ROWS, -1).swapaxes(1, 2)).view(np.uint8)
    found[:, : own.shape[1] * PANEL_ROWS * 2] = first.reshape(count, -1)
    quads = halves.reshape(count, PANEL_ROWS, -1, 2, _QUAD)
    pairs = quads[:, :, :, 0] | quads[:, :, :, 1] << 4
    found[:, scale_bytes(columns) :] = pairs.swapaxes(1, 2).reshape(count, -1)
    return found


def _chances(places: np.ndarray) -> np.ndarray:
    """A number from 0 to 1 for each place, float32: SplitMix64's output function of it."""
    z = (places + np.uint64(1)) * np.uint64(_GOLDEN)
    for shift, factor in _MIXES:
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return ((z >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
