"""What the native backend keeps between calls."""

import numpy as np
import pytest

from ossia.errors import BackendError
from ossia.mxfp4 import encode
from ossia.ops import Batch, library
from ossia.ops.residence import PACKED_PAGE, Cache, Vector, Weight, packed_step, paged_step
from tests.ops.cases import KIND, Books, weight


def test_a_matrix_and_a_stack():
    for tensor, shape in ((weight(0, 5, 7), (1, 5, 7)), (weight(0, 3, 5, 7), (3, 5, 7))):
        kept = Weight(tensor)
        assert (kept.experts, kept.rows, kept.columns) == shape
        assert kept.dtype == library.BF16


def test_packed_weights_keep_their_scales():
    packed = encode(np.ones((3, 5, 64), np.float32))
    kept = Weight(packed)
    assert (kept.experts, kept.rows, kept.columns, kept.dtype) == (3, 5, 64, library.MXFP4)
    assert kept.scales is not None
    assert np.shares_memory(kept.scales, packed.scales)


def test_a_struct_is_made_once_for_a_bias():
    kept, bias = Weight(weight(0, 5, 7)), Vector(np.zeros(5))
    assert kept.with_bias(bias) == kept.with_bias(bias)
    assert kept.with_bias(bias) == kept.with_bias(bias)
    with pytest.raises(BackendError, match="a bias of 4 values for 1 x 5 rows"):
        kept.with_bias(Vector(np.zeros(4)))


def test_a_cache_is_zero_and_aligned():
    assert len(Cache(0, 16, 2, 8, library.F32).pages) == 0
    for pages in (1, 7):
        cache = Cache(pages, 16, 2, 8, library.F32)
        assert len(cache.pages) == pages
        assert cache.pages.ctypes.data % 64 == 0
        assert not cache.pages.any()


def test_packed_sequences_get_pages_one_after_another():
    lengths = [PACKED_PAGE, 1, 2 * PACKED_PAGE + 1]
    step, cache = packed_step(Batch.packed([[0] * length for length in lengths]), 1, 2, library.F32)
    _, _, slots, table = step.arrays
    assert len(cache.pages) == 5
    np.testing.assert_array_equal(table, [[0, -1, -1], [1, -1, -1], [2, 3, 4]])
    np.testing.assert_array_equal(slots[[0, 64, 65, -1]], [0, 64, 128, 256])


def test_padding_of_packed_sequences_is_written_nowhere():
    whole = Batch.packed([[0, 0], [0]])
    batch = Batch(whole.tokens, whole.positions, np.array([0, 2], np.int32), whole.logit_rows)
    step, _ = packed_step(batch, 1, 2, library.F32)
    np.testing.assert_array_equal(step.arrays[2], [0, 1, -1])


def test_arrays_of_a_step_are_used_where_they_lie():
    batch = Books.open([10], 4).step([(0, 0, 10)])
    step = paged_step(batch, KIND)
    assert step.arrays[0] is batch.positions
    assert (step.struct.tokens, step.struct.requests, step.struct.pages_per_request) == (10, 1, 3)
