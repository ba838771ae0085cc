"""The elementwise parts of a layer, each written once and run as it stands or compiled into one pass over memory.

On a processor whose matrix units make products nearly free, these passes are most of a training step. Compiling needs
a C++ compiler and some tens of seconds at the start; results differ by rounding.
"""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ossia.config import SWIGLU_ALPHA

__all__ = ["Elementwise", "elementwise"]


class Elementwise:
    """The functions as they stand."""

    def rms_norm(self, x: Tensor, scale: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        """[T, D] float32 -> [T, D] of `dtype`."""
        return _rms_norm(x, scale, eps, dtype)

    def rope(self, x: Tensor, cos: Tensor, sin: Tensor, dtype: torch.dtype) -> Tensor:
        """[T, H, E] -> the same of `dtype`, turned by the angles [T, E / 2]."""
        return _rope(x, cos, sin, dtype)

    def swiglu(self, h: Tensor, shares: Tensor, limit: float) -> Tensor:
        """[N, 2F], gates before ups, and each row's share [N, 1] -> [N, F] of the dtype of h."""
        return _swiglu(h, shares, limit)

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """[L, V] and [L] -> the mean in nats, summed in float32."""
        return _cross_entropy(logits, targets)


class _Compiled(Elementwise):
    """Each function compiled once, for any number of rows."""

    def __init__(self) -> None:
        def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
            return torch.compile(function, dynamic=True)

        self.rms_norm = compiled(_rms_norm)
        self.rope = compiled(_rope)
        self.swiglu = compiled(_swiglu)
        self.cross_entropy = compiled(_cross_entropy)


@cache
def elementwise(*, compiled: bool) -> Elementwise:
    """The functions, compiled when first used if so asked."""
    return _Compiled() if compiled else Elementwise()


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
