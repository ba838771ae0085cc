"""MXFP4: 32 neighbouring values share one power of two, and each keeps four bits of its own.

A value is `GRID[nibble] * 2 ** (scale - 127)`. The nibble is an E2M1 number (sign, two bits of exponent, one of
mantissa), the scale an E8M0 byte (an exponent alone; 255 means "not a number"), so that a value costs 4.25 bits.

Two orders of nibbles exist within the 16 bytes of a block. *Neighbours*, as in the published checkpoints and everywhere
in Ossia: byte k holds values 2k (low nibble) and 2k + 1. *Halves*, as in GGUF: byte k holds values k (low) and k + 16.

Source: OCP Microscaling Formats (MX) Specification 1.0, sections 5.3.3 (E2M1), 5.4.1 (E8M0) and 6.3 (conversion);
openai/gpt-oss, gpt_oss/torch/weights.py, `_get_mxfp4_tensor`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ossia.errors import TensorError

__all__ = [
    "BLOCK",
    "GRID",
    "LARGEST_SCALE",
    "NAN_SCALE",
    "Packed",
    "Rule",
    "check_scales",
    "decode",
    "encode",
    "to_halves",
    "to_neighbours",
]

BLOCK = 32
"""Values that share one scale."""

GRID = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""The value of each nibble, before its scale."""

NAN_SCALE = 255
"""The one scale byte that is no number; a block with it has no values."""

LARGEST_SCALE = 252
"""The largest scale byte that `encode` writes: beyond it, some of the grid exceeds float32 (6 * 2^126 > 2^128)."""

Rule = Literal["error", "ocp"]

# Half way between neighbouring grid values 0 .5 1 1.5 2 3 4 6. At an exact tie the even nibble wins, which is the lower
# one below the first, third, fifth and seventh border: those must be exceeded, the others only reached.
_MUST_EXCEED = (0.25, 1.25, 2.5, 5.0)
_MUST_REACH = (0.75, 1.75, 3.5)

_PAIRS = GRID[np.stack([np.arange(256) & 15, np.arange(256) >> 4], axis=1)]

# The float32 with exponent field s is 2^(s-127), except at the ends: 0 is the subnormal 2^-127, and 255 is NaN.
_POWERS = (np.arange(256, dtype=np.uint32) << 23).view(np.float32)
_POWERS[0] = np.float32(2.0**-127)
_POWERS[NAN_SCALE] = np.nan

# Values encoded at a time: bounds the memory that a large tensor takes while it streams through.
_CHUNK_BLOCKS = 1 << 15


@dataclass(frozen=True, eq=False)
class Packed:
    """A tensor of MXFP4 values, `blocks` uint8 [..., N/32, 16] in neighbour order and `scales` uint8 [..., N/32].

    `checked` says that no scale is NAN_SCALE, for whom it spares looking. Raises TensorError when the two do not belong
    together. Arrays are kept as given: views stay views.
    """

    blocks: np.ndarray
    scales: np.ndarray
    checked: bool = False

    def __post_init__(self) -> None:
        fits = self.blocks.ndim >= 2 and self.blocks.shape == (*self.scales.shape, BLOCK // 2)
        if not fits or self.blocks.dtype != np.uint8 or self.scales.dtype != np.uint8:
            raise TensorError(
                f"MXFP4 blocks are {self.blocks.dtype} {list(self.blocks.shape)} with scales {self.scales.dtype} "
                f"{list(self.scales.shape)}; uint8 [..., N/32, 16] with uint8 [..., N/32] is right"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values, [..., N]."""
        return (*self.scales.shape[:-1], self.scales.shape[-1] * BLOCK)

    @property
    def nbytes(self) -> int:
        """Bytes of blocks and scales together."""
        return self.blocks.nbytes + self.scales.nbytes

    def __getitem__(self, index: Any) -> "Packed":
        """The part at `index` of the leading axes; the axis of values itself cannot be cut."""
        depth = len(index) if isinstance(index, tuple) else 1
        if depth >= len(self.shape):
            raise IndexError(f"only the leading {len(self.shape) - 1} axes of MXFP4 {list(self.shape)} can be indexed")
        return Packed(self.blocks[index], self.scales[index], self.checked)


def decode(packed: Packed) -> np.ndarray:
    """The values of `packed`, float32 [..., N].

    Exact for scale bytes 0 to 252 (byte 0 gives subnormal numbers). With bytes 253 and 254 the values of 2^128 and
    more, which float32 cannot hold, become infinite; byte 255 gives NaN (see `check_scales`).
    """
    values = _PAIRS[packed.blocks].reshape(*packed.scales.shape, BLOCK)
    with np.errstate(over="ignore", invalid="ignore"):
        values *= _POWERS[packed.scales][..., None]
    return values.reshape(packed.shape)


def check_scales(packed: Packed, name: str) -> None:
    """Refuses a tensor with a scale byte that is no number.

    Raises TensorError naming the tensor and the block.
    """
    if not packed.checked and packed.scales.size and packed.scales.max() == NAN_SCALE:
        where = np.argwhere(packed.scales == NAN_SCALE)[0].tolist()
        raise TensorError(f"{name}: the scale of block {where} is 255, which is NaN; 0 to 254 is right")


def encode(values: np.ndarray, rule: Rule = "error") -> Packed:
    """The nearest MXFP4 to `values` [..., N], N a multiple of 32; rounds to nearest, ties to the even nibble.

    `rule` chooses the scale that a block shares. "ocp" is the standard's: the largest power of two in the block, over
    4, so that values beyond 6 units are cut to 6. "error" tries that scale, half and double of it, and keeps the one
    with the least sum of squared errors (the standard's at a tie); no other scale can be better: doubling twice only
    drops points of the grid, and at a quarter the block's largest value, at least 16 units, is cut to 6, which costs
    more than all other values together can gain. A block of zeros gets scale byte 0.

    Raises TensorError for values that are not finite or not a whole number of blocks.
    """
    if values.ndim == 0 or values.shape[-1] % BLOCK or values.shape[-1] == 0:
        raise TensorError(f"MXFP4 packs rows of a multiple of {BLOCK} values; the shape here is {list(values.shape)}")
    groups = values.shape[-1] // BLOCK
    blocks = np.empty((*values.shape[:-1], groups, BLOCK // 2), np.uint8)
    scales = np.empty(blocks.shape[:-1], np.uint8)
    flat_blocks, flat_scales = blocks.reshape(-1, BLOCK // 2), scales.reshape(-1)
    done = 0
    for chunk in _chunks(values):
        into = slice(done, done + len(chunk))
        flat_blocks[into], flat_scales[into] = _encode_blocks(chunk, rule)
        done += len(chunk)
    return Packed(blocks, scales)


def to_halves(blocks: np.ndarray) -> np.ndarray:
    """Blocks uint8 [..., 16] in GGUF's order, from neighbour order."""
    nibbles = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape((*blocks.shape[:-1], BLOCK))
    return nibbles[..., :16] | (nibbles[..., 16:] << 4)


def to_neighbours(blocks: np.ndarray) -> np.ndarray:
    """Blocks uint8 [..., 16] in neighbour order, from GGUF's order."""
    nibbles = np.concatenate([blocks & 15, blocks >> 4], axis=-1)
    return nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """The blocks of `values` in order, float32 [at most _CHUNK_BLOCKS, 32] at a time; a view is never copied whole."""
    width = values.shape[-1]
    rows = max(1, _CHUNK_BLOCKS * BLOCK // width)
    if values.ndim <= 2:
        for start in range(0, len(values) if values.ndim == 2 else 1, rows):
            part = values[start : start + rows] if values.ndim == 2 else values
            yield np.asarray(part, np.float32).reshape(-1, BLOCK)
    else:
        for inner in values:
            yield from _chunks(inner)


def _encode_blocks(values: np.ndarray, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Blocks [B, 16] and scales [B] of values float32 [B, 32]."""
    if not np.isfinite(values).all():
        raise TensorError("MXFP4 has no infinity and no NaN of its own; finite values are right")
    largest = np.abs(values).max(axis=1)
    # frexp gives a fraction in [0.5, 1), hence one less; two more for the grid's largest power of two, 4 = 2^2.
    standard = np.where(largest > 0, np.frexp(largest)[1] - 3 + 127, 0)
    best, scales = _round(values, _as_scale(standard))
    if rule == "ocp":
        return _pack(best), scales
    error = _squared_error(values, best, scales)
    for shift in (1, -1):
        other_scales = _as_scale(standard + shift * (largest > 0))
        other = _round(values, other_scales)[0]
        other_error = _squared_error(values, other, other_scales)
        better = other_error < error
        best[better], scales[better], error[better] = other[better], other_scales[better], other_error[better]
    return _pack(best), scales


def _as_scale(exponents: np.ndarray) -> np.ndarray:
    return np.clip(exponents, 0, LARGEST_SCALE).astype(np.uint8)


def _round(values: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nibbles uint8 [B, 32] of `values` in units of `scales`, and the scales."""
    # 2^(127-s) is exact down to s = 0 (2^127) and up to 252; a product that underflows is far below the first border.
    units = np.abs(values) * _POWERS[254 - scales.astype(np.intp)][:, None]
    nibbles = np.signbit(values).astype(np.uint8) << 3
    for border in _MUST_EXCEED:
        nibbles += units > border
    for border in _MUST_REACH:
        nibbles += units >= border
    return nibbles, scales


def _squared_error(values: np.ndarray, nibbles: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Sum of squared errors float64 [B]; float64, so that neither huge nor tiny blocks lose it."""
    difference = values.astype(np.float64)
    difference -= GRID[nibbles] * np.exp2(scales.astype(np.float64) - 127)[:, None]
    return np.einsum("bi,bi->b", difference, difference)


def _pack(nibbles: np.ndarray) -> np.ndarray:
    return nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)
