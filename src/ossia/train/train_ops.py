"""The seven operations for training a small model from nothing: bfloat16 products, shared prefixes, no caches.

Tokens are sorted by expert, so that each expert is one product over the tokens that chose it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ossia.errors import BackendError
from ossia.ops import Batch, Experts, Linear, Precision, Role
from ossia.ops.torch_ops import TorchOps
from ossia.train.elementwise import elementwise
from ossia.train.packing import PrefixedBatch

__all__ = ["TrainOps"]

# Added to a score that must not count: far below any score, and finite in bfloat16.
_HIDDEN = -1e9
# Documents padded to one length: few, so that little is padded where neighbours are alike.
_SIDE_BY_SIDE = 8
# Numbers of rows are rounded up to these, so that few shapes of product are compiled.
_ROUND, _ROUND_TEXT = 128, 32


class TrainOps(TorchOps):
    """The torch backend without caches, over trainable float32 tensors, for a `PrefixedBatch`.

    `dtype` is what products are computed in, and what passes between them. With `quantise` the experts are rounded to
    MXFP4 on the way, and the gradient passes as if they were not. With `compiled` the elementwise parts are. `balance`
    collects the balance loss of every layer that ran.
    """

    name = "train"

    def __init__(self, dtype: torch.dtype = torch.bfloat16, *, quantise: bool = False, compiled: bool = False) -> None:
        super().__init__(Precision.EXACT if dtype is torch.float32 else Precision.FAST)
        self.dtype, self.quantise = dtype, quantise
        self._elementwise = elementwise(compiled=compiled)
        self.balance: list[Tensor] = []

    def prepare(self, tensor: Any, role: Role, name: str) -> Any:
        """A parameter itself, or what it will be once packed; what comes from a file, as the torch backend takes it."""
        if not isinstance(tensor, Tensor):
            return super().prepare(tensor, role, name)
        return self._elementwise.rounded(tensor) if self.quantise and role is Role.EXPERTS else tensor

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
        padding = q[batch.starts[-1] :].to(self.dtype).flatten(1)  # its result is not looked at
        q = (q * q.shape[-1] ** -0.5).unflatten(1, (k.shape[1], -1)).permute(1, 2, 0, 3)
        k, v = k.transpose(0, 1), v.transpose(0, 1)
        q, k, v = (F.pad(x.to(self.dtype), (0, 0, 0, 1)) for x in (q, k, v))
        seen = []
        for prefix, starts in batch.spans:
            if prefix.stop > prefix.start:
                alone = np.asarray([prefix.start, prefix.stop])
                seen.append(_attend_group(q, k, v, sinks, slice(prefix.start, prefix.start), alone, window))
            for first in range(0, len(starts) - 1, _SIDE_BY_SIDE):
                some = starts[first : first + _SIDE_BY_SIDE + 1]
                seen.append(_attend_group(q, k, v, sinks, prefix, some, window))
        return torch.cat([*seen, padding])

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
        sorting = _Sorting.of(chosen, len(experts.gate_up.weight))
        weights, biases = self._gates_first(experts.gate_up)
        rows = cast(Tensor, _Spread.apply(x.to(self.dtype), sorting)).split(sorting.sizes)
        h = torch.cat([F.linear(*part) for part in zip(rows, weights, biases, strict=True)])
        shares_of_rows = F.pad(shares.flatten(), (0, 1))[sorting.choices][:, None]
        a = self._elementwise.swiglu(h, shares_of_rows, limit).split(sorting.sizes)
        down = experts.down.weight.to(self.dtype)
        y = torch.cat([F.linear(*part) for part in zip(a, down, strict=True)])
        dense = torch.zeros(len(x), len(down)).scatter(1, chosen, shares)
        return cast(Tensor, _Gather.apply(y, sorting)) + dense @ cast(Tensor, experts.down.bias)

    def _gates_first(self, projection: Linear) -> tuple[Tensor, Tensor]:
        """[X, 2F, D] and [X, 2F]: the rows of gates, then those of ups, which stand in turns."""
        parts = projection.weight, cast(Tensor, projection.bias)
        weight, bias = (part.to(self.dtype).unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2) for part in parts)
        return weight, bias


@dataclass(frozen=True)
class _Sorting:
    """Which rows each expert computes: the choices [T * A] by expert, each expert's filled up to a round number."""

    choices: Tensor  # [R], of each row its place in the flattened choices, T * A where it only fills up
    tokens: Tensor  # [R], of each row its token, any where it only fills up
    places: Tensor  # [T, A], of each choice its row
    sizes: list[int]  # of each expert its number of rows

    @classmethod
    def of(cls, chosen: Tensor, experts: int) -> Self:
        flat = chosen.numpy().ravel()
        order = np.argsort(flat, kind="stable")
        counts = np.bincount(flat, minlength=experts)
        sizes = counts + -counts % _ROUND
        ends, begins = np.cumsum(counts), np.cumsum(sizes) - sizes
        rows = np.arange(len(order)) + np.repeat(begins - ends + counts, counts)
        choices = np.full(sizes.sum(), len(flat))
        choices[rows] = order
        places = np.empty_like(order)
        places[order] = rows
        active = chosen.shape[1]
        tokens = np.minimum(choices // active, len(chosen) - 1)
        of_choices = torch.from_numpy(places.reshape(-1, active))
        return cls(torch.from_numpy(choices), torch.from_numpy(tokens), of_choices, sizes.tolist())


class _Spread(torch.autograd.Function):
    """[T, D] -> [R, D]: each token once for each expert that it chose, sorted by expert."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sorting: _Sorting) -> Tensor:
        ctx.sorting = sorting
        return x[sorting.tokens]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.sorting.places].sum(1), None


class _Gather(torch.autograd.Function):
    """[R, D], sorted by expert -> [T, D]: the sum over the experts of each token."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, sorting: _Sorting) -> Tensor:
        ctx.sorting = sorting
        return y[sorting.places].sum(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # A row that only fills up has a share of zero: what it passes on is multiplied by that.
        return gradients[0][ctx.sorting.tokens], None


def _refuse_adapters(adapters: np.ndarray | None) -> None:
    if adapters is not None:
        raise BackendError("training from nothing has no adapters; None is right")


def _attend_group(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, prefix: slice, starts: np.ndarray, window: int | None
) -> Tensor:
    """[K, G, T, E] and twice [K, T, E] -> [n, K * G * E]: the rows `starts[0]` to `starts[-1]`.

    They are those of documents side by side behind one prefix, filled up to the longest.

    The last row of `q`, `k` and `v` is empty: it fills up the documents and the prefix; no query that counts sees it.
    """
    lengths, before = np.diff(starts), prefix.stop - prefix.start
    longest, room = _rounded(int(lengths.max())), _rounded(before + 1)
    rows = np.full((1 << (len(lengths) - 1).bit_length(), room + longest), q.shape[2] - 1)
    rows[:, :before] = np.r_[prefix]
    own = np.arange(longest) < lengths[:, None]
    rows[: len(lengths), room:][own] = np.arange(starts[0], starts[-1])
    numbers = torch.from_numpy(rows)
    keys, values = (_taken(x[:, None], numbers)[:, :, 0] for x in (k, v))  # [K, documents, room + longest, E]
    queries = _taken(q, numbers[:, room:])  # [K, documents, G, longest, E]
    scores = queries.flatten(2, 3) @ keys.transpose(-1, -2)
    bias, place = _bias(before, room, longest, window, q.dtype)
    bias = bias + place * sinks.to(q.dtype).view(len(q), 1, -1, 1, 1)  # [K, 1, G, longest, room + longest]
    scores = scores.unflatten(2, (-1, longest)).add_(bias)
    mixed = (scores.softmax(-1).flatten(2, 3) @ values).unflatten(2, (-1, longest))
    return mixed[:, : len(lengths)].permute(1, 3, 0, 2, 4)[torch.from_numpy(own)].flatten(1)


def _taken(x: Tensor, numbers: Tensor) -> Tensor:
    """[K, G, T, E] and [documents, N] -> [K, documents, G, N, E]: these rows, side by side."""
    groups, rows = x.shape[1:3]
    places = numbers[:, None] + rows * torch.arange(groups)[:, None]
    return x.flatten(1, 2).index_select(1, places.flatten()).unflatten(1, places.shape)


@lru_cache(maxsize=256)
def _bias(before: int, room: int, longest: int, window: int | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """[longest, room + longest], zero for keys that are seen; [room + longest], one for the empty key of the sink."""
    places = torch.cat([torch.arange(room), before + torch.arange(longest)])
    distance = before + torch.arange(longest)[:, None] - places
    hidden = (distance < 0) | (distance >= (window or before + longest))
    hidden[:, before:room] = True
    hidden[:, before] = False
    return torch.where(hidden, _HIDDEN, 0.0).to(dtype), (torch.arange(room + longest) == before).to(dtype)


def _rounded(length: int) -> int:
    return length + -length % _ROUND_TEXT


def _balance(scores: Tensor, chosen: Tensor) -> Tensor:
    """1 when all experts are used alike, more when few are.

    Source: Fedus et al., Switch Transformers (arXiv 2101.03961), equation 4.
    """
    experts = scores.shape[-1]
    used = F.one_hot(chosen, experts).float().mean((0, 1))
    return experts * (used * scores.softmax(-1).mean(0)).sum()
