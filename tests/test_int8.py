"""Weights in 8 bits against the definition, one number at a time, and what the bytes' order promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16

from ossia.errors import TensorError
from ossia.int8 import (
    PANEL_ROWS,
    SEGMENT,
    Int8,
    decode,
    encode,
    int8_bytes,
    panel_bytes,
    round_activations,
    round_heads,
)

SHAPES = [(1, 1), (16, 64), (17, 65), (40, 256), (3, 257), (33, 700)]


def matrix(rows: int, columns: int, dtype: object = np.float32) -> np.ndarray:
    return np.random.default_rng(rows * columns).standard_normal((rows, columns)).astype(dtype)  # type: ignore[call-overload]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, bfloat16])
def test_encode_is_the_definition(shape: tuple[int, int], dtype: object):
    values = matrix(*shape, dtype)
    found = encode(values)
    numbers, scales = found.numbers, found.scales
    assert found.shape == shape == numbers.shape
    assert scales.shape == (shape[0], math.ceil(shape[1] / SEGMENT))
    for row in range(shape[0]):
        for segment in range(scales.shape[1]):
            part = values[row, segment * SEGMENT : (segment + 1) * SEGMENT].astype(np.float32)
            largest = np.abs(part).max()
            scale = largest / np.float32(127)
            assert scale <= scales[row, segment] == bfloat16(scales[row, segment])
            assert scales[row, segment] < scale * (1 + 2.0**-7)
            # Python's round is to even too.
            wanted = [round(float(value * (np.float32(1) / scales[row, segment]))) for value in part]
            assert numbers[row, segment * SEGMENT : (segment + 1) * SEGMENT].tolist() == wanted
            assert 126 <= max(map(abs, wanted)) <= 127


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_is_off_by_half_a_step_at_most(shape: tuple[int, int]):
    values, found = matrix(*shape), encode(matrix(*shape))
    step = np.repeat(found.scales, SEGMENT, axis=1)[:, : shape[1]]
    # Two roundings of float32 beside: of the factor and of the product.
    assert (np.abs(decode(found) - values) <= step * (0.5 + 127 * 2.0**-22)).all()


def test_the_bytes_lie_as_said():
    values = matrix(17, 65)
    found = encode(values)
    assert panel_bytes(65) == 64 + PANEL_ROWS * 128
    assert panel_bytes(129) == 128 + PANEL_ROWS * 192  # scales fill whole lines of a cache
    assert found.panels.shape == (2, panel_bytes(65))
    assert found.panels.nbytes == int8_bytes(17, 65)
    scales = found.panels[:, : 4 * PANEL_ROWS].copy().view(bfloat16).reshape(2, 2, PANEL_ROWS)
    numbers = found.panels[:, 4 * PANEL_ROWS :].reshape(2, 128 // 4, PANEL_ROWS, 4)
    for row in (0, 9, 16):
        panel, place = divmod(row, PANEL_ROWS)
        assert scales[panel, :, place].tolist() == found.scales[row].tolist()
        for column in (0, 5, 64):
            assert numbers[panel, column // 4, place, column % 4] == int(found.numbers[row, column]) + 128
    # Rows and columns that are none.
    assert (scales[1, :, 1:] == 0).all()
    assert (numbers[1, :, 1:] == 128).all()
    assert (numbers[0, 17:] == 128).all()


def test_zeros_and_what_is_too_small_to_have_a_scale_are_zero():
    values = np.array([[0.0, 0.0], [1e-31, -1e-31], [2.0**-100, 0.0]], np.float32)
    found = encode(values)
    assert found.scales[:, 0].tolist() == [0, 0, 2.0**-107 * (1 + 2.0**-6)]
    np.testing.assert_array_equal(decode(found)[:2], 0)
    assert decode(found)[2].tolist() == pytest.approx([2.0**-100, 0], rel=2.0**-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(bad: float):
    values = matrix(3, 300)
    values[1, 260] = bad
    scales = encode(values).scales
    assert np.isnan(scales).sum() == np.isnan(scales[1, 260 // SEGMENT]) == 1
    _, scale = round_activations(values)
    assert np.isnan(scale).tolist() == [False, True, False]


@settings(max_examples=50)
@given(st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=20))
def test_activations_keep_15_bits(values: list[float]):
    x = np.array([values], np.float32)
    numbers, scale = round_activations(x)
    assert np.abs(numbers).max() <= 16256
    largest = np.abs(x).max()
    if largest >= 2.0**-100:
        assert np.abs(numbers).max() == 16256
        assert np.abs(numbers * scale[:, None] - x).max() <= largest / 16256 * 0.51
    else:
        assert not numbers.any()


@settings(max_examples=50)
@given(st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=2, max_size=2))
def test_each_head_keeps_whole_numbers_of_its_own_scale(first: list[float]):
    x = np.array([[first, [1e-3, -127e-3]], [[0, 0], [-1, 0.5]]], np.float32)
    rounded = round_heads(x)
    assert (rounded.shape, rounded.dtype) == (x.shape, np.float32)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    assert (np.abs(rounded - x) <= np.maximum(largest / 127 * 0.51, 2.0**-100)).all()
    np.testing.assert_allclose(rounded[0, 1], [1e-3, -127e-3], rtol=1e-6)
    np.testing.assert_allclose(rounded[1, 1], [-1, 64 / 127], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_head_with_what_is_not_finite_is_lost_alone(bad: float):
    x = np.ones((2, 2, 4), np.float32)
    x[1, 0, 2] = bad
    assert np.isnan(round_heads(x)).all(axis=-1).tolist() == [[False, False], [True, False]]


def test_panels_that_are_not_of_the_shape_are_refused():
    with pytest.raises(TensorError, match=r"panels of \[17, 65\] are uint8 \[1, 2112\]; uint8 \[2, 2112\] is right"):
        Int8(np.zeros((1, panel_bytes(65)), np.uint8), 17, 65)
    with pytest.raises(TensorError, match="are int8"):
        Int8(np.zeros((1, panel_bytes(65)), np.int8), 16, 65)
