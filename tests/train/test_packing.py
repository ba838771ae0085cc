import numpy as np
import pytest

from ossia.errors import OssiaError
from ossia.train.packing import UNLEARNED, Document, Group, pack


def document(*tokens: int, learned: str) -> Document:
    return Document(tokens, [mark == "x" for mark in learned])


def test_positions_go_on_where_the_prefix_ends():
    batch = pack([Group([1, 2, 3], [document(4, 5, learned="xx"), document(6, learned="x")]), Group([7], [])])
    assert batch.tokens.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 3, 0]
    assert batch.starts.tolist() == [0, 3, 5, 6, 7]
    assert batch.groups.tolist() == [0, 3, 4]


def test_a_row_with_a_learned_token_after_it_is_wanted():
    batch = pack([Group([9], [document(1, 2, 3, learned=".x."), document(4, 5, 6, learned="..x")])])
    assert batch.logit_rows.tolist() == [1, 5]
    assert batch.targets.tolist() == [2, 6]


def test_a_document_does_not_learn_its_first_token():
    # The row before it belongs to the prefix, or to another document.
    batch = pack([Group([], [document(1, 2, learned="xx"), document(3, 4, learned="xx")])])
    assert batch.targets.tolist() == [2, 4]


def test_spans_are_a_prefix_and_the_borders_of_documents():
    batch = pack([Group([1, 2], [document(3, learned="."), document(4, 5, learned="..")])] * 2)
    (prefix, starts), (other, others) = batch.spans
    assert (prefix, starts.tolist()) == (slice(0, 2), [2, 3, 5])
    assert (other, others.tolist()) == (slice(5, 7), [7, 8, 10])


@pytest.mark.parametrize(("tokens", "learned"), [((), ()), ((1, 2), (True,))])
def test_a_document_needs_as_many_marks_as_tokens(tokens: tuple[int, ...], learned: tuple[bool, ...]):
    with pytest.raises(OssiaError, match=f"{len(tokens)} tokens and {len(learned)} marks"):
        Document(tokens, learned)


def test_arrays_are_what_backends_expect():
    batch = pack([Group([1], [document(2, 3, learned="xx")])])
    arrays = (batch.tokens, batch.positions, batch.starts, batch.logit_rows, batch.groups, batch.targets)
    assert {array.dtype for array in arrays} == {np.dtype(np.int32)}


def test_filling_up_adds_rows_that_nothing_learns_from():
    groups = [Group([1, 2, 3], [Document([4, 5, 6], [False, True, True])])]
    plain, filled = pack(groups), pack(groups, multiple=8)
    assert len(filled.tokens) == len(filled.positions) == len(filled.targets) == len(filled.logit_rows) == 8
    assert filled.tokens[:6].tolist() == plain.tokens.tolist()
    assert filled.starts.tolist() == plain.starts.tolist()
    assert filled.targets.tolist() == [5, 6] + 6 * [UNLEARNED]
