"""Muon: momentum whose update is made orthogonal.

Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks (kellerjordan.github.io/posts/muon).
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ossia.errors import OssiaError

__all__ = ["Muon", "orthogonal"]


class Muon(torch.optim.Optimizer):
    """Trains matrices, or stacks of them, of any number of shapes; matrices of one shape are treated together."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # no closure is ever needed
        """One update from the gradients as they are."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                alike[tuple(parameter.shape)].append(parameter)
            for parameters in alike.values():
                self._step_alike(parameters, group["lr"], group["momentum"])

    def _step_alike(self, parameters: list[nn.Parameter], rate: float, momentum: float) -> None:
        looks_ahead = []
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            if gradient is None:
                raise OssiaError("Muon found a parameter without a gradient; every one takes part in the loss")
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(gradient, 1 - momentum)
            looks_ahead.append(gradient.lerp(state["momentum"], momentum))
        updates = orthogonal(torch.stack(looks_ahead))
        # A tall matrix gets a larger update, so that outputs change alike whatever the shape.
        scale = max(1.0, parameters[0].shape[-2] / parameters[0].shape[-1]) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.sub_(update.to(parameter.dtype), alpha=rate * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """[..., N, C] -> the same, bfloat16, singular values near 1: five steps of a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315  # slope at zero as steep as convergence to about [0.7, 1.2] allows
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
