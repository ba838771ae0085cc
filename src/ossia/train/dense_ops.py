"""The operations for training on a GPU: rows of one length, attention in blocks, every expert over every token.

That is more arithmetic than `TrainOps` does, whose experts see the tokens that chose them alone. But no shape depends
on what is learned: a step is compiled once, and is few launches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, create_block_mask, flex_attention

from ossia.config import ModelConfig
from ossia.model import Weights, angles, layer, prepare, unembed
from ossia.ops import Experts
from ossia.train.packing import UNLEARNED
from ossia.train.rows import Rows
from ossia.train.train_ops import TrainOps

__all__ = ["DenseBatch", "DenseLoss", "DenseOps"]

Masks = Mapping[str, BlockMask]


@dataclass(frozen=True)
class DenseBatch:
    """What the layers see of `Rows`: tokens [N * S] in `rows` rows, and by kind of layer which sees which."""

    tokens: Tensor
    rows: int
    masks: Masks
    adapters: None = None


class DenseOps(TrainOps):
    """The operations on any torch device, for a `DenseBatch`."""

    name = "dense"

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, cache: Any, batch: Any, kind: str, window: int | None
    ) -> Tensor:
        """As defined. A sink is one more key that is worth nothing: it takes its share of the sum."""
        q, k, v = (x.to(self.dtype).unflatten(0, (batch.rows, -1)).transpose(1, 2) for x in (q, k, v))  # [N, H, S, E]
        mask, wanted = batch.masks[kind], AuxRequest(lse=True)
        mixed, besides = flex_attention(q, k, v, block_mask=mask, enable_gqa=True, return_aux=wanted)
        share = torch.sigmoid(cast(Tensor, besides.lse) - sinks[:, None])  # [N, H, S]
        return (mixed * share.to(self.dtype)[..., None]).transpose(1, 2).flatten(2).flatten(0, 1)

    def experts(
        self,
        x: Tensor,
        chosen: Tensor,
        shares: Tensor,
        experts: Experts,
        limit: float,
        adapters: np.ndarray | None = None,
    ) -> Tensor:
        """As defined; an expert that was not chosen has a share of zero."""
        weights, biases = self._gates_first(experts.gate_up)
        dense = x.new_zeros(len(x), len(weights), dtype=shares.dtype).scatter(1, chosen, shares)
        h = F.linear(x.to(self.dtype), weights.flatten(0, 1), biases.flatten()).unflatten(1, (len(weights), -1))
        a = self._elementwise.swiglu(h, dense[..., None], limit).flatten(1)  # [T, X * F]
        down = experts.down.weight.to(self.dtype).transpose(0, 1).flatten(1)  # [D, X * F]
        return F.linear(a, down) + dense @ cast(Tensor, experts.down.bias)


class DenseLoss:
    """The loss of `Rows` and the balance of their experts, on one device; compiled where so asked."""

    def __init__(
        self,
        config: ModelConfig,
        device: str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        *,
        compiled: bool = False,
    ) -> None:
        self.config, self.device, self.dtype = config, torch.device(device), dtype
        everywhere = np.arange(config.max_position_embeddings)
        self._angles = tuple(torch.from_numpy(table).to(device) for table in angles(config, everywhere))
        self._mask: Any = torch.compile(_mask) if compiled else _mask
        self._loss: Any = torch.compile(_loss) if compiled else _loss

    def __call__(
        self, parameters: Mapping[str, nn.Parameter], rows: Rows, *, quantise: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy in nats of the targets, and 1 or more: how unevenly the experts are used."""
        tokens, positions, texts, prefixes, targets = (
            torch.as_tensor(part).to(self.device, torch.int32, non_blocking=True) for part in rows
        )
        windows = {kind: self.config.window(index) for index, kind in enumerate(self.config.layer_types)}
        masks = {kind: self._mask(positions, texts, prefixes, window or 1 << 30) for kind, window in windows.items()}
        ops = DenseOps(self.dtype, quantise=quantise)
        weights = prepare(ops, self.config, cast(Any, parameters))
        cos, sin = (table[positions.flatten()] for table in self._angles)
        batch = DenseBatch(tokens.flatten(), len(tokens), masks)
        return self._loss(ops, self.config, weights, batch, cos, sin, targets)


def _loss(
    ops: DenseOps,
    config: ModelConfig,
    weights: Weights,
    batch: DenseBatch,
    cos: Tensor,
    sin: Tensor,
    targets: Tensor,
) -> tuple[Tensor, Tensor]:
    x = F.embedding(batch.tokens, weights.embedding)
    for index, weight in enumerate(weights.layers):
        x = layer(cast(Any, ops), config, weight, index, x, cos, sin, cast(Any, batch), None)
    logits = unembed(cast(Any, ops), config, weights, x)
    loss = F.cross_entropy(logits.float(), targets.flatten().long(), ignore_index=UNLEARNED)
    return loss, torch.stack(ops.balance).mean()


def _mask(positions: Tensor, texts: Tensor, prefixes: Tensor, window: int) -> BlockMask:
    """By [N, S] each: who sees whom in a row."""

    def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        distance = positions[row, query] - positions[row, key]
        same = (texts[row, query] == texts[row, key]) | (prefixes[row, query] == texts[row, key])
        return same & (distance >= 0) & (distance < window)

    rows, length = positions.shape
    return create_block_mask(sees, rows, None, length, length, device=positions.device)
