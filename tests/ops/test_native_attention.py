"""Attention on the native backend: the same bits in any cut, with any threads, whatever keys and values are kept as."""

import numpy as np
import pytest

from ossia.errors import BackendError
from ossia.ops import Batch, CacheDtype, Precision, Role
from ossia.ops.native import NativeOps
from tests.ops.cases import KIND, normal
from tests.ops.steps import Steps, instruction_sets


@pytest.fixture(params=list(Precision))
def precision(request: pytest.FixtureRequest) -> Precision:
    return request.param


@pytest.fixture(params=[None, CacheDtype.INT8], ids=["default", "int8"])
def dtype(request: pytest.FixtureRequest) -> CacheDtype | None:
    return request.param


@pytest.fixture(params=instruction_sets())
def kept(request: pytest.FixtureRequest, precision: Precision, dtype: CacheDtype | None) -> NativeOps:
    """Each instruction set with each way to keep keys and values."""
    return NativeOps(precision, threads=2, isa=request.param, kv_cache_dtype=dtype)


@pytest.mark.parametrize("window", [None, 50])
def test_attention_is_the_same_bits_in_any_cut(kept: NativeOps, window: int | None):
    alone = Steps(kept, window).alone()
    for seed, page_size in enumerate((16, 5, 64)):
        assert Steps(kept, window, page_size).mixed(seed) == alone


@pytest.mark.parametrize("page_size", [16, 5])
@pytest.mark.parametrize("window", [None, 50])
def test_what_a_page_held_before_does_not_matter(kept: NativeOps, window: int | None, page_size: int):
    used = Steps(kept, window, page_size)
    used.spoil()
    assert used.mixed(0) == Steps(kept, window, page_size).alone()


@pytest.mark.parametrize("page_size", [16, 5])
def test_what_has_left_the_window_does_not_matter(kept: NativeOps, page_size: int):
    """Beyond the tokens that are computed together: there, what one sees is in the sums of all."""
    window, bad, together = 50, 290, 8  # of 16 positions that lie together the first two
    whole, damaged = Steps(kept, window, page_size), Steps(kept, window, page_size)
    for part in damaged.parts[1:]:
        part[:bad] = np.nan
    found, right = damaged.mixed(0), whole.alone()
    for position in range(bad + window + together, damaged.LENGTHS[0]):
        assert found[0, position] == right[0, position]


@pytest.mark.parametrize("window", [None, 50])
def test_attention_is_the_same_bits_with_any_threads(
    precision: Precision, dtype: CacheDtype | None, window: int | None
):
    alone = Steps(NativeOps(precision, threads=1, kv_cache_dtype=dtype), window).alone()
    for threads in (2, 3, 8):
        assert Steps(NativeOps(precision, threads, kv_cache_dtype=dtype), window).mixed(threads) == alone


@pytest.mark.parametrize("width", [32, 64])
def test_attention_over_8_bits_is_the_same_bits_on_every_instruction_set(width: int):
    """But the portable one, where an exponential has no fused multiply-add."""
    fused = [isa for isa in instruction_sets() if isa != "portable"]
    results = [Steps(NativeOps(isa=isa, kv_cache_dtype=CacheDtype.INT8), 300, width=width).mixed(1) for isa in fused]
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_key_or_value_that_is_not_finite_makes_its_head_s_results_nan(isa: str):
    """In 8 bits, from its position on; and another head's, or an earlier position's, stay as they are."""
    ops = NativeOps(isa=isa, kv_cache_dtype=CacheDtype.INT8)
    whole = Steps(ops, None, width=64)
    for part, bad in ((1, np.inf), (2, np.nan)):
        damaged = Steps(ops, None, width=64)
        # An odd one: two tokens' rows go over a cut together, and the earlier sees less.
        damaged.parts[part][700 + 51, 1, 7] = bad
        rows = {place: np.frombuffer(row, np.float32).reshape(2, -1) for place, row in damaged.alone().items()}
        for (request, position), (first, second) in rows.items():
            right = np.frombuffer((whole.results or whole.alone())[request, position], np.float32).reshape(2, -1)
            np.testing.assert_array_equal(first, right[0])
            lost = request == 1 and position >= 51
            assert np.isnan(second).all() if lost else np.array_equal(second, right[1])


def test_attention_without_pages_is_the_same_bits(kept: NativeOps):
    paged = Steps(kept, None)
    alone = paged.alone()
    batch = Batch.packed([[0] * length for length in Steps.LENGTHS])
    y = kept.attend(*paged.parts, paged.sinks, None, batch, KIND, None)
    assert [row.tobytes() for row in y] == list(alone.values())


def test_a_head_alone_is_the_same_bits(kept: NativeOps):
    """Eight query heads that share a key are computed together, and the same as one by one."""
    together = Steps(kept, None, heads=8)
    results = np.stack([np.frombuffer(row, np.float32) for row in together.alone().values()]).reshape(-1, 8, 32)
    q, k, v = together.parts
    batch = Batch.packed([[0] * length for length in Steps.LENGTHS])
    sinks = normal(63, 8)
    for head in range(8):
        one = kept.prepare(sinks[head : head + 1], Role.VECTOR, "sinks")
        key = slice(head // 4, head // 4 + 1)
        y = kept.attend(q[:, head : head + 1], k[:, key], v[:, key], one, None, batch, KIND, None)
        np.testing.assert_array_equal(y, results[:, head])


@pytest.mark.parametrize("width", [32, 64, 128])
def test_a_cache_takes_what_the_memory_plan_counts(width: int):
    for dtype in CacheDtype:
        cache = NativeOps(kv_cache_dtype=dtype).new_cache(64, 16, 2, width)
        assert cache.pages.nbytes == 64 * 2 * 2 * dtype.head_bytes(width)


def test_heads_too_wide_for_8_bits_are_refused():
    ops = NativeOps(kv_cache_dtype=CacheDtype.INT8)
    assert ops.new_cache(16, 16, 1, 256).pages.nbytes == 16 * 2 * (256 + 4)
    with pytest.raises(BackendError, match=r"heads of width 258 can be kept; .* an even width up to 256 are right"):
        ops.new_cache(16, 16, 1, 258)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("positions", [2, 300])
def test_what_is_next_to_nothing_beside_the_largest_is_nothing(isa: str, positions: int):
    """A weight below e^-42 adds nothing, within a cut and from another: subnormal numbers would take a hundred times
    as long, and no value of a model is as large as those here, which show what counts."""
    ops = NativeOps(Precision.EXACT, isa=isa)
    q = np.zeros((positions, 1, 32), np.float32)
    q[:, 0, 0] = 32**0.5
    v = np.ones((positions, 1, 32), np.float32)
    v[0] = 1e20
    sinks = ops.prepare(np.full(1, -np.inf, np.float32), Role.VECTOR, "sinks")
    batch = Batch.packed([[0] * positions])
    for score, counts in ((-40.0, True), (-45.0, False), (-95.0, False)):
        k = np.zeros((positions, 1, 32), np.float32)
        k[0, 0, 0] = score
        last = ops.attend(q, k, v, sinks, None, batch, KIND, None)[-1]
        others = positions - 1
        expected = (others + np.exp(score) * 1e20) / (others + np.exp(score)) if counts else 1.0
        np.testing.assert_allclose(last, expected, rtol=1e-5 if counts else 1e-7)
