"""Draws that read some rows of the unembedding: the tokens that all rows would have given."""

from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ossia import int4
from ossia.errors import BackendError, TensorError
from ossia.int4 import Screened
from ossia.int8 import encode
from ossia.ops import Draw, Linear, Ops, Precision, Role, make_ops
from ossia.ops.native import NativeOps
from ossia.ops.sampling import sample
from ossia.ops.screening import FEW, MOST_BY_4_BITS, allowed_rows, takes_the_best
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
@pytest.mark.parametrize("rows", [1, 7])
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


# A screen ----------------------------------------------------------------------------------------


def screened(ops: Ops, values: np.ndarray) -> Linear:
    """An unembedding as a precision has it: as stored with a copy in 8 bits, or in 8 bits with a copy in 4."""
    whole = encode(values)
    both = Screened(values, whole) if ops.precision is Precision.EXACT else Screened(whole, int4.encode(whole))
    return Linear(ops.prepare(both, Role.UNEMBEDDING, "lm_head.weight"))


def survivors(ops: NativeOps, x: np.ndarray, head: Linear, wanted: Draw) -> np.ndarray:
    """[V] bool: the tokens that any row may draw, however many they are."""
    bits = ops._reaching(x, head.weight, head.weight.screen, wanted)
    return np.unpackbits(bits.view(np.uint8), bitorder="little")[: head.weight.rows].astype(bool)


def check(ops: NativeOps, x: np.ndarray, head: Linear, wanted: Draw, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The draw is that of all rows, and its tokens are among those that may come, which are returned."""
    expected = full(ops, x, head, wanted, monkeypatch)
    assert ops.sample(x, head, wanted).tokens.tolist() == expected
    found = survivors(ops, x, head, wanted)
    assert all(found[token] for token in expected if token >= 0)
    return found


@pytest.fixture(
    params=[(isa, each) for isa in instruction_sets() for each in (Precision.EXACT, Precision.FAST)], ids=str
)
def ops(request: pytest.FixtureRequest) -> NativeOps:
    isa, precision = request.param
    return NativeOps(precision, threads=2, isa=isa)


@pytest.fixture(params=instruction_sets())
def native(request: pytest.FixtureRequest) -> NativeOps:
    return NativeOps(threads=2, isa=request.param)


@pytest.mark.parametrize("dtype", [bfloat16, np.float32])
@pytest.mark.parametrize(("size", "width"), [(8193, 65), (4000, 300), (3000, 2880)])
def test_screened_draws(ops: NativeOps, size: int, width: int, dtype: Any, monkeypatch: pytest.MonkeyPatch):
    """Random rows and wishes; most rows of the unembedding are ruled out, and what is drawn is what all would give."""
    random = np.random.default_rng(size)
    head = screened(ops, normal(3, size, width, scale=3 * width**-0.5, dtype=dtype))
    for rows in (1, 3):
        for temperature in (0.0, 0.5, 1.0):
            tokens = [random.choice(size, 5, replace=False).tolist() for _ in range(rows)]
            values = random.choice([-np.inf, -2.0, 0.5, 3.0, 9.0], (rows, 5)).tolist()
            mask = mask_of([random.choice(size, size // 2, replace=False).tolist() for _ in range(rows)], size)
            for changes in ({}, biased(tokens, values), {"mask": mask}, {"mask": mask, **biased(tokens, values)}):
                seeds = random.integers(0, 2**63, rows).astype(np.uint64)
                wanted = draw(rows, temperature=temperature, seed=seeds, **changes)
                found = check(ops, normal(size, rows, width), head, wanted, monkeypatch)
                assert found.sum() < size // FEW


def test_a_screened_draw_is_the_definition_s():
    """The definition over the same logits, for a few hundred draws."""
    ops = NativeOps()
    head = screened(ops, normal(4, 4000, WIDTH, scale=3 * WIDTH**-0.5, dtype=bfloat16))
    x, wanted = normal(5, 300, WIDTH), draw(300, temperature=1.0)
    with_logits = sample(ops.linear(x, head), wanted)
    for row in range(300):
        one = draw(1, temperature=1.0, seed=wanted.seed[row : row + 1], position=wanted.position[row : row + 1])
        assert ops.sample(x[row : row + 1], head, one).tokens[0] == with_logits.tokens[row]


def test_the_copy_can_be_off_by_nearly_the_bound(native: NativeOps, monkeypatch: pytest.MonkeyPatch):
    """Row 7 is the largest, and all its weights are rounded down; row 9 is less, and the copy says otherwise."""
    values = np.zeros((2000, 64), bfloat16)
    values[:, 0] = 127  # so that the scale is 1
    values[7, 1:] = 20.5
    values[9, 1:] = [19.5] * 33 + [21.5] * 30  # to 20 and 22
    head, x = screened(native, values), np.ones((1, 64), np.float32)
    logits, copied = native.linear(x, head)[0], native.linear(x, Linear(head.weight.screen.copy))[0]
    assert logits.argmax() == 7
    assert copied.argmax() == 9
    assert copied[9] - copied[7] > 59
    found = check(native, x, head, draw(1), monkeypatch)
    assert np.flatnonzero(found).tolist() == [7, 9]


def test_near_ties(ops: NativeOps, monkeypatch: pytest.MonkeyPatch):
    """Rows that differ by a bit of one weight, and equal ones, of which the lowest comes."""
    values = normal(6, 3000, 320, dtype=bfloat16)
    x = normal(7, 1, 320)
    best = int(ops.linear(x, screened(ops, values)).argmax())
    values[[2, 40, 2999]] = values[best]
    bits = values.view(np.uint16)
    bits[range(100, 164), range(64)] = bits[best, :64] ^ 1
    bits[100:164, 64:] = bits[best, 64:]
    head = screened(ops, values)
    for temperature in (0.0, 1e-3, 1.0):
        found = check(ops, x, head, draw(1, temperature=temperature), monkeypatch)
        assert temperature > 0 or found[[2, 40, 2999]].all()


def test_equal_rows_are_all_read(ops: NativeOps, monkeypatch: pytest.MonkeyPatch):
    head = screened(ops, np.ones((1000, 64), bfloat16))
    wanted = draw(1)
    assert check(ops, np.ones((1, 64), np.float32), head, wanted, monkeypatch).all()
    assert ops._wanted(np.ones((1, 64), np.float32), head, wanted) is None
    assert ops.sample(np.ones((1, 64), np.float32), head, wanted).tokens.tolist() == [0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e32, 1e20, 1e-35, 1e-40, 0.0])
@pytest.mark.parametrize("temperature", [0.0, 0.8, 50.0])
def test_rows_of_any_size(ops: NativeOps, value: float, temperature: float, monkeypatch: pytest.MonkeyPatch):
    """Weights, single ones and whole rows, that are no numbers, or so large or small that products are none."""
    values, x = normal(8, 2000, 130).astype(np.float32), normal(9, 2, 130)
    values[1500, 7] = values[3, :] = value
    values[4, ::2], values[4, 1::2] = value, -np.float32(value)  # whose products, where they are infinite, give NaN
    head = screened(ops, values)
    for changes in (
        {},
        {"mask": mask_of([[3, *range(10, 1900)]] * 2, 2000)},
        biased([[3, 4], [3]], [[-5.0, 2.0], [1]]),
    ):
        check(ops, x, head, draw(2, temperature=temperature, **changes), monkeypatch)
    every = np.full((300, 130), value, np.float32)
    check(ops, x, screened(ops, every), draw(2, temperature=temperature), monkeypatch)


@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-35, 1e-20, 1e20, 3e38, np.inf, np.nan])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_inputs_of_any_size(ops: NativeOps, scale: float, temperature: float, monkeypatch: pytest.MonkeyPatch):
    head = screened(ops, normal(8, 2000, 130, dtype=bfloat16))
    x = np.sign(normal(9, 2, 130)) * np.float32(scale)
    for inputs in (x, np.where(np.arange(130) == 5, x, normal(10, 2, 130)).astype(np.float32)):
        check(ops, inputs, head, draw(2, temperature=temperature), monkeypatch)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_biases_of_any_size(ops: NativeOps, temperature: float, monkeypatch: pytest.MonkeyPatch):
    head, x = screened(ops, normal(8, 2000, 130, dtype=bfloat16)), normal(9, 1, 130)
    best = int(ops.linear(x, head).argmax())
    infinite, largest = np.inf, float(np.finfo(np.float32).max)
    for values in (
        [-infinite],
        [infinite],
        [largest],
        [-largest],
        [infinite, -infinite],
        [largest, largest, -infinite],
    ):
        for token in (best, 11):
            wanted = draw(1, temperature=temperature, **biased([[token] * len(values)], [values]))
            check(ops, x, head, wanted, monkeypatch)
    forbidden = biased([list(range(2000))], [[-infinite] * 2000])
    assert not check(ops, x, head, draw(1, temperature=temperature, **forbidden), monkeypatch).any()
    assert ops.sample(x, head, draw(1, temperature=temperature, **forbidden)).tokens.tolist() == [-1]


def test_nothing_allowed_and_all_rows_in_one_draw(ops: NativeOps, monkeypatch: pytest.MonkeyPatch):
    head, x = screened(ops, normal(8, 2000, 130, dtype=bfloat16)), normal(9, 3, 130)
    wanted = draw(3, temperature=1.0, mask=mask_of([[], range(2000), [1999]], 2000))
    check(ops, x, head, wanted, monkeypatch)
    assert ops.sample(x, head, wanted).tokens[[0, 2]].tolist() == [-1, 1999]
    assert len(ops.sample(x[:0], head, draw(0)).tokens) == 0


def test_what_is_no_single_best_reads_all_rows():
    plain = draw(2, temperature=1.0)
    assert takes_the_best(plain)
    assert not takes_the_best(draw(2, temperature=1.0, top_k=np.array([0, 3], np.int32)))
    assert not takes_the_best(draw(2, temperature=1.0, top_p=0.9))
    assert not takes_the_best(draw(2, temperature=1.0, min_p=0.1))
    assert not takes_the_best(draw(2, logprobs=True))
    assert takes_the_best(draw(2, temperature=0.0, top_k=4, top_p=0.5))


@pytest.mark.parametrize("changes", [{"logprobs": True, "top_logprobs": 3}, {"top_p": 0.5}, {"top_k": 5}], ids=str)
def test_with_filters_and_logprobs_a_screen_changes_nothing(changes: dict[str, Any]):
    ops, values, x = NativeOps(), normal(8, 2000, 130, dtype=bfloat16), normal(9, 2, 130)
    wanted = draw(2, temperature=1.0, **changes)
    with_screen, without = (ops.sample(x, head, wanted) for head in (screened(ops, values), unembedding(ops, values)))
    for one, other in zip(vars(with_screen).values(), vars(without).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_unembedding_with_a_bias_is_read_whole():
    ops = NativeOps()
    head = screened(ops, normal(8, 2000, 130, dtype=bfloat16))
    head = head._replace(bias=ops.prepare(normal(1, 2000), Role.VECTOR, "bias"))
    assert ops._wanted(normal(9, 1, 130), head, draw(1)) is None


def test_norms_are_of_the_scales(native: NativeOps):
    values = normal(8, 37, 130)
    values[5, 70] = np.inf
    scales = encode(values).scales.astype(np.float64)
    norms = screened(native, values).weight.screen.norms
    exact = np.sqrt(np.square(scales) @ np.array([64, 64, 2]))
    assert np.isnan(norms[5])
    kept = np.arange(37) != 5
    assert np.all(norms[kept] >= exact[kept])
    np.testing.assert_allclose(norms[kept], exact[kept], rtol=2e-6)


def test_rounding_to_4_bits_is_the_definition_s(ops: NativeOps):
    values = normal(5, 37, 130)
    values[3], values[5, 7], values[6] = 0, np.nan, values[6] * np.float32(1e-36)
    values[7] *= np.float32(1e25)
    whole = ops.round_int8(values)
    found, wanted = ops.round_int4(whole), int4.encode(whole)
    np.testing.assert_array_equal(found.panels, wanted.panels)


def test_more_rows_than_pay_are_read_whole():
    ops = NativeOps(Precision.FAST)
    head = screened(ops, normal(8, 2000, 130, dtype=bfloat16))
    assert ops._wanted(normal(9, MOST_BY_4_BITS, 130), head, draw(MOST_BY_4_BITS)) is not None
    assert ops._wanted(normal(9, MOST_BY_4_BITS + 1, 130), head, draw(MOST_BY_4_BITS + 1)) is None


def test_a_copy_of_another_shape():
    with pytest.raises(TensorError, match=r"a copy \[8, 64\] of \[8, 65\]"):
        Screened(normal(1, 8, 65), encode(normal(1, 8, 64)))


@pytest.mark.parametrize("backend", ["native", "reference", pytest.param("torch", marks=pytest.mark.torch)])
def test_every_backend_takes_an_unembedding_with_a_copy(backend: str):
    values, x = normal(8, 50, 64, dtype=bfloat16), normal(9, 2, 64)
    ops, wanted = make_ops(backend), draw(2)
    plain = Linear(ops.prepare(values, Role.UNEMBEDDING, "lm_head.weight"))
    found = [ops.sample(ops.array(x), head, wanted).tokens.tolist() for head in (plain, screened(ops, values))]
    assert found[0] == found[1]
    for other, role in ((make_ops(backend), Role.LINEAR), (make_ops(backend, "fast"), Role.UNEMBEDDING)):
        with pytest.raises(BackendError, match=r"w: a matrix with a copy beside it"):
            other.prepare(Screened(values, encode(values)), role, "w")


def test_draws_that_cannot_be_are_refused_by_a_screen():
    ops = NativeOps()
    head = screened(ops, normal(8, 2000, 130, dtype=bfloat16))
    for changes in ({"temperature": -1.0}, biased([[2000]], [[1.0]])):
        with pytest.raises(BackendError, match="sample"):
            ops.sample(normal(9, 1, 130), head, draw(1, **changes))
