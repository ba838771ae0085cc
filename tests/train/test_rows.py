import numpy as np
import pytest

from ossia.errors import OssiaError
from ossia.train.packing import UNLEARNED, Document, Group, pack
from ossia.train.rows import NO_TEXT, aligned


def document(*tokens: int) -> Document:
    return Document(tokens, [True] * len(tokens))


FIRST = pack([Group([1, 2], [document(3, 4, 5), document(6, 7)]), Group([], [document(8, 9)])])
SECOND = pack([Group([1], [document(2, 3)])], multiple=8)


def test_a_token_names_its_text_and_its_prefix():
    rows = aligned([FIRST, SECOND], 12)
    assert rows.tokens[0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0]
    assert rows.positions[0].tolist() == [0, 1, 2, 3, 4, 2, 3, 0, 1, 0, 0, 0]
    assert rows.texts[0].tolist() == [0, 0, 1, 1, 1, 2, 2, 4, 4, *[NO_TEXT] * 3]
    assert rows.prefixes[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 3, 3, *[NO_TEXT] * 3]
    assert rows.texts[1].tolist() == [0, 1, 1, *[NO_TEXT] * 9]


def test_a_target_stands_where_it_is_predicted():
    rows = aligned([FIRST, SECOND], 12)
    predicted = [(row, at, rows.targets[row, at]) for row, at in np.argwhere(rows.targets != UNLEARNED).tolist()]
    assert predicted == [(0, 2, 4), (0, 3, 5), (0, 5, 7), (0, 7, 9), (1, 1, 3)]


def test_a_row_that_is_too_long_is_cut():
    rows = aligned([FIRST], 6)
    assert rows.tokens.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert rows.targets[0].tolist() == [UNLEARNED, UNLEARNED, 4, 5, UNLEARNED, 7]


def test_rows_without_anything_to_learn_are_refused():
    with pytest.raises(OssiaError, match="no row of 2 tokens holds one that is learned"):
        aligned([FIRST], 2)
