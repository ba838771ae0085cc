"""How a token is drawn from logits: the definition that every backend's `sample` follows.

A draw is the largest of (logit + bias) / temperature + noise over the tokens that the mask and the filters leave, where
the noise is Gumbel's, computed from (seed, position, token) alone. So a draw does not depend on what else is in the
batch, and can be made again. Temperature 0 means the largest of logit + bias, the lowest token among equals.

A logit that is NaN counts as -inf, which is never drawn, and +inf as the largest float: whatever a broken model says, a
draw is a token that is allowed, or -1 where there is none.

Source: Gumbel-max, e.g. Maddison et al., A* Sampling (arXiv 1411.0030); the counter generator is SplitMix64, Steele et
al., Fast Splittable Pseudorandom Number Generators (OOPSLA 2014).
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Draw", "Drawn", "gumbel_noise", "sample"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# The largest float32 below one: v = 1 would have infinite noise.
_LARGEST = np.float32(1 - 2**-24)

_FLOAT_MAX = np.finfo(np.float32).max


@dataclass(frozen=True)
class Draw:
    """What is wanted of each row of logits.

    Filters apply to the distribution after bias, mask and temperature, in this order: the `top_k` largest (among equals
    the lower tokens; 0: all), then the fewest tokens whose probability reaches `top_p`, then those with at
    least `min_p` of the largest probability. At temperature 0 the filters have nothing to do.

    The log-probabilities that come back are those of the unmodified logits: no temperature, bias, mask or filter.
    """

    temperature: np.ndarray  # [L] float32, 0: greedy
    top_k: np.ndarray  # [L] int32, 0: off
    top_p: np.ndarray  # [L] float32, 1: off
    min_p: np.ndarray  # [L] float32, 0: off
    seed: np.ndarray  # [L] uint64
    position: np.ndarray  # [L] int64, of the token drawn, in its request
    bias_starts: np.ndarray  # [L + 1] int32: row l's entries of the two arrays below
    bias_tokens: np.ndarray  # [biases] int32
    bias_values: np.ndarray  # [biases] float32, added to the logits; -inf forbids a token
    mask: np.ndarray | None = None  # [L, ceil(V / 32)] int32, bit v % 32 of word v / 32 set: token v is allowed
    logprobs: bool = False  # whether any row wants log-probabilities
    top_logprobs: int = 0  # how many alternatives to return for each row


@dataclass(frozen=True)
class Drawn:
    """The tokens drawn. A row whose mask or bias leaves no token at all gives token -1."""

    tokens: np.ndarray  # [L] int32
    logprobs: np.ndarray | None  # [L] float32
    top_tokens: np.ndarray | None  # [L, top_logprobs] int32, best first
    top_values: np.ndarray | None  # [L, top_logprobs] float32


def _mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's output function, on uint64 with wrap-around."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def gumbel_noise(seed: int, position: int, tokens: np.ndarray) -> np.ndarray:
    """[n] tokens -> [n] float32: the noise of these tokens at this position.

    The high 32 bits h of a hash of (seed, position, token) give v = (h + 1/2) / 2^32, rounded to float32 and kept below
    one; the noise is -log(-log1p(-v)). Writing it with log1p keeps full relative precision where the noise is largest.
    """
    with np.errstate(over="ignore"):
        key = _mix(np.uint64(seed) + _GOLDEN * _mix(np.array(position, np.int64).astype(np.uint64)))
        bits = _mix(key + _GOLDEN * tokens.astype(np.uint64)) >> np.uint64(32)
    v = np.minimum(((bits.astype(np.float64) + 0.5) * 2.0**-32).astype(np.float32), _LARGEST)
    return -np.log(-np.log1p(-v))


def sample(logits: np.ndarray, draw: Draw) -> Drawn:
    """[L, V] float32 -> the tokens drawn: the definition, row by row in numpy."""
    tokens = np.array([_draw_row(row, draw, index) for index, row in enumerate(logits)], np.int32)
    if not draw.logprobs:
        return Drawn(tokens, None, None, None)
    logits = _finite(logits)
    normal = _log_softmax(logits)
    chosen = np.where(tokens >= 0, np.take_along_axis(normal, np.maximum(tokens, 0)[:, None], axis=1)[:, 0], -np.inf)
    order = np.argsort(-logits, axis=1, kind="stable")[:, : draw.top_logprobs].astype(np.int32)
    return Drawn(tokens, chosen.astype(np.float32), order, np.take_along_axis(normal, order, axis=1))


def _finite(logits: np.ndarray) -> np.ndarray:
    """The same with -inf for NaN, and the largest float for what is more."""
    return np.minimum(np.where(np.isnan(logits), np.float32(-np.inf), logits), _FLOAT_MAX)


def _log_softmax(rows: np.ndarray) -> np.ndarray:
    """[L, V]: log-probabilities; all -inf in a row without any finite number."""
    largest = np.maximum(rows.max(axis=1, keepdims=True), -_FLOAT_MAX)
    weight = np.exp(rows - largest).sum(axis=1, keepdims=True)
    return rows - (largest + np.log(np.where(weight > 0, weight, 1)))


def _draw_row(row: np.ndarray, draw: Draw, index: int) -> int:
    """The token drawn from one row, or -1 if none is allowed."""
    scores = _allowed_scores(row, draw, index)
    temperature = draw.temperature[index]
    if np.all(scores == -np.inf):
        return -1
    if temperature == 0:
        return int(np.argmax(scores))
    with np.errstate(over="ignore"):
        scores = np.minimum(scores / temperature, _FLOAT_MAX)
    kept = _filtered(scores, draw, index)
    ids = np.arange(len(row))
    noise = gumbel_noise(int(draw.seed[index]), int(draw.position[index]), ids)
    return int(np.argmax(kept + noise))


def _allowed_scores(row: np.ndarray, draw: Draw, index: int) -> np.ndarray:
    """[V]: the logits with bias, and -inf where the mask forbids."""
    scores = row.astype(np.float32)
    entries = slice(int(draw.bias_starts[index]), int(draw.bias_starts[index + 1]))
    np.add.at(scores, draw.bias_tokens[entries], draw.bias_values[entries])
    scores = _finite(scores)
    if draw.mask is not None:
        bits = np.unpackbits(draw.mask[index].view(np.uint8), bitorder="little")[: len(row)]
        scores[bits == 0] = -np.inf
    return scores


def _filtered(scores: np.ndarray, draw: Draw, index: int) -> np.ndarray:
    """[V]: the scores, -inf where top-k, top-p or min-p leave a token out."""
    order = np.argsort(-scores, kind="stable")  # best first, equals by token
    if draw.top_k[index] > 0:
        order = order[: draw.top_k[index]]
    weights = np.exp(scores[order] - scores[order[0]])
    total = np.cumsum(weights, dtype=np.float64)
    enough = np.concatenate([[True], total[:-1] < draw.top_p[index] * total[-1]])
    enough |= draw.top_p[index] >= 1
    enough &= weights >= draw.min_p[index]
    kept = np.full_like(scores, -np.inf)
    kept[order[enough]] = scores[order[enough]]
    return kept
