"""Weights in 8 bits: each 64 columns of a row share one scale, and each value keeps a whole number from -127 to 127.

What `fast` and `turbo` compute attention's projections and the unembedding with. Activations meet them as whole numbers
too, of 15 bits and one scale for each token, so that the products of a segment are summed exactly: in any order, on any
processor, the same bits. `turbo` rounds inputs of experts so, too, and some of many tokens further (`ossia.ops`).

The bytes lie as processors like them: rows in panels of 16, a panel as its scales, bfloat16 [S, 16] up to a multiple
of 64 bytes, and then its values, uint8 [C / 4, 16, 4], C rounded up to a multiple of 64; a byte b stands for b - 128.
Rows and columns that are none hold zeros.

Source: native/src/int8.h, where this is computed with.
"""

from dataclasses import dataclass

import numpy as np
from ml_dtypes import bfloat16

from ossia.errors import TensorError

__all__ = [
    "LARGEST_ACTIVATION",
    "LARGEST_WEIGHT",
    "PANEL_ROWS",
    "SEGMENT",
    "SMALLEST",
    "Int8",
    "decode",
    "encode",
    "int8_bytes",
    "panel_bytes",
    "round_activations",
    "round_heads",
    "scale_bytes",
    "segments_of",
    "up",
]

SEGMENT = 64
"""Columns that share one scale."""

PANEL_ROWS = 16
"""Rows that lie together."""

LARGEST_WEIGHT = np.float32(127)
LARGEST_ACTIVATION = np.float32(127 * 128)
"""The largest whole numbers, in units of their scale."""

_QUAD, _LINE, _ZERO = 4, 64, 128

SMALLEST = np.float32(2.0**-100)
"""Where all values of a scale are smaller, they count as 0."""


@dataclass(frozen=True, eq=False)
class Int8:
    """A matrix [rows, columns] in 8 bits: `panels` uint8 [rows / 16 rounded up, panel_bytes(columns)].

    Raises TensorError when they do not belong together.
    """

    panels: np.ndarray
    rows: int
    columns: int

    def __post_init__(self) -> None:
        right = (-(-self.rows // PANEL_ROWS), panel_bytes(self.columns))
        if self.panels.shape != right or self.panels.dtype != np.uint8:
            raise TensorError(
                f"panels of [{self.rows}, {self.columns}] are {self.panels.dtype} {list(self.panels.shape)}; "
                f"uint8 {list(right)} is right"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return self.rows, self.columns

    @property
    def scales(self) -> np.ndarray:
        """[rows, S] float32."""
        segments = segments_of(self.columns)
        scales = self.panels[:, : segments * PANEL_ROWS * 2].copy().view(bfloat16).astype(np.float32)
        return scales.reshape(-1, segments, PANEL_ROWS).swapaxes(1, 2).reshape(-1, segments)[: self.rows]

    @property
    def numbers(self) -> np.ndarray:
        """[rows, columns] int8."""
        values = self.panels[:, scale_bytes(self.columns) :]
        rows = values.reshape(len(self.panels), -1, PANEL_ROWS, _QUAD).swapaxes(1, 2)
        return (rows.reshape(len(self.panels) * PANEL_ROWS, -1)[: self.rows, : self.columns] ^ _ZERO).view(np.int8)


def int8_bytes(rows: int, columns: int) -> int:
    """The bytes of a matrix."""
    return -(-rows // PANEL_ROWS) * panel_bytes(columns)


def panel_bytes(columns: int) -> int:
    """The bytes of 16 rows."""
    return scale_bytes(columns) + PANEL_ROWS * segments_of(columns) * SEGMENT


def encode(matrix: np.ndarray) -> Int8:
    """[N, C] bfloat16 or float32 -> each value the nearest multiple of its scale, ties to even.

    A scale is the largest magnitude over 127, rounded up to bfloat16; NaN where a value is not finite.
    """
    rows, columns = matrix.shape
    segments = segments_of(columns)
    panels = -(-rows // PANEL_ROWS)
    numbers = np.zeros((panels * PANEL_ROWS, segments * SEGMENT), np.uint8) + np.uint8(_ZERO)
    scales = np.zeros((panels * PANEL_ROWS, segments), bfloat16)
    for segment in range(segments):
        part = slice(segment * SEGMENT, min(columns, (segment + 1) * SEGMENT))
        whole, scale = _rounded(matrix[:, part].astype(np.float32), LARGEST_WEIGHT, coarse=True)
        numbers[:rows, part] = whole + _ZERO
        scales[:rows, segment] = scale
    found = np.zeros((panels, panel_bytes(columns)), np.uint8)
    first = np.ascontiguousarray(scales.reshape(panels, PANEL_ROWS, segments).swapaxes(1, 2))
    found[:, : segments * PANEL_ROWS * 2] = first.view(np.uint8).reshape(panels, -1)
    then = numbers.reshape(panels, PANEL_ROWS, -1, _QUAD).swapaxes(1, 2)
    found[:, scale_bytes(columns) :] = then.reshape(panels, -1)
    return Int8(found, rows, columns)


def decode(matrix: Int8) -> np.ndarray:
    """[N, C] float32."""
    scales = np.repeat(matrix.scales, SEGMENT, axis=1)[:, : matrix.columns]
    return matrix.numbers.astype(np.float32) * scales


def round_activations(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[T, C] float32 -> whole numbers int32 [T, C] and scales float32 [T], NaN where a value is not finite."""
    return _rounded(x, LARGEST_ACTIVATION)


def round_heads(x: np.ndarray) -> np.ndarray:
    """[T, K, E] float32 -> the same, each head the nearest multiples of its own scale: keys and values in 8 bits.

    A scale is the largest magnitude over 127; all of a head is NaN where one of its values is not finite.
    """
    whole, scale = _rounded(x.reshape(-1, x.shape[-1]), LARGEST_WEIGHT)
    return (whole * scale[:, None]).astype(np.float32).reshape(x.shape)


def _rounded(values: np.ndarray, most: np.float32, *, coarse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers int32 up to `most`, and the scale of each row; a coarse one is bfloat16, rounded up."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        largest = np.abs(values).max(axis=1, initial=0)
        finite, some = np.isfinite(largest), largest >= SMALLEST
        factor = np.where(finite & some, most / largest, np.float32(0))
        scale = np.where(finite, np.where(some, largest / most, np.float32(0)), np.float32(np.nan))
        if coarse:
            scale = up(scale.astype(np.float32))
            factor = np.where(finite & some, np.float32(1) / scale, np.float32(0))
        whole = np.where(finite[:, None], np.rint(values * factor[:, None]), np.float32(0))
    return np.nan_to_num(whole).astype(np.int32), scale.astype(np.float32)


def up(scale: np.ndarray) -> np.ndarray:
    """Positive float32 to the next that is a bfloat16, so that no whole number grows beyond the largest."""
    return ((scale.view(np.uint32) + np.uint32(0xFFFF)) & np.uint32(0xFFFF0000)).view(np.float32)


def segments_of(columns: int) -> int:
    """The scales of a row."""
    return -(-columns // SEGMENT)


def scale_bytes(columns: int) -> int:
    """The bytes before a panel's values."""
    return -(-segments_of(columns) * PANEL_ROWS * 2 // _LINE) * _LINE
