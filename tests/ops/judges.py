"""Every operation once more, in float64 and in the plainest words, with the error that float32 may make of it.

Each judge gives the exact value of what the inputs (rounded where a precision rounds) define, and a bound for each
element: a sum of n products whose terms are at most s in all is off by at most n u s, whatever the order of additions
(Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), u = 2^-24 being half a unit in the last place.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ml_dtypes import bfloat16

from ossia.ops import CacheDtype, Precision

U = 2.0**-24
FUNCTION = 8 * U
"""What one exp, sigmoid, square root or division may be off by, relatively: four units in the last place."""

LEAST_GATE = -400.0
"""Below it the sigmoid is under 1e-295, and its exp beyond float64: SwiGLU is 0 whatever the gate."""

LEAST_WEIGHT = np.exp(-42.0)
"""What the native backend's attention takes for nothing beside the largest weight, which is one."""


class Judged(NamedTuple):
    value: np.ndarray  # float64
    bound: np.ndarray  # float64, how far from it a result may be

    def check(self, result: np.ndarray) -> None:
        assert result.dtype == np.float32
        assert result.shape == self.value.shape
        worst = np.max(np.abs(result - self.value) / np.maximum(self.bound, 1e-37), initial=0.0)
        assert worst <= 1, f"off by {worst:.3g} times the bound"


def rounded(x: np.ndarray, precision: Precision) -> np.ndarray:
    """What an operation sees of its input, as float64."""
    return (x if precision is Precision.EXACT else x.astype(bfloat16)).astype(np.float64)


def whole(x: Judged) -> Judged:
    """[C] as multiples of its largest magnitude over 16256."""
    return _multiples(x, 16256, roundings=3)


def coarse(x: Judged, columns: int = 32) -> Judged:
    """The same, and then each so many columns as multiples of their largest magnitude over 127."""
    x = whole(x)
    starts = range(0, len(x.value), columns)
    parts = [_multiples(Judged(*(each[at : at + columns] for each in x)), 127, roundings=4) for at in starts]
    return Judged(*map(np.concatenate, zip(*parts, strict=True)))


def _multiples(x: Judged, most: int, *, roundings: int) -> Judged:
    """Of the largest magnitude over `most`.

    The scale is as far off as the largest magnitude is, and by the roundings that make it. A number so near the middle
    between two that an error reaches there may be the other one.
    """
    largest = np.abs(x.value).max()
    if largest < 2.0**-100:
        return Judged(np.zeros_like(x.value), x.bound)
    step, off = largest / most, x.bound.max() / largest + roundings * U
    unsure = x.bound + np.abs(x.value) * off
    flips = np.rint((x.value - unsure) / step) != np.rint((x.value + unsure) / step)
    value = np.rint(x.value / step) * step
    return Judged(value, np.abs(value) * off + np.where(flips, 1.01 * (step + unsure), 0.0))


def cached(x: np.ndarray, dtype: CacheDtype) -> tuple[np.ndarray, np.ndarray]:
    """[S, K, E] as a cache keeps it, and the scale of each head, [S, K, 1]: what stored whole numbers count in."""
    largest = np.abs(x).max(axis=-1, keepdims=True).astype(np.float32)
    scale = largest / np.float32(127)
    if dtype is not CacheDtype.INT8:
        return (x.astype(bfloat16) if dtype is CacheDtype.BF16 else x).astype(np.float64), scale.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.where(largest >= 2.0**-100, np.rint(x * (np.float32(127) / largest)), 0)
    return whole.astype(np.float64) * scale, scale.astype(np.float64)


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Judged:
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    bias = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    count = weight.shape[-1] + 2
    return Judged(x @ weight.T + bias, count * U * (np.abs(x) @ np.abs(weight).T + np.abs(bias)))


def low_rank(x: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float) -> Judged:
    x, a, b = (array.astype(np.float64) for array in (x, a, b))
    count = a.shape[-1] + b.shape[-1] + 2
    return Judged(scale * (x @ a.T @ b.T), count * U * abs(scale) * (np.abs(x) @ np.abs(a).T @ np.abs(b).T))


def rms_norm(x: np.ndarray, scale: np.ndarray, eps: float) -> Judged:
    x, scale = x.astype(np.float64), scale.astype(np.float64)
    value = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * scale
    # The mean's relative error counts half under the root; then a root, a division and a product.
    return Judged(value, np.abs(value) * ((x.shape[-1] / 2 + 4) * U + FUNCTION))


def rope(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> Judged:
    first, second = np.split(x.astype(np.float64), 2, axis=-1)
    cos, sin = cos.astype(np.float64)[:, None], sin.astype(np.float64)[:, None]
    value = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    size = np.concatenate([abs(first * cos) + abs(second * sin), abs(second * cos) + abs(first * sin)], axis=-1)
    return Judged(value, 3 * U * size)


def attend_one(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    sink: float,
    *,
    query: float = 0.0,
    weight: float = 0.0,
    least: float = 0.0,
) -> Judged:
    """[E], [S, E], [S, E] -> [E]: one head of one token, over the keys that it sees.

    `query` and `weight` are how far a query's numbers and the weights may be from what they are, relatively; weights
    below `least` of the largest may be none at all.
    """
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    root = np.sqrt(len(q))
    scores = np.append(k @ q / root, sink)
    weights = np.exp(scores - scores.max())
    weights = weights[:-1] / weights.sum()
    # A score is a sum of E products, then scaled, and the largest is taken away from it; a weight moves by that much,
    # as does the sum of weights below the fraction.
    size = (np.abs(k) @ np.abs(q)).max() / root
    score_error = ((len(q) + 4) * U + query) * size + 2 * U * np.abs(scores).max()
    relative = np.expm1(min(2 * score_error, 700.0)) + weight + 2 * FUNCTION + 2 * (len(k) + 4) * U
    return Judged(weights @ v, relative * (weights @ np.abs(v)) + least * np.abs(v).sum(axis=0))


def attend_whole(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, sink: float, scales: np.ndarray, positions: np.ndarray
) -> Judged:
    """`attend_one` where products are of whole numbers: [S, 1] are the values' scales, [S] the keys' positions.

    A query, and the weights times scales of the values in each 64 positions, are rounded to multiples of their largest
    magnitude over 16256, and each is off by half of one at most.
    """
    exact = attend_one(q, k, v, sink, least=LEAST_WEIGHT)
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    root = np.sqrt(len(q))
    scores = np.append(k @ q / root, sink)
    weights = np.exp(scores - scores.max())
    weights = weights[:-1, None] / weights.sum()
    moved = np.abs(q).max() / 32512 * np.abs(k).sum(axis=1).max() / root
    bound = exact.bound + np.expm1(2 * moved) * (weights * np.abs(v)).sum(axis=0)
    whole = np.abs(v) / np.where(scales > 0, scales, 1)
    for block in np.unique(positions // 64):
        one = positions // 64 == block
        # The weights that are rounded are themselves off, as far as the scores are.
        bound = bound + np.exp(2 * moved) * (weights * scales)[one].max() / 32512 * whole[one].sum(axis=0)
    return Judged(exact.value, bound)


def swiglu(h: np.ndarray, limit: float) -> np.ndarray:
    gate, up = np.clip(h[..., 0::2], LEAST_GATE, limit), np.clip(h[..., 1::2], -limit, limit)
    return gate / (1 + np.exp(-1.702 * gate)) * (up + 1)


def swiglu_error(h: Judged, limit: float) -> np.ndarray:
    """How far SwiGLU may be off when its inputs are: |d(g sigmoid(1.702 g))/dg| <= 1.1, and |g sigmoid| <= |g|."""
    gate, up = np.clip(h.value[..., 0::2], LEAST_GATE, limit), np.clip(h.value[..., 1::2], -limit, limit)
    through_gate = 1.1 * h.bound[..., 0::2] * np.abs(up + 1) + np.abs(gate) * h.bound[..., 1::2]
    # The argument of exp is rounded too: its error of 2 u |1.702 g| counts as a relative one.
    own = (2 * FUNCTION + 4 * U * np.abs(gate)) * np.abs(gate) * np.abs(up + 1) / (1 + np.exp(-1.702 * gate))
    return through_gate + own + 2 * U * np.abs(gate)


def expert(
    x: np.ndarray,
    gate_up: tuple[np.ndarray, np.ndarray],
    down: tuple[np.ndarray, np.ndarray],
    limit: float,
    precision: Precision,
    low_rank_of: tuple[Judged, np.ndarray, np.ndarray, float] | None = None,
    *,
    in_whole: Callable[[Judged], Judged] | None = None,
) -> Judged:
    """[D] -> [D]: one expert's output for one token; `low_rank_of` is (term of h, a, b, scale of down).

    `in_whole`, `whole` or `coarse`, is how the inputs of both products are rounded, but not those of low-rank terms.
    """
    h = linear(rounded(x, precision), *gate_up)
    if in_whole:
        seen = in_whole(Judged(x.astype(np.float64), np.zeros(len(x))))
        h = linear(seen.value, *gate_up)
        h = Judged(h.value, h.bound + seen.bound @ np.abs(gate_up[0].astype(np.float64)).T)
    if low_rank_of is not None:
        h = Judged(h.value + low_rank_of[0].value, h.bound + low_rank_of[0].bound + U * np.abs(h.value))
    exact, error = swiglu(h.value, limit), swiglu_error(h, limit)
    a = rounded(exact.astype(np.float32), precision)
    seen = in_whole(Judged(exact, error)) if in_whole else None
    if precision is not Precision.EXACT:
        # Near the middle between two bfloat16 a tiny error flips the rounding: then it is off by a whole step of 2^-7.
        flips = rounded((exact - error).astype(np.float32), precision) != rounded(
            (exact + error).astype(np.float32), precision
        )
        error = np.where(flips, 2.0**-7 * np.abs(exact) + error, 0.0)
    seen = seen or Judged(a, error)
    y = linear(seen.value, *down)
    y = Judged(y.value, y.bound + seen.bound @ np.abs(down[0].astype(np.float64)).T)
    if low_rank_of is None:
        return y
    term = low_rank(a, *low_rank_of[1:])
    _, a_term, b_term, scale = low_rank_of
    moved = low_rank(error, np.abs(a_term), np.abs(b_term), abs(scale)).value
    return Judged(y.value + term.value, y.bound + term.bound + moved + U * np.abs(y.value))
