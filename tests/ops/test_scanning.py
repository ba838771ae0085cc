"""Bytes looked at: sums of rows and bytes that are found, the same from every backend."""

import numpy as np
import pytest

from ossia.ops import Ops, make_ops


@pytest.fixture(params=["reference", "native", "torch"])
def ops(request: pytest.FixtureRequest) -> Ops:
    return make_ops(request.param)


def test_sums_of_rows(ops: Ops):
    random = np.random.default_rng(0)
    matrices = [random.integers(0, 256, (rows, width), np.uint8) for rows, width in ((3, 8), (0, 16), (40, 4096))]
    expected = [sum(row.view(np.uint64).tolist()) % 2**64 for matrix in matrices for row in matrix]
    found = ops.row_sums(matrices)
    assert found.dtype == np.uint64
    assert found.tolist() == expected
    assert len(ops.row_sums([])) == 0


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 6), None])
def test_the_first_with_a_byte(ops: Ops, place: tuple[int, int, int] | None):
    arrays = [np.full((2, 3), 254, np.uint8), np.zeros((1, 5, 7), np.uint8), np.full(9, 255, np.uint8)]
    if place is not None:
        arrays[place[0]].reshape(-1, arrays[place[0]].shape[-1])[place[1:]] = 255
    assert ops.first_with(arrays, 255) == (2 if place is None else place[0])
    assert ops.first_with(arrays[:1], 7) is None
    assert ops.first_with([], 0) is None
