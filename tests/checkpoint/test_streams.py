import itertools

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import Spec
from ossia.checkpoint.streams import Streamed, each_once, pieces, to_bfloat16
from ossia.errors import TensorError
from ossia.mxfp4 import Packed

SPECS = {"a": Spec((2,), "bfloat16"), "b": Spec((3,), "bfloat16")}
A, B = np.zeros(2, np.float32), np.zeros(3, np.float32)


def test_each_tensor_comes_once_in_any_order():
    assert [name for name, _ in each_once([("b", B), ("a", A)], SPECS)] == ["b", "a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("a", A), ("c", A)], "c is unknown to this config"),
        ([("a", A), ("a", A)], "a comes twice"),
        ([("a", A)], "b and 0 more missing"),
        ([("a", B)], r"a is float32 \[3\]"),
    ],
)
def test_others_are_refused(given: list[tuple[str, np.ndarray]], message: str):
    with pytest.raises(TensorError, match=message):
        list(each_once(given, SPECS))


@pytest.mark.parametrize("shape", [(5,), (1000, 70_000), (3, 3000, 2000), (1, 1)])
def test_pieces_cover_a_tensor_in_order_without_copies(shape: tuple[int, ...]):
    tensor = np.zeros(shape, np.int16)
    cut = list(pieces(tensor))
    assert [row for row, _ in cut] == [0, *itertools.accumulate(piece.shape[0] for _, piece in cut)][:-1]
    assert sum(piece.shape[0] for _, piece in cut) == shape[0]
    for _, piece in cut:
        assert isinstance(piece, np.ndarray)
        assert np.shares_memory(piece, tensor)
        assert len(piece) == 1 or piece.nbytes <= 16 << 20


def test_packed_tensors_are_cut_alike():
    packed = Packed(np.zeros((4, 2, 16), np.uint8), np.zeros((4, 2), np.uint8))
    assert [(row, piece.shape) for row, piece in pieces(packed)] == [(0, (4, 64))]


def test_streamed_tensors_say_where_their_pieces_start():
    streamed = Streamed((5,), "bfloat16", lambda: iter([A, B]))
    assert [row for row, _ in pieces(streamed)] == [0, 2]


def test_rounding_to_bfloat16_is_to_nearest_even_and_only_if_allowed():
    exact = np.array([1.0, -0.0, 2.0**-130, np.inf], np.float32)
    np.testing.assert_array_equal(to_bfloat16(exact, "a", lossy=False).astype(np.float32), exact)
    # 1 + 2^-8 lies half way between 1 and 1 + 2^-7; 1 + 3 * 2^-8 half way between 1 + 2^-7 and 1 + 2^-6.
    halves = np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32)
    np.testing.assert_array_equal(to_bfloat16(halves, "a", lossy=True).astype(np.float32), [1, 1 + 2**-6])
    with pytest.raises(TensorError, match="a has float32 values that bfloat16 cannot hold"):
        to_bfloat16(halves, "a", lossy=False)
    kept = np.zeros(3, ml_dtypes.bfloat16)
    assert to_bfloat16(kept, "a", lossy=False) is kept
