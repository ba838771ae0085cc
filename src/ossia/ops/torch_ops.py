"""Every operation in torch: differentiable, on any torch device; what training runs on.

Weights stay as stored and are widened when used, packed experts one at a time, so that a frozen base costs no more
memory than its file. A trained weight is an ordinary float32 tensor in a `Linear` made by the trainer.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from ml_dtypes import bfloat16
from torch.nn import functional

from ossia import int4, int8
from ossia.config import SWIGLU_ALPHA
from ossia.int4 import Int4, Screened
from ossia.int8 import Int8
from ossia.mxfp4 import GRID, Packed, check_scales
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

__all__ = ["PackedTensor", "TorchOps", "swiglu"]

Tensor = torch.Tensor


@dataclass(frozen=True)
class PackedTensor:
    """MXFP4 weights on a device: `ossia.mxfp4.Packed` as two uint8 tensors."""

    blocks: Tensor  # [X, N, C / 32, 16]
    scales: Tensor  # [X, N, C / 32]

    def __getitem__(self, expert: int) -> Tensor:
        """[N, C] float32: one expert's matrix."""
        values = torch.tensor(GRID, device=self.blocks.device)
        blocks = self.blocks[expert].long()
        pairs = torch.stack([values[blocks & 0xF], values[blocks >> 4]], dim=-1).flatten(-2)  # [N, C / 32, 32]
        return torch.ldexp(pairs, self.scales[expert].int()[..., None] - 127).flatten(-2)


@dataclass(frozen=True)
class WholeTensor:
    """A matrix in 8 bits on a device: `ossia.int8.Int8` as whole numbers and scales."""

    numbers: Tensor  # int8 [N, C]
    scales: Tensor  # [N, S]

    def float(self) -> Tensor:
        """[N, C] float32."""
        scales = self.scales.repeat_interleave(int8.SEGMENT, dim=1)[:, : self.numbers.shape[1]]
        return self.numbers.float() * scales


class TorchOps(Scanning):
    """`ossia.ops.Ops` in torch, for tensors on one device."""

    name = "torch"
    stored_dtype = CacheDtype.F32
    batch_invariant = False
    edition = None
    screens = False

    def __init__(
        self,
        precision: Precision = Precision.EXACT,
        device: str = "cpu",
        kv_cache_dtype: CacheDtype | None = None,
    ) -> None:
        self.precision = precision
        self.expert_rounding = ExpertRounding.of(precision)
        self.most_whole_tokens = None
        self.kv_cache_dtype = kv_cache_dtype or CacheDtype.of(precision)
        self.device = torch.device(device)

    def prepare(self, tensor: np.ndarray | Packed | Int8 | Screened, role: Role, name: str) -> Handle:
        check_kind(tensor, self.precision, role, name)
        if isinstance(tensor, Screened):
            tensor = tensor.values
        if isinstance(tensor, Packed):
            check_scales(tensor, name)
            return PackedTensor(self._tensor(tensor.blocks), self._tensor(tensor.scales))
        if isinstance(tensor, Int8):
            return WholeTensor(self._tensor(tensor.numbers), self._tensor(tensor.scales))
        return self._tensor(tensor)

    def round_int8(self, tensor: np.ndarray) -> Int8:
        return int8.encode(tensor)

    def round_int4(self, tensor: Int8) -> Int4:
        return int4.encode(tensor)

    def read_ahead(self, *, experts: bool = True) -> None:
        pass

    def array(self, values: np.ndarray) -> Tensor:
        return self._tensor(values)

    def numpy(self, array: Tensor) -> np.ndarray:
        return array.detach().cpu().numpy()

    def new_cache(self, slots: int, page_size: int, heads: int, width: int) -> Tensor:
        return torch.zeros(2, slots, heads, width, device=self.device)

    def read_page(self, cache: Tensor, page_size: int, page: int) -> np.ndarray:
        return self.numpy(cache[:, page * page_size : (page + 1) * page_size]).ravel().view(np.uint8)

    def write_page(self, cache: Tensor, page_size: int, page: int, content: np.ndarray) -> None:
        slots = cache[:, page * page_size : (page + 1) * page_size]
        slots[:] = self._tensor(content.view(np.float32).reshape(slots.shape))

    def embed(self, table: Tensor, tokens: np.ndarray) -> Tensor:
        check_indices("token", tokens, len(table))
        return functional.embedding(self._tensor(tokens).long(), table).float()

    def rms_norm(self, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * scale.float()

    def linear(self, x: Tensor, projection: Linear, adapters: np.ndarray | None = None) -> Tensor:
        rounded = self._rounded(x)
        if not isinstance(projection.weight, WholeTensor):
            return self._linear(rounded, projection, adapters)
        y = self._linear(_whole(x, float(int8.LARGEST_ACTIVATION)), projection._replace(adapters=None), None)
        return y + self._low_rank(rounded, projection.adapters, adapters)

    def rope(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        cos, sin = cos[:, None], sin[:, None]
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        sinks: Tensor,
        cache: Tensor | None,
        batch: Batch,
        kind: str,
        window: int | None,
    ) -> Tensor:
        k, v = self._cached(k), self._cached(v)
        if cache is not None:
            self._write(cache, k, v, batch, kind)
        seen = []
        for request in batch.requests:
            rows = batch.rows(request)
            positions = batch.positions[rows]
            if not len(positions):
                continue
            if cache is None:
                keys, values, first = k[rows], v[rows], int(positions[0])
            else:
                first = 0 if window is None else max(0, int(positions[0]) - window + 1)
                keys, values = cache[:, batch.slots(kind, request, first, int(positions[-1]) + 1)]
            visible = self._tensor(batch.visible(positions, first + np.arange(len(keys)), window))
            seen.append(attention(q[rows], keys, values, sinks.float(), visible))
        padding = q[batch.starts[-1] :]  # its result is not looked at
        return torch.cat([*seen, padding]).flatten(1)

    def route(self, x: Tensor, router: Linear, active: int) -> tuple[Tensor, Tensor]:
        scores = self._linear(x, router, None)
        chosen = torch.argsort(scores, dim=-1, descending=True, stable=True)[:, :active]
        return chosen.int(), scores.gather(-1, chosen).softmax(-1)

    def experts(
        self,
        x: Tensor,
        chosen: Tensor,
        shares: Tensor,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> Tensor:
        whole = self._tensor(few_chose(self.numpy(chosen), self.expert_rounding.whole_tokens))
        parts = x.new_zeros(*chosen.shape, x.shape[-1])  # [T, A, D]
        for expert in chosen.unique().tolist():
            tokens, places = torch.nonzero(chosen == expert, as_tuple=True)
            of_tokens = None if adapters is None else adapters[tokens.cpu().numpy()]
            own = whole[tokens, places]
            h = self._of_expert(x[tokens], experts.gate_up, expert, own, of_tokens)
            a = swiglu(h, limit)
            parts[tokens, places] = self._of_expert(a, experts.down, expert, own, of_tokens)
        return (shares[..., None] * parts).sum(1)

    def sample(self, x: Tensor, unembedding: Linear, draw: Draw) -> Drawn:
        return sample(self.numpy(self.linear(x, unembedding)), draw)

    def _of_expert(self, x: Tensor, stack: Linear, expert: int, whole: Tensor, adapters: np.ndarray | None) -> Tensor:
        """[T, C] -> [T, N]: one product of one expert, with inputs in whole numbers where `whole` [T] says so."""
        projection, rounded = stack.of_expert(expert), self._rounded(x)
        if self.precision is not Precision.TURBO or not isinstance(stack.weight, PackedTensor):
            return self._linear(rounded, projection, adapters)
        seen = torch.where(whole[:, None], _whole(x, float(int8.LARGEST_ACTIVATION)), rounded)
        y = self._linear(seen, projection._replace(adapters=None), None)
        return y + self._low_rank(rounded, projection.adapters, adapters)

    def _tensor(self, values: np.ndarray) -> Tensor:
        """A tensor over the same memory where the device allows; torch has no read-only tensors and warns of it."""
        stored = values.view(np.int16) if values.dtype == bfloat16 else values
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.from_numpy(np.ascontiguousarray(stored))
        return (tensor.view(torch.bfloat16) if values.dtype == bfloat16 else tensor).to(self.device)

    def _rounded(self, x: Tensor) -> Tensor:
        return x if self.precision is Precision.EXACT else x.to(torch.bfloat16).float()

    def _cached(self, x: Tensor) -> Tensor:
        """[T, K, E] as the cache keeps it, in float32."""
        if self.kv_cache_dtype is CacheDtype.INT8:
            return _whole(x, float(int8.LARGEST_WEIGHT))
        return x if self.kv_cache_dtype is CacheDtype.F32 else x.to(torch.bfloat16).float()

    def _write(self, cache: Tensor, k: Tensor, v: Tensor, batch: Batch, kind: str) -> None:
        slots = self._tensor(batch.pages_of(kind).slots).long()
        kept = slots >= 0
        cache[0, slots[kept]], cache[1, slots[kept]] = k[kept], v[kept]

    def _linear(self, x: Tensor, projection: Linear, adapters: np.ndarray | None) -> Tensor:
        bias = None if projection.bias is None else projection.bias.float()
        y = functional.linear(x, projection.weight.float(), bias)
        return y + self._low_rank(x, projection.adapters, adapters)

    def _low_rank(self, x: Tensor, terms: LowRank | None, adapters: np.ndarray | None) -> Tensor | float:
        """[T, C] -> [T, N]: each token's low-rank term; 0 where there is none."""
        if terms is None or adapters is None:
            return 0.0
        y = x.new_zeros(len(x), terms.b.shape[1])
        for adapter in np.unique(adapters[adapters >= 0]).tolist():
            rows = self._tensor(adapters == adapter)
            y[rows] = terms.scale[adapter] * (x[rows] @ terms.a[adapter].T @ terms.b[adapter].T)
        return y


def _whole(x: Tensor, most: float) -> Tensor:
    """[..., C] -> the same, rounded to whole numbers up to `most` as `ossia.int8` does, a scale for each row.

    The gradient passes as if it were not.
    """
    largest = x.detach().abs().amax(dim=-1, keepdim=True)
    some = largest >= float(int8.SMALLEST)
    # Not `most / largest`, which torch makes a product with the reciprocal.
    factor = torch.where(some, torch.full_like(largest, most) / largest, 0.0)
    scale = torch.where(some, largest / most, largest * 0)  # of infinity and NaN: NaN
    return (x.detach() * factor).round() * scale + (x - x.detach())


def swiglu(h: Tensor, limit: float) -> Tensor:
    """[..., 2F] -> [..., F]: the gated activation, gate and up interleaved."""
    gate, up = h[..., 0::2].clamp(max=limit), h[..., 1::2].clamp(-limit, limit)
    return gate * torch.sigmoid(SWIGLU_ALPHA * gate) * (up + 1)


def attention(q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, visible: Tensor) -> Tensor:
    """[T, H, E], [S, K, E], [S, K, E], [H], [T, S] bool -> [T, H, E]: softmax attention with a sink."""
    tokens, heads, width = q.shape
    grouped = q.reshape(tokens, k.shape[1], -1, width)  # [T, K, H / K, E]
    scores = torch.einsum("tkge,ske->tkgs", grouped, k).reshape(tokens, heads, -1) / width**0.5
    scores = scores.masked_fill(~visible[:, None], -torch.inf)
    sink = sinks[None, :, None].expand(tokens, heads, 1)
    weights = torch.cat([scores, sink], dim=-1).softmax(-1)[..., :-1]
    mixed = torch.einsum("tkgs,ske->tkge", weights.reshape(*grouped.shape[:3], -1), v)
    return mixed.reshape(q.shape)
