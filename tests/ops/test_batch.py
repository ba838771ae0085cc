"""One step's work as plain arrays."""

import numpy as np
import pytest

from ossia.errors import BackendError
from ossia.ops import Batch
from ossia.ops.batch import check_indices
from tests.ops.cases import KIND, Books


def test_packed_sequences():
    batch = Batch.packed([[5, 6, 7], [8], [9, 10]])
    assert batch.tokens.tolist() == [5, 6, 7, 8, 9, 10]
    assert batch.positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert [batch.rows(request) for request in batch.requests] == [slice(0, 3), slice(3, 4), slice(4, 6)]
    assert batch.logit_rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert {array.dtype for array in (batch.tokens, batch.positions, batch.starts, batch.logit_rows)} == {
        np.dtype(np.int32)
    }


def test_slots_follow_the_pages():
    books = Books.open([9], 4)
    pages = books.table[0]
    expected = [pages[0] * 4 + 3, pages[1] * 4, pages[1] * 4 + 1]
    assert books.step([(0, 0, 9)]).slots(KIND, 0, 3, 6).tolist() == expected


@pytest.mark.parametrize(("window", "expected"), [(None, [1, 1, 1, 0]), (1, [0, 0, 1, 0]), (2, [0, 1, 1, 0])])
def test_a_window_counts_the_token_itself(window: int | None, expected: list[int]):
    visible = Batch.visible(np.array([2]), np.arange(4), window)
    assert visible.astype(int).tolist() == [expected]


def test_a_batch_without_pages_has_none_to_give():
    with pytest.raises(BackendError, match="the batch has no pages; both or neither is right"):
        Batch.packed([[1]]).pages_of(KIND)


def test_the_first_index_outside_is_named():
    check_indices("token", np.array([0, 9]), 10)
    check_indices("token", np.array([], np.int32), 0)
    with pytest.raises(BackendError, match="token 10 is outside; at least 0 and below 10 is right"):
        check_indices("token", np.array([3, 10, -1]), 10)
