"""What the reference backend says of itself; its numbers are judged in the conformance suite."""

import numpy as np

from ossia.mxfp4 import decode, encode
from ossia.ops import Linear, Precision, Role
from ossia.ops.reference import ReferenceOps, swiglu
from tests.ops import judges
from tests.ops.cases import normal


def test_experts_are_widened_one_at_a_time():
    packed = encode(normal(0, 3, 4, 32))
    kept = ReferenceOps().prepare(packed, Role.EXPERTS, "experts")
    np.testing.assert_array_equal(kept[1], decode(packed)[1])


def test_rounding_is_to_even():
    ops = ReferenceOps(Precision.FAST)
    halves = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8], np.float32)
    np.testing.assert_array_equal(ops._rounded(halves), [1, 1 + 2**-6, -1])
    np.testing.assert_array_equal(ReferenceOps()._rounded(halves), halves)


def test_weights_too_large_for_float32_warn_no_more_than_in_other_backends():
    ops, huge = ReferenceOps(), np.full((4, 32), 1e38, np.float32)
    assert not np.isfinite(ops.linear(huge, Linear(ops.prepare(huge, Role.LINEAR, "w")))).any()
    ops.rms_norm(huge, huge[0], 1e-5)


def test_swiglu():
    h = normal(1, 50, scale=10.0)
    exact = judges.swiglu(h.astype(np.float64), 7.0)
    np.testing.assert_allclose(swiglu(h, 7.0), exact, rtol=1e-5, atol=1e-30)
