"""Rounding to MXFP4 on the way, on whatever device the weights are: `ossia.mxfp4` in torch, and differentiable.

Source: Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons (arXiv 1308.3432), section 4: the
straight-through estimator.
"""

import torch
from torch import Tensor

from ossia.mxfp4 import BLOCK, LARGEST_SCALE

__all__ = ["rounded_to_mxfp4"]


def rounded_to_mxfp4(weight: Tensor) -> Tensor:
    """The weight [..., N] as its packed form would read, with the gradient of the weight itself."""
    blocks = weight.detach().float().unflatten(-1, (-1, BLOCK))
    largest = blocks.abs().amax(-1, keepdim=True)
    # As `encode` has it: the largest power of two in the block over 4, then double and half of that.
    standard = torch.where(largest > 0, torch.frexp(largest).exponent - 3, -127)
    best, error = _rounded(blocks, standard)
    for shift in (1, -1):
        other, its_error = _rounded(blocks, standard + shift * (largest > 0))
        better = its_error < error
        best, error = torch.where(better, other, best), torch.where(better, its_error, error)
    return weight + (best.flatten(-2) - weight).detach()


def _rounded(blocks: Tensor, exponents: Tensor) -> tuple[Tensor, Tensor]:
    """Blocks [..., 32] on the grid in units of 2^exponents [..., 1], and the sum of squared errors in float64."""
    exponents = exponents.clamp(-127, LARGEST_SCALE - 127).float()
    units = blocks.abs() * torch.exp2(-exponents)
    # The grid is 0 .5 1 1.5 2 | 3 4 | 6; `round` takes the even one at a tie, which is the even nibble there, too.
    step = 0.5 + 0.5 * (units >= 2) + (units >= 4)
    grid = ((units / step).round_() * step).clamp_(max=6.0)
    values = (grid * torch.exp2(exponents)).copysign_(blocks)
    return values, (values - blocks).double().square_().sum(-1, keepdim=True)
