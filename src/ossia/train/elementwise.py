"""The elementwise parts of a layer, each written once and run as it stands or compiled into one pass over memory.

On a processor whose matrix units make products nearly free, these passes are most of a training step. Compiling needs
a C++ compiler and some tens of seconds at the start; results differ by rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ossia.config import SWIGLU_ALPHA
from ossia.train.rounding import rounded_to_mxfp4

__all__ = ["Elementwise", "elementwise"]


@dataclass(frozen=True)
class Elementwise:
    """The functions.

    rms_norm       x [T, D] float32, scale [D], eps, dtype -> [T, D] of that dtype
    rope           x [T, H, E], cos and sin [T, E / 2], dtype -> the same as x of that dtype
    swiglu         h [N, 2F], gates before ups, each row's share [N, 1], limit -> [N, F] of the dtype of h
    cross_entropy  logits [L, V], targets [L] -> the mean in nats, summed in float32
    rounded        a weight [..., N] -> the same as MXFP4 would read
    """

    rms_norm: Callable[[Tensor, Tensor, float, torch.dtype], Tensor]
    rope: Callable[[Tensor, Tensor, Tensor, torch.dtype], Tensor]
    swiglu: Callable[[Tensor, Tensor, float], Tensor]
    cross_entropy: Callable[[Tensor, Tensor], Tensor]
    rounded: Callable[[Tensor], Tensor]


@cache
def elementwise(*, compiled: bool) -> Elementwise:
    """The functions, compiled when first used, for any number of rows, if so asked."""

    def made(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return torch.compile(function, dynamic=True) if compiled else function

    return Elementwise(*map(made, (_rms_norm, _rope, _swiglu, _cross_entropy, rounded_to_mxfp4)))


def _rms_norm(x: Tensor, scale: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * scale).to(dtype)


def _rope(x: Tensor, cos: Tensor, sin: Tensor, dtype: torch.dtype) -> Tensor:
    first, second = x.float().chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(dtype)


def _swiglu(h: Tensor, shares: Tensor, limit: float) -> Tensor:
    gate, up = h.float().chunk(2, dim=-1)
    gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return (gate * torch.sigmoid(SWIGLU_ALPHA * gate) * (up + 1) * shares).to(h.dtype)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets)
