"""Weights in 4 bits against the definition, one number at a time, and what rounding by chance promises."""

import math

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia import int8
from ossia.errors import TensorError
from ossia.int4 import Int4, Screened, encode, int4_bytes, int4_panel_bytes
from ossia.int8 import SEGMENT, scale_bytes, up

SHAPES = [(1, 1), (16, 64), (17, 65), (33, 130), (3, 257)]
MASK = (1 << 64) - 1


def matrix(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(rows * columns).standard_normal((rows, columns)).astype(np.float32)


def numbers_of(matrix: Int4) -> tuple[np.ndarray, np.ndarray]:
    """The whole numbers [N, C] and the scales [N, S] that its bytes say."""
    (rows, columns), segments = matrix.shape, -(-matrix.columns // 64)
    head = scale_bytes(columns)
    scales = matrix.panels[:, : segments * 32].copy().view(bfloat16).astype(np.float64)
    halves = matrix.panels[:, head:].reshape(len(matrix.panels), -1, 16, 1, 4)
    quads = np.concatenate([halves & 15, halves >> 4], axis=3).astype(np.int64) - 8
    numbers = quads.swapaxes(1, 2).reshape(len(matrix.panels) * 16, -1)
    return numbers[:rows, :columns], scales.reshape(-1, segments, 16).swapaxes(1, 2).reshape(-1, segments)[:rows]


def chance(place: int) -> float:
    """SplitMix64's output of a place, in whole numbers of Python."""
    z = (place + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return (((z ^ z >> 31) >> 41) + 0.5) / 2**23


@pytest.mark.parametrize("shape", SHAPES)
def test_encode_is_the_definition(shape: tuple[int, int]):
    whole = int8.encode(matrix(*shape))
    (numbers, scales), halves = numbers_of(encode(whole)), whole.numbers.astype(int)
    for row, column in np.ndindex(*shape):
        segment = column // SEGMENT
        some = halves[row, segment * SEGMENT : (segment + 1) * SEGMENT]
        own = up(np.abs(some).max().astype(np.float32) * whole.scales[row, segment : segment + 1] / np.float32(7))[0]
        assert scales[row, segment] == own
        ratio = float(whole.scales[row, segment] / own)
        exact = float(halves[row, column]) * ratio
        assert numbers[row, column] in (math.floor(exact), math.ceil(exact))
        drawn = exact + chance(row * shape[1] + column)
        assert abs(drawn - round(drawn)) < 1e-5 or numbers[row, column] == min(math.floor(drawn), 7)


def test_scales_that_are_no_numbers_or_too_large_have_none():
    values = matrix(20, 130)
    values[2, 70], values[3], values[4], values[5] = (
        np.inf,
        0,
        values[4] * np.float32(1e22),
        values[5] * np.float32(1e-36),
    )
    numbers, scales = numbers_of(encode(int8.encode(values)))
    assert np.isnan(scales[2]).tolist() == [False, True, False]
    assert np.isnan(scales[4]).all()
    assert not numbers[[3, 4, 5]].any()
    assert not scales[[3, 5]].any()
    assert np.abs(numbers[6]).max() == 7


def test_rounding_to_4_bits_has_no_direction():
    """What it takes from products with inputs that do not know it is centred, and within the bound."""
    values = int8.encode(matrix(400, 2880))
    numbers, own = numbers_of(encode(values))
    scales = np.repeat(own, 64, axis=1)
    lost = numbers * scales - int8.decode(values)
    assert np.abs(lost).max() <= scales.max()
    assert abs(lost.mean()) < 5 * lost.std() / np.sqrt(lost.size)
    x = matrix(2880, 50)
    spread = np.sqrt(np.square(scales) @ np.square(x))
    beyond = np.abs(lost @ x) / spread
    # Hoeffding's inequality for all of them together; and the bound is not idle.
    assert 1 < beyond.max() <= np.sqrt(np.log(2 * beyond.size / 1e-9) / 2)


def test_bytes_and_shapes():
    assert int4_panel_bytes(64) == 64 + 512
    assert int4_bytes(17, 65) == 2 * (64 + 1024)
    with pytest.raises(TensorError, match=r"panels of \[8, 64\] in 4 bits are uint8 \[1, 64\]; uint8 \[1, 576\]"):
        Int4(np.zeros((1, 64), np.uint8), 8, 64)
    whole = int8.encode(matrix(8, 64))
    with pytest.raises(TensorError, match=r"a copy \[8, 64\] of \[8, 65\]"):
        Screened(int8.encode(matrix(8, 65)), encode(whole))
