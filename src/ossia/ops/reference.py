"""The definition of every operation in numpy: slow, obvious, and what the other backends are held to.

Weights are widened to float32 at load (experts when used), so this backend is for small models.
"""

from dataclasses import dataclass

import numpy as np
from ml_dtypes import bfloat16

from ossia import int4, int8
from ossia.config import SWIGLU_ALPHA
from ossia.int4 import Int4, Screened
from ossia.int8 import Int8
from ossia.mxfp4 import Packed, check_scales, decode
from ossia.ops.batch import Batch, check_indices
from ossia.ops.protocol import (
    CacheDtype,
    ExpertRounding,
    Experts,
    Handle,
    Linear,
    LowRank,
    Precision,
    Role,
    check_kind,
    few_chose,
)
from ossia.ops.sampling import Draw, Drawn, sample
from ossia.ops.scanning import Scanning

__all__ = ["ReferenceOps"]


@dataclass(frozen=True)
class _Stack:
    """The matrices of a layer's experts, widened one at a time."""

    values: np.ndarray | Packed

    def __getitem__(self, expert: int) -> np.ndarray:
        """[N, C] float32: one expert's matrix."""
        if isinstance(self.values, Packed):
            return decode(Packed(self.values.blocks[expert], self.values.scales[expert]))
        return self.values[expert].astype(np.float32)


@dataclass(frozen=True)
class _Whole:
    """A matrix in 8 bits: whole numbers, and the scale of each segment of a row."""

    numbers: np.ndarray  # [N, C] int8
    scales: np.ndarray  # [N, S] float32

    def products(self, x: np.ndarray) -> np.ndarray:
        """[T, C] -> [T, N]: sums of whole numbers, exact in float64, added times their scales in float32, in order."""
        numbers, scale = int8.round_activations(x)
        y = np.zeros((len(x), len(self.numbers)), np.float32)
        for segment in range(self.scales.shape[1]):
            part = slice(segment * int8.SEGMENT, (segment + 1) * int8.SEGMENT)
            sums = numbers[:, part].astype(np.float64) @ self.numbers[:, part].astype(np.float64).T
            y += sums.astype(np.float32) * self.scales[:, segment]
        return y * scale[:, None]


# Numbers too large for float32 become infinite and then NaN, as in the other backends, where numpy would warn too.
_as_the_others = np.errstate(over="ignore", invalid="ignore")


class ReferenceOps(Scanning):
    """`ossia.ops.Ops` in numpy."""

    name = "reference"
    stored_dtype = CacheDtype.F32
    # BLAS adds in another order for one row than for many.
    batch_invariant = False
    edition = None
    screens = False

    def __init__(self, precision: Precision = Precision.EXACT, kv_cache_dtype: CacheDtype | None = None) -> None:
        self.precision = precision
        self.expert_rounding = ExpertRounding.of(precision)
        self.most_whole_tokens = None
        self.kv_cache_dtype = kv_cache_dtype or CacheDtype.of(precision)

    def prepare(self, tensor: np.ndarray | Packed | Int8 | Screened, role: Role, name: str) -> Handle:
        check_kind(tensor, self.precision, role, name)
        if isinstance(tensor, Screened):
            tensor = tensor.values
        if isinstance(tensor, Packed):
            check_scales(tensor, name)
        if isinstance(tensor, Int8):
            return _Whole(tensor.numbers, tensor.scales)
        return _Stack(tensor) if role is Role.EXPERTS else np.asarray(tensor, np.float32)

    def round_int8(self, tensor: np.ndarray) -> Int8:
        return int8.encode(tensor)

    def round_int4(self, tensor: Int8) -> Int4:
        return int4.encode(tensor)

    def read_ahead(self, *, experts: bool = True) -> None:
        pass

    def array(self, values: np.ndarray) -> np.ndarray:
        return values

    def numpy(self, array: np.ndarray) -> np.ndarray:
        return array

    def new_cache(self, slots: int, page_size: int, heads: int, width: int) -> np.ndarray:
        return np.zeros((2, slots, heads, width), np.float32)

    def read_page(self, cache: np.ndarray, page_size: int, page: int) -> np.ndarray:
        return cache[:, page * page_size : (page + 1) * page_size].ravel().view(np.uint8)

    def write_page(self, cache: np.ndarray, page_size: int, page: int, content: np.ndarray) -> None:
        slots = cache[:, page * page_size : (page + 1) * page_size]
        slots[:] = content.view(np.float32).reshape(slots.shape)

    def embed(self, table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        check_indices("token", tokens, len(table))
        return table[tokens]

    @_as_the_others
    def rms_norm(self, x: np.ndarray, scale: np.ndarray, eps: float) -> np.ndarray:
        mean = np.mean(np.square(x), axis=-1, keepdims=True, dtype=np.float32)
        return x / np.sqrt(mean + np.float32(eps)) * scale

    @_as_the_others
    def linear(self, x: np.ndarray, projection: Linear, adapters: np.ndarray | None = None) -> np.ndarray:
        if isinstance(projection.weight, _Whole):
            y = projection.weight.products(x) + (0.0 if projection.bias is None else projection.bias)
            return y + _low_rank(self._rounded(x), projection.adapters, adapters)
        return _linear(self._rounded(x), projection, adapters)

    @_as_the_others
    def rope(self, x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        first, second = np.split(x, 2, axis=-1)
        cos, sin = cos[:, None], sin[:, None]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    @_as_the_others
    def attend(
        self,
        q: np.ndarray,
        k: np.ndarray,
        v: np.ndarray,
        sinks: np.ndarray,
        cache: np.ndarray | None,
        batch: Batch,
        kind: str,
        window: int | None,
    ) -> np.ndarray:
        k, v = self._cached(k), self._cached(v)
        if cache is not None:
            _write(cache, k, v, batch.pages_of(kind).slots)
        seen = np.zeros_like(q)
        for request in batch.requests:
            rows = batch.rows(request)
            positions = batch.positions[rows]
            if not len(positions):
                continue
            if cache is None:
                keys, values, first = k[rows], v[rows], int(positions[0])
            else:
                first = 0 if window is None else max(0, int(positions[0]) - window + 1)
                slots = batch.slots(kind, request, first, int(positions[-1]) + 1)
                keys, values = cache[:, slots]
            visible = batch.visible(positions, first + np.arange(len(keys)), window)
            seen[rows] = _softmax_attention(q[rows], keys, values, sinks, visible)
        return seen.reshape(len(q), q.shape[1] * q.shape[2])

    @_as_the_others
    def route(self, x: np.ndarray, router: Linear, active: int) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(invalid="ignore"):  # of activations that are infinite; some experts are named all the same
            scores = _linear(x, router, None)
            chosen = np.argsort(-scores, axis=-1, kind="stable")[:, :active].astype(np.int32)
            best = np.take_along_axis(scores, chosen, axis=-1)
            shares = np.exp(best - scores.max(axis=-1, keepdims=True))  # of which NaN is the largest
        return chosen, shares / shares.sum(axis=-1, keepdims=True)

    @_as_the_others
    def experts(
        self,
        x: np.ndarray,
        chosen: np.ndarray,
        shares: np.ndarray,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> np.ndarray:
        few = few_chose(chosen, self.expert_rounding.whole_tokens)
        parts = np.zeros((*chosen.shape, x.shape[-1]), np.float32)  # [T, A, D]
        for expert in np.unique(chosen):
            tokens, places = np.nonzero(chosen == expert)
            of_tokens = None if adapters is None else adapters[tokens]
            whole = few[tokens, places]
            h = self._of_expert(x[tokens], experts.gate_up, expert, whole, of_tokens)
            a = swiglu(h, limit)
            parts[tokens, places] = self._of_expert(a, experts.down, expert, whole, of_tokens)
        return np.einsum("ta,tad->td", shares, parts)

    @_as_the_others
    def sample(self, x: np.ndarray, unembedding: Linear, draw: Draw) -> Drawn:
        return sample(self.linear(x, unembedding), draw)

    def _of_expert(
        self, x: np.ndarray, stack: Linear, expert: int, whole: np.ndarray, adapters: np.ndarray | None
    ) -> np.ndarray:
        """[T, C] -> [T, N]: one product of one expert, with inputs in whole numbers where `whole` [T] says so."""
        projection, rounded = stack.of_expert(expert), self._rounded(x)
        if self.precision is not Precision.TURBO or not isinstance(stack.weight.values, Packed):
            return _linear(rounded, projection, adapters)
        numbers, scale = int8.round_activations(x)
        seen = np.where(whole[:, None], numbers * scale[:, None], rounded)
        y = _linear(seen, projection._replace(adapters=None), None)
        return y + _low_rank(rounded, projection.adapters, adapters)

    def _rounded(self, x: np.ndarray) -> np.ndarray:
        """At `fast` and `turbo`, to the nearest bfloat16, ties to even."""
        return x if self.precision is Precision.EXACT else _to_bfloat16(x)

    def _cached(self, x: np.ndarray) -> np.ndarray:
        """[T, K, E] as the cache keeps it, in float32."""
        if self.kv_cache_dtype is CacheDtype.INT8:
            return int8.round_heads(x)
        return x if self.kv_cache_dtype is CacheDtype.F32 else _to_bfloat16(x)


def _to_bfloat16(x: np.ndarray) -> np.ndarray:
    return x.astype(bfloat16).astype(np.float32)


def swiglu(h: np.ndarray, limit: float) -> np.ndarray:
    """[..., 2F] -> [..., F]: the gated activation, gate and up interleaved."""
    gate = np.minimum(h[..., 0::2], np.float32(limit))
    up = np.clip(h[..., 1::2], np.float32(-limit), np.float32(limit))
    with np.errstate(over="ignore"):  # exp of a large negative gate: the sigmoid is then 0, as it should be
        return gate / (1 + np.exp(np.float32(-SWIGLU_ALPHA) * gate)) * (up + 1)


def _linear(x: np.ndarray, projection: Linear, adapters: np.ndarray | None) -> np.ndarray:
    y = x @ projection.weight.T + (0.0 if projection.bias is None else projection.bias)
    return y + _low_rank(x, projection.adapters, adapters)


def _low_rank(x: np.ndarray, terms: LowRank | None, adapters: np.ndarray | None) -> np.ndarray | float:
    """[T, C] -> [T, N]: each token's low-rank term; 0 where there is none."""
    if terms is None or adapters is None:
        return 0.0
    y = np.zeros((len(x), terms.b.shape[1]), np.float32)
    for adapter in np.unique(adapters[adapters >= 0]):
        rows = adapters == adapter
        y[rows] = terms.scale[adapter] * (x[rows] @ terms.a[adapter].T @ terms.b[adapter].T)
    return y


def _write(cache: np.ndarray, k: np.ndarray, v: np.ndarray, slots: np.ndarray) -> None:
    kept = slots >= 0
    cache[0, slots[kept]], cache[1, slots[kept]] = k[kept], v[kept]


def _softmax_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, sinks: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """[T, H, E], [S, K, E], [S, K, E], [H], [T, S] -> [T, H, E]."""
    tokens, heads, width = q.shape
    grouped = q.reshape(tokens, k.shape[1], -1, width)  # [T, K, H / K, E]
    scores = np.einsum("tkge,ske->tkgs", grouped, k).reshape(tokens, heads, -1) / np.float32(np.sqrt(width))
    scores = np.where(visible[:, None], scores, -np.inf)
    sink = np.broadcast_to(sinks[None, :, None], (tokens, heads, 1))
    scores = np.concatenate([scores, sink], axis=-1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights[..., :-1] / weights.sum(axis=-1, keepdims=True)
    mixed = np.einsum("tkgs,ske->tkge", weights.reshape(*grouped.shape[:3], -1), v)
    return mixed.reshape(q.shape)
