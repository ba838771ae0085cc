import pytest
import torch
from torch import nn

from ossia.errors import OssiaError
from ossia.train.muon import Muon, orthogonal

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("shape", [(16, 16), (32, 8), (8, 32), (3, 16, 8)])
def test_singular_values_come_near_one(shape: tuple[int, ...]):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices).float())
    # The iteration's fixed interval, [0.68, 1.13] in exact arithmetic, and bfloat16's 2^-8 a step.
    assert values.min() > 0.6
    assert values.max() < 1.2


def test_each_matrix_of_a_stack_is_treated_alone():
    stack = torch.randn(3, 16, 8, generator=torch.Generator().manual_seed(1))
    for whole, single in zip(orthogonal(stack), stack, strict=True):
        torch.testing.assert_close(whole, orthogonal(single), atol=2**-6, rtol=0)


@pytest.mark.parametrize("shape", [(16, 16), (32, 8), (8, 32)])
def test_matrices_go_as_under_torchs_own(shape: tuple[int, int]):
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(shape, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimisers = (
        Muon([ours], lr=0.02),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0, momentum=0.95, nesterov=True),
    )
    for _ in range(4):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    # Both round each update to bfloat16, of size 0.02 at most, at other places of the iteration.
    torch.testing.assert_close(ours, theirs, atol=4 * 0.02 * 2**-5, rtol=0)


def test_a_parameter_without_gradient_is_told():
    with pytest.raises(OssiaError, match="without a gradient"):
        Muon([nn.Parameter(torch.zeros(2, 2))]).step()
