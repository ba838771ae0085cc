"""What the library is given of a draw and of low-rank terms, read back from memory."""

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ossia.errors import BackendError
from ossia.ops import LowRank
from ossia.ops.residence import Vector
from ossia.ops.structs import draw_struct, low_rank_struct
from tests.ops.cases import draw, mask_of, normal


def read(address: int | None, count: int, kind: Any) -> list[Any]:
    assert address is not None
    return list((kind * count).from_address(address))


def test_a_draw_s_arrays_are_where_the_struct_says():
    wanted = draw(2, temperature=0.5, mask=mask_of([[1], [40]], 64))
    struct, arrays = draw_struct(wanted, 2)
    assert read(struct.temperature, 2, ctypes.c_float) == [0.5, 0.5]
    assert read(struct.seed, 2, ctypes.c_uint64) == wanted.seed.tolist()
    assert read(struct.mask, 4, ctypes.c_uint32) == [2, 0, 0, 256]
    assert struct.mask_words == 2
    assert len(arrays) == 10


def test_a_draw_of_other_rows_is_refused():
    with pytest.raises(BackendError, match="entries for 3 rows"):
        draw_struct(draw(2), 3)
    with pytest.raises(BackendError, match="masks of 1 rows for 2 rows"):
        draw_struct(draw(2, mask=mask_of([[1]], 64)), 2)
    with pytest.raises(BackendError, match="biases up to 5"):
        draw_struct(replace(draw(1), bias_starts=np.array([0, 5], np.int32)), 1)


def test_low_rank_terms():
    a, b, scale = (Vector(normal(seed, *shape)) for seed, shape in enumerate([(3, 2, 8), (3, 5, 2), (3,)]))
    struct = low_rank_struct(LowRank(a, b, scale))
    assert struct is not None
    assert (struct.a, struct.b, struct.scale) == (a.address, b.address, scale.address)
    assert (struct.adapters, struct.width) == (3, 2)
    assert low_rank_struct(None) is None
