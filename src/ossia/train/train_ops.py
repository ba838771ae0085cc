"""The seven operations for training a small model from nothing: bfloat16 products, every expert, shared prefixes.

Computing all experts and weighting the unchosen ones with zero costs twice the arithmetic of the chosen four of eight,
and is still faster on a CPU than sorting tokens by expert.
"""

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ossia.config import SWIGLU_ALPHA
from ossia.errors import BackendError
from ossia.mxfp4 import decode, encode
from ossia.ops import Batch, Experts, Linear, Precision, Role
from ossia.ops.torch_ops import TorchOps
from ossia.train.packing import PrefixedBatch

__all__ = ["TrainOps", "rounded_to_mxfp4"]

# Added to a score that must not count: far below any score, and finite in bfloat16.
_HIDDEN = -1e9
# Documents padded to one length: few, so that little is padded where neighbours are alike.
_SIDE_BY_SIDE = 8


class TrainOps(TorchOps):
    """The torch backend without caches, over trainable float32 tensors, for a `PrefixedBatch`.

    `dtype` is what products are computed in. With `quantise` the experts are rounded to MXFP4 on the way, and the
    gradient passes as if they were not. `balance` collects the balance loss of every layer that ran.
    """

    name = "train"

    def __init__(self, dtype: torch.dtype = torch.bfloat16, *, quantise: bool = False) -> None:
        super().__init__(Precision.EXACT if dtype is torch.float32 else Precision.FAST)
        self.dtype, self.quantise = dtype, quantise
        self.balance: list[Tensor] = []

    def prepare(self, tensor: Any, role: Role, name: str) -> Any:
        """A parameter itself, or what it will be once packed; what comes from a file, as the torch backend takes it."""
        if not isinstance(tensor, Tensor):
            return super().prepare(tensor, role, name)
        return rounded_to_mxfp4(tensor) if self.quantise and role is Role.EXPERTS else tensor

    def linear(self, x: Tensor, projection: Linear, adapters: np.ndarray | None = None) -> Tensor:
        """As defined, but the sum is of the products' dtype, too."""
        _refuse_adapters(adapters)
        bias = None if projection.bias is None else projection.bias.to(self.dtype)
        return F.linear(x.to(self.dtype), projection.weight.to(self.dtype), bias).float()

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
        return torch.cat(seen).flatten(1).float()

    def route(self, x: Tensor, router: Linear, active: int) -> tuple[Tensor, Tensor]:
        """As defined; notes the balance loss."""
        scores = F.linear(x, router.weight, router.bias)
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
        """As defined, by computing them all; the unchosen have a share of zero."""
        _refuse_adapters(adapters)
        gate_up, down = experts.gate_up, experts.down
        weight, bias = (part.to(self.dtype) for part in (gate_up.weight, cast(Tensor, gate_up.bias)))
        x = x.to(self.dtype)
        # Gate and up in two products: elementwise work on every other column is three times slower.
        gate, up = (F.linear(x, weight[:, n::2].flatten(0, 1), bias[:, n::2].flatten()) for n in (0, 1))
        gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
        active = gate * torch.sigmoid(SWIGLU_ALPHA * gate) * (up + 1)
        dense = torch.zeros(len(x), len(weight), dtype=shares.dtype).scatter(1, chosen, shares)
        weighted = active.unflatten(1, (len(weight), -1)) * dense[..., None].to(self.dtype)
        rows = down.weight.to(self.dtype).permute(0, 2, 1).flatten(0, 1)
        return (weighted.flatten(1) @ rows).float() + dense @ cast(Tensor, down.bias)


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
    scores = scores.unflatten(2, (-1, longest)) + bias
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
