"""Draws that read some rows of the unembedding: the tokens that all rows would have given."""

from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia.errors import BackendError
from ossia.ops import Draw, Linear, Precision, Role
from ossia.ops.native import NativeOps
from ossia.ops.screening import FEW, allowed_rows
from tests.ops.cases import draw, mask_of, normal
from tests.ops.steps import instruction_sets

VOCABULARY, WIDTH = 1000, 192


def unembedding(ops: NativeOps, values: np.ndarray, *, rounded: bool = False) -> Linear:
    return Linear(ops.prepare(ops.round_int8(values) if rounded else values, Role.UNEMBEDDING, "lm_head.weight"))


def full(ops: NativeOps, x: np.ndarray, head: Linear, wanted: Draw, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens that come when all rows are read."""
    with monkeypatch.context() as patch:
        patch.setattr(ops, "_wanted", lambda *_: None)
        return ops.sample(x, head, wanted).tokens.tolist()


def biased(tokens: list[list[int]], values: list[list[float]]) -> dict[str, np.ndarray]:
    """Biases of each row."""
    return {
        "bias_starts": np.cumsum([0, *map(len, tokens)], dtype=np.int32),
        "bias_tokens": np.array([token for row in tokens for token in row], np.int32),
        "bias_values": np.array([value for row in values for value in row], np.float32),
    }


# Masks that allow few ----------------------------------------------------------------------------

FILTERS = [{}, {"top_k": 3}, {"top_p": 0.6}, {"min_p": 0.2}, {"top_k": 9, "top_p": 0.9, "min_p": 0.01}]


def test_few_are_those_of_all_rows_together():
    allowed = [[1, 5], [5, 999], []]
    wanted = allowed_rows(draw(3, mask=mask_of(allowed, VOCABULARY)), VOCABULARY)
    assert wanted is not None
    np.testing.assert_array_equal(wanted, mask_of([[1, 5, 999]], VOCABULARY)[0])


def test_what_all_rows_are_read_for():
    few, many = range(VOCABULARY // FEW), range(VOCABULARY // FEW + 1)
    assert allowed_rows(draw(1), VOCABULARY) is None
    assert allowed_rows(draw(1, mask=mask_of([many], VOCABULARY)), VOCABULARY) is None
    assert allowed_rows(draw(1, mask=mask_of([few], VOCABULARY)), VOCABULARY) is not None
    assert allowed_rows(draw(1, mask=mask_of([few], VOCABULARY), logprobs=True), VOCABULARY) is None
    assert allowed_rows(draw(2, mask=mask_of([few, range(VOCABULARY)], VOCABULARY)), VOCABULARY) is None
    assert allowed_rows(draw(1, mask=mask_of([[1]], 40)), VOCABULARY) is None  # too short: the draw refuses it


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("kind", ["exact", "fast", "8 bits"])
@pytest.mark.parametrize("rows", [1, 2, 7, 17])
def test_masked_draws(isa: str, kind: str, rows: int, monkeypatch: pytest.MonkeyPatch):
    """Scattered tokens, neighbours, both ends, one, none; with biases, and each filter."""
    ops = NativeOps(Precision.EXACT if kind == "exact" else Precision.FAST, threads=2, isa=isa)
    head = unembedding(ops, normal(1, VOCABULARY, WIDTH, scale=0.3, dtype=bfloat16), rounded=kind == "8 bits")
    random, x = np.random.default_rng(rows), normal(2, rows, WIDTH)
    sets = [[0, VOCABULARY - 1], range(31, 65), [500], [], random.choice(VOCABULARY, 40, replace=False).tolist()]
    allowed = [list(sets[row % 5]) for row in range(rows)]
    biases = biased([[*row[:2], 77] for row in allowed], [[2.0, -np.inf, 50.0][-len(row[:2]) - 1 :] for row in allowed])
    for filters in FILTERS:
        for temperature in (0.0, 0.7, 3.0):
            for changes in ({}, biases):
                mask = mask_of(allowed, VOCABULARY)
                wanted = draw(rows, temperature=temperature, mask=mask, **filters, **changes)
                assert ops._wanted(x, head, wanted) is not None
                found = ops.sample(x, head, wanted).tokens.tolist()
                assert found == full(ops, x, head, wanted, monkeypatch)
                assert all(token in row or token == -1 for token, row in zip(found, allowed, strict=True))


def test_bits_beyond_the_vocabulary_are_nobody_s():
    ops = NativeOps()
    head = unembedding(ops, normal(1, 1001, WIDTH, dtype=bfloat16))
    mask = mask_of([[3]], 1001)
    mask[0, -1] = -1
    wanted = draw(1, mask=mask)
    assert ops.sample(normal(2, 1, WIDTH), head, wanted).tokens[0] in (3, *range(992, 1001))


@pytest.mark.parametrize("changes", [{"temperature": -1.0}, {"mask": mask_of([[1]], 40)}], ids=str)
def test_draws_that_cannot_be_are_still_refused(changes: dict[str, Any]):
    ops = NativeOps()
    head = unembedding(ops, normal(1, VOCABULARY, WIDTH, dtype=bfloat16))
    with pytest.raises(BackendError, match="sample"):
        ops.sample(normal(2, 1, WIDTH), head, draw(1, **{"mask": mask_of([[1]], VOCABULARY)} | changes))
