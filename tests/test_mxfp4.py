"""MXFP4 against its definition, computed here in float64 with none of the module's tables."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ossia.errors import TensorError
from ossia.mxfp4 import GRID, LARGEST_SCALE, Packed, Rule, check_scales, decode, encode, to_halves, to_neighbours

MAGNITUDES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def defined(byte: int, scale: int) -> tuple[float, float]:
    """Both values of a byte: low nibble first; sign, two exponent bits (bias 1), one mantissa bit."""

    def one(nibble: int) -> float:
        sign, exponent, mantissa = nibble >> 3, nibble >> 1 & 3, nibble & 1
        magnitude = mantissa * 0.5 if exponent == 0 else (1 + mantissa / 2) * 2.0 ** (exponent - 1)
        return (-1.0 if sign else 1.0) * magnitude * 2.0 ** (scale - 127)

    return one(byte & 15), one(byte >> 4)


def every_byte_and_scale() -> Packed:
    blocks = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 16, 16), (256, 16, 16)).copy()
    scales = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (256, 16)).copy()
    return Packed(blocks, scales)


def test_decode_is_the_definition_for_every_byte_and_scale() -> None:
    found = decode(every_byte_and_scale()).reshape(256, 256, 2)
    with np.errstate(over="ignore"):
        for scale in range(255):
            expected = np.array([defined(byte, scale) for byte in range(256)]).astype(np.float32)
            np.testing.assert_array_equal(found[scale].view(np.uint32), expected.view(np.uint32), str(scale))
    assert np.isnan(found[255]).all()


def test_decode_is_exact_up_to_the_largest_scale_and_overflows_beyond_as_stated() -> None:
    found = decode(every_byte_and_scale()).reshape(256, 256, 2)
    for scale in (0, 1, 126, LARGEST_SCALE, 253, 254):
        exact = np.array([defined(byte, scale) for byte in range(256)])
        beyond = np.abs(exact) >= 2.0**128
        assert beyond.any() == (scale > LARGEST_SCALE)
        np.testing.assert_array_equal(found[scale][~beyond].astype(np.float64), exact[~beyond])
        np.testing.assert_array_equal(found[scale][beyond], np.sign(exact[beyond]) * np.inf)


def test_a_nan_scale_is_refused_with_its_place() -> None:
    packed = Packed(np.zeros((2, 3, 16), np.uint8), np.full((2, 3), 127, np.uint8))
    check_scales(packed, "good")
    packed.scales[1, 2] = 255
    with pytest.raises(TensorError, match=r"bad: the scale of block \[1, 2\] is 255, which is NaN; 0 to 254"):
        check_scales(packed, "bad")


def test_what_is_checked_is_not_looked_at_again() -> None:
    packed = Packed(np.zeros((2, 3, 16), np.uint8), np.full((2, 3), 255, np.uint8), checked=True)
    check_scales(packed, "believed")
    check_scales(packed[1:], "a part of it")


def test_orders_are_pairs_of_neighbours_and_halves_of_a_block() -> None:
    nibbles = np.arange(32) % 16
    neighbours = (nibbles[0::2] | nibbles[1::2] << 4).astype(np.uint8)
    halves = (nibbles[:16] | nibbles[16:] << 4).astype(np.uint8)
    np.testing.assert_array_equal(to_halves(neighbours), halves)
    np.testing.assert_array_equal(to_neighbours(halves), neighbours)


@given(npst.arrays(np.uint8, (3, 2, 16)))
def test_order_conversions_undo_each_other(blocks: np.ndarray) -> None:
    np.testing.assert_array_equal(to_neighbours(to_halves(blocks)), blocks)
    np.testing.assert_array_equal(to_halves(to_neighbours(blocks)), blocks)


def test_gguf_package_agrees_on_values_and_on_halves() -> None:
    quants = pytest.importorskip("gguf.quants")
    constants = pytest.importorskip("gguf.constants")
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (40, 6, 16), np.uint8)
    scales = random.integers(100, 150, (40, 6), np.uint8)
    stored = np.concatenate([scales[..., None], to_halves(blocks)], axis=-1).reshape(40, -1)
    expected = quants.dequantize(stored, constants.GGMLQuantizationType.MXFP4)
    np.testing.assert_array_equal(decode(Packed(blocks, scales)), expected)


@pytest.mark.parametrize("rule", ["error", "ocp"])
@given(
    scale=st.integers(0, LARGEST_SCALE),
    nibbles=npst.arrays(np.uint8, (4, 32), elements=st.integers(0, 15)),
)
def test_values_on_the_grid_survive(rule: Rule, scale: int, nibbles: np.ndarray) -> None:
    """Exactly, whatever the rule: with 6 units in a block no other scale represents it, and 4 chooses the same."""
    nibbles[:, 0] = 7
    values = GRID[nibbles] * np.float32(2.0) ** np.float32(scale - 127)
    packed = encode(values, rule)
    np.testing.assert_array_equal(decode(packed).view(np.uint32), values.view(np.uint32))
    assert (packed.scales == scale).all()


def nearest_even(value: float) -> float:
    """The definition of rounding: the least distance, at a tie the magnitude whose mantissa bit is 0."""
    distances = [abs(abs(value) - magnitude) for magnitude in MAGNITUDES]
    ties = [index for index, distance in enumerate(distances) if distance == min(distances)]
    return np.copysign(MAGNITUDES[next((index for index in ties if index % 2 == 0), ties[0])], value)


finite = st.floats(-8, 8, width=32) | st.sampled_from([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -0.25, -5.0, -0.0, 7.99])


@given(npst.arrays(np.float32, 31, elements=finite))
def test_ocp_rounds_to_nearest_even_and_saturates(values: np.ndarray) -> None:
    """With 4 in the block and nothing at 8 or beyond, the standard's scale is 1 and its grid is seen as it is."""
    block = np.append(np.where(np.abs(values) < 8, values, 0), 4).astype(np.float32)
    expected = np.array([nearest_even(float(value)) for value in block], np.float32)
    np.testing.assert_array_equal(decode(encode(block, "ocp")).view(np.uint32), expected.view(np.uint32))


@given(npst.arrays(np.float32, 32, elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_ocp_scale_is_the_largest_power_of_two_over_four(block: np.ndarray) -> None:
    largest = float(np.abs(block).max())
    expected = 0 if largest == 0 else max(0, math.frexp(largest)[1] - 1 - 2 + 127)
    assert encode(block, "ocp").scales.item() == expected


@settings(max_examples=150)
@given(npst.arrays(np.float32, 32, elements=st.floats(-100, 100, width=32)))
def test_error_rule_is_the_best_of_all_scales(block: np.ndarray) -> None:
    def error(values: np.ndarray) -> float:
        return float(((values - block.astype(np.float64)) ** 2).sum())

    # Nearest on the grid for every scale there is, by brute force over the sixteen values.
    grids = np.array(MAGNITUDES) * np.exp2(np.arange(0, LARGEST_SCALE + 1) - 127.0)[:, None, None]
    distances = np.abs(np.abs(block.astype(np.float64))[None, :, None] - grids).min(axis=2)
    least = float((distances**2).sum(axis=1).min())
    assert error(decode(encode(block)).astype(np.float64)) <= least * (1 + 1e-12)


@pytest.mark.parametrize("border", [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
def test_borders_are_exact_to_the_last_bit(border: float) -> None:
    near = [np.nextafter(np.float32(border), np.float32(end)) for end in (0, 8)]
    block = np.array([4.0, *near, border, *np.negative(near), *[0.0] * 26], np.float32)
    expected = np.array([nearest_even(float(value)) for value in block], np.float32)
    np.testing.assert_array_equal(decode(encode(block, "ocp")), expected)


def test_error_rule_takes_half_of_the_standards_scale_where_that_is_best() -> None:
    """31 values of a quarter unit cost 31/16 on the standard's grid; at half its scale only 4 is wrong, by 1."""
    block = np.array([4.0, *[0.25] * 31], np.float32)
    assert encode(block, "ocp").scales.item() == 127
    assert encode(block).scales.item() == 126
    np.testing.assert_array_equal(decode(encode(block)), [3.0, *[0.25] * 31])


def test_error_rule_beats_ocp_on_gaussian_values() -> None:
    values = np.random.default_rng(1).standard_normal((64, 4096)).astype(np.float32)
    error = {rule: float(((decode(encode(values, rule)) - values) ** 2).mean()) for rule in ("error", "ocp")}
    assert error["error"] < 0.96 * error["ocp"]


def test_extremes_stay_finite() -> None:
    largest = np.finfo(np.float32).max
    block = np.full(32, largest, np.float32)
    block[1::2] = -largest
    for rule in ("error", "ocp"):
        assert np.isfinite(decode(encode(block, rule))).all()
    tiny = np.full(32, 2.0**-128, np.float32)
    np.testing.assert_array_equal(decode(encode(tiny)), tiny)
    zeros = encode(np.zeros(32, np.float32))
    assert zeros.scales.item() == 0
    assert not zeros.blocks.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    values = np.zeros((2, 64), np.float32)
    values[1, 40] = bad
    with pytest.raises(TensorError, match="finite"):
        encode(values)


@pytest.mark.parametrize("shape", [(), (0,), (33,), (4, 16)])
def test_shapes_that_are_no_whole_blocks_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match="multiple of 32"):
        encode(np.zeros(shape, np.float32))


def test_encoding_streams_views_of_any_rank_and_stride() -> None:
    values = np.random.default_rng(2).standard_normal((3, 64, 40)).astype(np.float32)
    whole = encode(np.ascontiguousarray(values.transpose(0, 2, 1)))
    view = encode(values.transpose(0, 2, 1))
    assert view.shape == (3, 40, 64)
    np.testing.assert_array_equal(view.blocks, whole.blocks)
    np.testing.assert_array_equal(view.scales, whole.scales)
    np.testing.assert_array_equal(encode(values.transpose(0, 2, 1)[1, 2]).blocks, whole.blocks[1, 2])


def test_encoding_takes_more_than_one_chunk() -> None:
    values = np.random.default_rng(3).standard_normal((40_000, 32)).astype(np.float32)
    packed = encode(values)
    np.testing.assert_array_equal(encode(values[-5:]).blocks, packed.blocks[-5:])


def test_packed_refuses_parts_that_do_not_belong_together() -> None:
    with pytest.raises(TensorError, match=r"uint8 \[\.\.\., N/32, 16\]"):
        Packed(np.zeros((2, 3, 16), np.uint8), np.zeros((3, 3), np.uint8))
    with pytest.raises(TensorError, match="int8"):
        Packed(np.zeros((3, 16), np.int8), np.zeros(3, np.uint8))


def test_packed_is_indexed_by_its_leading_axes_without_copies() -> None:
    packed = encode(np.random.default_rng(4).standard_normal((4, 6, 64)).astype(np.float32))
    np.testing.assert_array_equal(decode(packed[2, 1:3]), decode(packed)[2, 1:3])
    assert np.shares_memory(packed[2].blocks, packed.blocks)
    assert packed.nbytes == 4 * 6 * 2 * 17
    with pytest.raises(IndexError, match="leading 2 axes"):
        packed[0, 0, 0]
