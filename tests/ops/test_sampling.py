"""Draws: the definition against itself in plain words, and every backend against the definition."""

from typing import Any

import numpy as np
import pytest

from ossia.ops import Draw, Drawn, Ops, gumbel_noise
from ossia.ops.sampling import sample
from tests.ops.cases import draw, mask_of, normal, reading

SIZES = [1, 2, 17, 300, 8192, 8193, 20000]

CLOSE = 1e-5
"""More than exp, log and a sum may be off by where numbers of the order of ten are compared."""


def scores_of(logits: np.ndarray, wanted: Draw, row: int) -> np.ndarray:
    """[V] float64: what a draw without filters is the largest of."""
    scores = logits[row].astype(np.float64)
    entries = slice(wanted.bias_starts[row], wanted.bias_starts[row + 1])
    for token, value in zip(wanted.bias_tokens[entries], wanted.bias_values[entries], strict=True):
        scores[token] += value
    if wanted.mask is not None:
        for token in range(len(scores)):
            if not wanted.mask[row, token // 32] >> (token % 32) & 1:
                scores[token] = -np.inf
    if wanted.temperature[row] == 0:
        return scores
    noise = gumbel_noise(int(wanted.seed[row]), int(wanted.position[row]), np.arange(len(scores)))
    return scores / wanted.temperature[row] + noise


def drawn(ops: Ops, logits: np.ndarray, wanted: Draw) -> Drawn:
    return ops.sample(*reading(ops, logits), wanted)


def check_best(tokens: np.ndarray, logits: np.ndarray, wanted: Draw) -> None:
    for row, token in enumerate(tokens):
        scores = scores_of(logits, wanted, row)
        assert scores[token] >= scores.max() - CLOSE * max(1, abs(scores.max())), f"row {row}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 5.0])
def test_draws_without_filters(ops: Ops, size: int, temperature: float):
    logits, wanted = normal(50, 6, size, scale=3.0), draw(6, temperature=temperature)
    result = drawn(ops, logits, wanted)
    assert result.tokens.dtype == np.int32
    assert result.logprobs is None
    check_best(result.tokens, logits, wanted)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rows_differ_in_what_they_want(ops: Ops, temperature: float):
    """Greedy and warm rows, with and without filters and biases, side by side: each as if alone."""
    logits, rows = normal(51, 4, 500, scale=2.0), 4
    wanted = draw(
        rows,
        temperature=np.array([temperature, 0.7, 0, 2.0], np.float32),
        top_k=np.array([0, 3, 0, 40], np.int32),
        top_p=np.array([1, 1, 1, 0.5], np.float32),
        bias_starts=np.array([0, 0, 2, 2, 3], np.int32),
        bias_tokens=np.array([9, 11, 7], np.int32),
        bias_values=np.array([50.0, 49.0, -np.inf], np.float32),
    )
    together = drawn(ops, logits, wanted).tokens
    for row in range(rows):
        entries = slice(wanted.bias_starts[row], wanted.bias_starts[row + 1])
        alone = draw(
            1,
            temperature=wanted.temperature[row],
            top_k=wanted.top_k[row],
            top_p=wanted.top_p[row],
            seed=wanted.seed[row : row + 1],
            position=wanted.position[row : row + 1],
            bias_starts=np.array([0, entries.stop - entries.start], np.int32),
            bias_tokens=wanted.bias_tokens[entries],
            bias_values=wanted.bias_values[entries],
        )
        assert drawn(ops, logits[row : row + 1], alone).tokens[0] == together[row]
    assert together[1] in (9, 11)


def test_equal_logits_give_the_lower_token(ops: Ops):
    logits = np.zeros((3, 9000), np.float32)
    logits[1, [8999, 8500, 70]] = 1
    logits[2, [8999, 8500]] = 1
    np.testing.assert_array_equal(drawn(ops, logits, draw(3)).tokens, [0, 70, 8500])


@pytest.mark.parametrize("size", [40, 300, 9000])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_masks(ops: Ops, size: int, temperature: float):
    logits = normal(52, 4, size)
    allowed = [[size - 1], [3, 17, 31, 32, 33], range(0, size, 7), range(size)]
    wanted = draw(4, temperature=temperature, mask=mask_of(allowed, size))
    tokens = drawn(ops, logits, wanted).tokens
    assert all(token in of_row for token, of_row in zip(tokens, allowed, strict=True))
    check_best(tokens, logits, wanted)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("top_k", [0, 2])
def test_a_row_without_any_token_gives_none(ops: Ops, temperature: float, top_k: int):
    wanted = draw(2, temperature=temperature, top_k=top_k, mask=mask_of([[], [5]], 40), logprobs=True)
    result = drawn(ops, normal(53, 2, 40), wanted)
    assert result.tokens.tolist() == [-1, 5]
    assert result.logprobs is not None
    assert result.logprobs[0] == -np.inf
    assert np.isfinite(result.logprobs[1])


def test_biases_add_up_and_forbid(ops: Ops):
    logits = np.zeros((1, 100), np.float32)
    wanted = draw(
        1,
        bias_starts=np.array([0, 5], np.int32),
        bias_tokens=np.array([3, 99, 3, 50, 50], np.int32),
        bias_values=np.array([1.0, 1.5, 1.0, 9.0, -np.inf], np.float32),
    )
    assert drawn(ops, logits, wanted).tokens[0] == 3


FILTERS = [
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 100000},
    {"top_p": 0.0},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"top_p": 0.999},
    {"min_p": 0.2},
    {"min_p": 1.0},
    {"top_k": 20, "top_p": 0.8},
    {"top_k": 50, "top_p": 0.9, "min_p": 0.05},
]


def kept_by(scores: np.ndarray, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> np.ndarray:
    """The tokens that filters leave of scores [V], in the plainest words and in float64."""
    order = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    order = order[: top_k or len(order)]
    weights = np.exp(scores[order].astype(np.float64) - scores[order[0]])
    kept, total = [], 0.0
    for token, weight in zip(order, weights, strict=True):
        if kept and total >= top_p * weights.sum():
            break
        total += weight
        if weight >= min_p:
            kept.append(token)
    return np.array(kept)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("size", [300, 9000])
@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_filters(ops: Ops, filters: dict[str, Any], size: int, spread: float):
    """Only tokens that are kept are drawn, each as if the others had never been; in many draws all of a few appear."""
    logits = np.repeat(normal(54, 1, size, scale=spread), 200, axis=0)
    wanted = draw(200, temperature=0.8, **filters)
    kept = kept_by(logits[0] / np.float32(0.8), **filters)
    tokens = drawn(ops, logits, wanted).tokens
    assert set(tokens.tolist()) <= set(kept.tolist())
    for row, token in enumerate(tokens):
        scores = scores_of(logits, wanted, row)
        assert scores[token] >= scores[kept].max() - CLOSE
    if len(kept) <= 5:
        assert set(tokens.tolist()) == set(kept.tolist())


@pytest.mark.parametrize("filters", [{"top_k": 3}, {"top_p": 0.5}], ids=str)
def test_filters_break_ties_by_token(ops: Ops, filters: dict[str, Any]):
    """Six equal tokens, far from each other: the first three are three and are half."""
    logits = np.full((100, 20000), -1000.0, np.float32)
    logits[:, [19999, 3, 8191, 8192, 17000, 40]] = 2.0
    tokens = drawn(ops, logits, draw(100, temperature=1.0, **filters)).tokens
    assert set(tokens.tolist()) == {3, 40, 8191}


def test_many_draws_follow_the_distribution(ops: Ops):
    """Chi-squared over 20 tokens: beyond 60 once in five hundred thousand seeds."""
    logits = normal(55, 1, 20)
    count = 4000
    wanted = draw(count, temperature=1.0, position=np.arange(count, dtype=np.int64), seed=np.full(count, 7, np.uint64))
    tokens = drawn(ops, np.repeat(logits, count, axis=0), wanted).tokens
    expected = np.exp(logits[0].astype(np.float64))
    expected *= count / expected.sum()
    assert np.sum((np.bincount(tokens, minlength=20) - expected) ** 2 / expected) < 60


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("top", [0, 1, 5, 9000])
def test_logprobs_are_of_the_unmodified_distribution(ops: Ops, size: int, top: int):
    top = min(top, size)
    logits = normal(56, 3, size, scale=3.0)
    wanted = draw(
        3, temperature=2.0, top_k=4, mask=mask_of([range(0, size, 2)] * 3, size), logprobs=True, top_logprobs=top
    )
    result = drawn(ops, logits, wanted)
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True) + np.log(np.exp(exact - exact.max(axis=1, keepdims=True)).sum(1))[:, None]
    assert result.logprobs is not None
    assert result.top_tokens is not None
    assert result.top_values is not None
    np.testing.assert_allclose(result.logprobs, exact[range(3), result.tokens], atol=CLOSE)
    assert result.top_tokens.shape == result.top_values.shape == (3, top)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(result.top_tokens, order)
    np.testing.assert_allclose(result.top_values, np.take_along_axis(exact, order, axis=1), atol=CLOSE)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("filters", [{}, {"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.1}], ids=str)
def test_logits_that_are_no_numbers(ops: Ops, temperature: float, filters: dict[str, Any]):
    logits = normal(57, 5, 50)
    logits[0] = np.nan
    logits[1, ::2] = np.nan
    logits[2, 31] = np.inf
    logits[3] = -np.inf
    logits[4] = np.inf
    wanted = draw(1, temperature=temperature, logprobs=True, top_logprobs=3, **filters)
    results = [drawn(ops, row[None], wanted) for row in logits]
    tokens = [int(result.tokens[0]) for result in results]
    assert tokens[0] == tokens[3] == -1
    assert tokens[1] % 2 == 1
    assert tokens[2] == 31
    assert 0 <= tokens[4] < 50
    for result in results:
        assert result.top_tokens is not None
        assert np.all((result.top_tokens >= 0) & (result.top_tokens < 50))
        assert result.logprobs is not None
        assert not np.any(np.isnan(result.logprobs))


def test_no_rows(ops: Ops):
    result = drawn(ops, np.zeros((0, 30), np.float32), draw(0, logprobs=True, top_logprobs=2))
    assert result.tokens.shape == (0,)


def test_noise_is_gumbels():
    """Mean and variance of 100,000 draws against Euler's constant and pi^2 / 6, at five standard errors."""
    noise = gumbel_noise(3, 9, np.arange(100_000)).astype(np.float64)
    assert abs(noise.mean() - np.euler_gamma) < 5 * np.sqrt(np.pi**2 / 6 / 1e5)
    assert abs(noise.var() - np.pi**2 / 6) < 5 * np.sqrt((22.27 - 2.7) / 1e5)


def test_noise_depends_on_seed_position_and_token_alone():
    tokens = np.arange(50)
    noise = gumbel_noise(1, 2, tokens)
    np.testing.assert_array_equal(noise[7:9], gumbel_noise(1, 2, np.array([7, 8])))
    for other in (gumbel_noise(2, 2, tokens), gumbel_noise(1, 3, tokens), gumbel_noise(2**64 - 1, -1, tokens)):
        assert not np.any(noise == other)


def test_the_definition_needs_no_backend():
    logits = normal(58, 2, 30)
    assert sample(logits, draw(2)).tokens.tolist() == logits.argmax(axis=1).tolist()
