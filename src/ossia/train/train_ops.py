"""The seven operations for training a small model from nothing: bfloat16 products, shared prefixes, no caches.

Tokens are sorted by expert, so that each expert is one product over the tokens that chose it.
"""

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ossia.errors import BackendError
from ossia.mxfp4 import decode, encode
from ossia.ops import Batch, Experts, Linear, Precision, Role
from ossia.ops.torch_ops import TorchOps
from ossia.train.elementwise import elementwise
from ossia.train.packing import PrefixedBatch

__all__ = ["TrainOps", "rounded_to_mxfp4"]

# Added to a score that must not count: far below any score, and finite in bfloat16.
_HIDDEN = -1e9
# Documents padded to one length: few, so that little is padded where neighbours are alike.
_SIDE_BY_SIDE = 8


class TrainOps(TorchOps):
    """The torch backend without caches, over trainable float32 tensors, for a `PrefixedBatch`.

    `dtype` is what products are computed in, and what passes between them. With `quantise` the experts are rounded to
    MXFP4 on the way, and the gradient passes as if they were not. With `compiled` the elementwise parts are. `balance`
    collects the balance loss of every layer that ran.
    """

    name = "train"

    def __init__(
        self, dtype: torch.dtype = torch.bfloat16, *, quantise: bool = False, compiled: bool = False
    ) -> None:
        super().__init__(Precision.EXACT if dtype is torch.float32 else Precision.FAST)
        self.dtype, self.quantise = dtype, quantise
        self._elementwise = elementwise(compiled=compiled)
        self.balance: list[Tensor] = []

    def prepare(self, tensor: Any, role: Role, name: str) -> Any:
        """A parameter itself, or what it will be once packed; what comes from a file, as the torch backend takes it."""
        if not isinstance(tensor, Tensor):
            return super().prepare(tensor, role, name)
        return rounded_to_mxfp4(tensor) if self.quantise and role is Role.EXPERTS else tensor

    def numpy(self, array: Tensor) -> np.ndarray:
        """As defined; numpy has no bfloat16."""
        return super().numpy(array.float())

    def rms_norm(self, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        """As defined, rounded to the products' dtype."""
        return self._elementwise.rms_norm(x, scale, eps, self.dtype)

    def rope(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """As defined, rounded to the products' dtype."""
        return self._elementwise.rope(x, cos, sin, self.dtype)

    def linear(self, x: Tensor, projection: Linear, adapters: np.ndarray | None = None) -> Tensor:
        """As defined, but the sum is of the products' dtype, too."""
        _refuse_adapters(adapters)
        bias = None if projection.bias is None else projection.bias.to(self.dtype)
        return F.linear(x.to(self.dtype), projection.weight.to(self.dtype), bias)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, cache: Any, batch: Batch, kind: str, window: int | None
    ) -> Tensor:
        """As defined; a document sees its group's prefix, too."""
        if not isinstance(batch, PrefixedBatch):
            raise BackendError(f"training takes a PrefixedBatch, found {type(batch).__name__}")
        q, k, v = q.to(self.dtype), k.to(self.dtype), v.to(self.dtype)
        seen = []
        for prefix, starts in batch.spans:
            if prefix.stop > prefix.start:
                alone = np.asarray([prefix.start, prefix.stop])
                seen.append(_attend_group(q, k, v, sinks, slice(prefix.start, prefix.start), alone, window))
            for first in range(0, len(starts) - 1, _SIDE_BY_SIDE):
                some = starts[first : first + _SIDE_BY_SIDE + 1]
                seen.append(_attend_group(q, k, v, sinks, prefix, some, window))
        return torch.cat(seen).flatten(1)

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean in nats of the targets [L] by the logits [L, V]."""
        return self._elementwise.cross_entropy(logits, targets)

    def route(self, x: Tensor, router: Linear, active: int) -> tuple[Tensor, Tensor]:
        """As defined; notes the balance loss."""
        scores = F.linear(x.float(), router.weight, router.bias)
        best, chosen = scores.topk(active)
        self.balance.append(_balance(scores, chosen))
        return chosen, best.softmax(-1)

    def experts(
        self,
        x: Tensor,
        chosen: Tensor,
        shares: Tensor,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> Tensor:
        """As defined, expert by expert."""
        _refuse_adapters(adapters)
        order = chosen.flatten().argsort(stable=True)
        counts = np.bincount(chosen.flatten().numpy(), minlength=len(experts.gate_up.weight)).tolist()
        weights, biases = self._gates_first(experts.gate_up)
        rows = cast(Tensor, _Spread.apply(x.to(self.dtype), order, chosen.shape[1]))
        h = torch.cat([F.linear(*part) for part in zip(rows.split(counts), weights, biases, strict=True)])
        a = self._elementwise.swiglu(h, shares.flatten()[order][:, None], limit)
        down = experts.down.weight.to(self.dtype)
        y = torch.cat([F.linear(*part) for part in zip(a.split(counts), down, strict=True)])
        dense = torch.zeros(len(x), len(counts)).scatter(1, chosen, shares)
        return cast(Tensor, _Gather.apply(y, order, chosen.shape[1])) + dense @ cast(Tensor, experts.down.bias)

    def _gates_first(self, projection: Linear) -> tuple[Tensor, Tensor]:
        """[X, 2F, D] and [X, 2F]: the rows of gates, then those of ups, which stand in turns."""
        parts = projection.weight, cast(Tensor, projection.bias)
        weight, bias = (part.to(self.dtype).unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2) for part in parts)
        return weight, bias


class _Spread(torch.autograd.Function):
    """[T, D] -> [T * A, D]: each token once for each expert that it chose, sorted by expert."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, active: int) -> Tensor:
        ctx.order, ctx.active = order, active
        return x[order // active]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _summed(gradients[0], ctx.order, ctx.active), None, None


class _Gather(torch.autograd.Function):
    """[T * A, D], sorted by expert -> [T, D]: the sum over the experts of each token."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, order: Tensor, active: int) -> Tensor:
        ctx.order, ctx.active = order, active
        return _summed(y, order, active)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.order // ctx.active], None, None


def _summed(rows: Tensor, order: Tensor, active: int) -> Tensor:
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    return rows[places].unflatten(0, (-1, active)).sum(1)


def rounded_to_mxfp4(weight: Tensor) -> Tensor:
    """The weight as its packed form would read, with the gradient of the weight itself."""
    packed = torch.from_numpy(decode(encode(weight.detach().numpy())))
    return weight + (packed - weight).detach()


def _refuse_adapters(adapters: np.ndarray | None) -> None:
    if adapters is not None:
        raise BackendError("training from nothing has no adapters; None is right")


def _attend_group(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, prefix: slice, starts: np.ndarray, window: int | None
) -> Tensor:
    """The rows `starts[0]` to `starts[-1]` of documents side by side behind one prefix, padded to the longest.

    A padded place repeats its document's last row: as a key it comes after all queries that count.
    """
    heads, key_heads, width = q.shape[1], k.shape[1], q.shape[2]
    lengths = np.diff(starts)
    longest, before = int(lengths.max()), prefix.stop - prefix.start
    places = np.minimum(np.arange(longest), lengths[:, None] - 1) + starts[:-1, None]
    rows = torch.from_numpy(np.concatenate([np.broadcast_to(np.r_[prefix], (len(lengths), before)), places], axis=1))
    keys = F.pad(k[rows].transpose(1, 2), (0, 0, 0, 1))  # [documents, K, prefix + longest + sink, E]
    values = F.pad(v[rows].transpose(1, 2), (0, 0, 0, 1))
    queries = q[rows[:, before:]].unflatten(2, (key_heads, -1)).permute(0, 2, 3, 1, 4)
    scores = queries.flatten(2, 3) * width**-0.5 @ keys.transpose(-1, -2)
    bias = _bias(sinks.to(q.dtype), before, longest, window).unflatten(0, (key_heads, -1))
    scores = scores.unflatten(2, (-1, longest)).add_(bias)
    mixed = scores.softmax(-1).flatten(2, 3) @ values
    mixed = mixed.unflatten(2, (-1, longest)).permute(0, 3, 1, 2, 4).reshape(len(lengths), longest, heads, width)
    return mixed[torch.from_numpy(np.arange(longest) < lengths[:, None])]


def _bias(sinks: Tensor, before: int, longest: int, window: int | None) -> Tensor:
    """[H, longest, before + longest + 1]: zero for keys that are seen; the sink as the score of a last, empty key."""
    distance = before + torch.arange(longest)[:, None] - torch.arange(before + longest)
    hidden = (distance < 0) | (distance >= (window or before + longest))
    bias = torch.where(hidden, _HIDDEN, 0.0).to(sinks.dtype).expand(len(sinks), -1, -1)
    return torch.cat([bias, sinks[:, None, None].expand(-1, longest, 1)], dim=-1)


def _balance(scores: Tensor, chosen: Tensor) -> Tensor:
    """1 when all experts are used alike, more when few are.

    Source: Fedus et al., Switch Transformers (arXiv 2101.03961), equation 4.
    """
    experts = scores.shape[-1]
    used = F.one_hot(chosen, experts).float().mean((0, 1))
    return experts * (used * scores.softmax(-1).mean(0)).sum()
