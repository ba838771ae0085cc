"""What the torch backend adds to the conformance suite: gradients, and memory that is shared with the checkpoint."""

import numpy as np
import pytest
import torch

from ossia.mxfp4 import decode, encode
from ossia.ops import Batch, Linear, Precision, Role
from ossia.ops.torch_ops import TorchOps
from tests.ops.cases import KIND, normal, weight

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_weights_stay_where_they_lie(dtype: str):
    values = weight(0, 8, 96).astype(dtype)
    kept = TorchOps().prepare(values, Role.LINEAR, "w")
    assert isinstance(kept, torch.Tensor)
    assert kept.data_ptr() == values.ctypes.data


def test_packed_experts_are_decoded_exactly():
    packed = encode(normal(0, 3, 4, 64))
    kept = TorchOps().prepare(packed, Role.EXPERTS, "w")
    np.testing.assert_array_equal(kept[2].numpy(), decode(packed)[2])


def test_gradients_reach_a_weight_through_rounding():
    """`fast` rounds what a product sees; a gradient passes as if it had not, so that training can use it."""
    ops = TorchOps(Precision.FAST)
    trained = torch.ones(4, 6, requires_grad=True)
    ops.linear(torch.ones(2, 6), Linear(trained)).sum().backward()
    assert trained.grad is not None
    np.testing.assert_array_equal(trained.grad.numpy(), np.full((4, 6), 2.0))


def test_gradients_of_attention_are_those_of_small_differences():
    """Central differences in float32, of a sum over everything: within the square root of its rounding."""
    ops, batch = TorchOps(), Batch.packed([[0] * 4, [0] * 3])
    q, k, v = (torch.tensor(normal(seed, 7, heads, 8), requires_grad=True) for seed, heads in ((1, 4), (2, 2), (3, 2)))
    sinks = torch.tensor(normal(4, 4), requires_grad=True)
    target = torch.tensor(normal(5, 7, 32))

    def loss() -> torch.Tensor:
        return (ops.attend(q, k, v, sinks, None, batch, KIND, 2) * target).sum()

    loss().backward()
    for part in (q, k, v, sinks):
        direction = torch.tensor(normal(6, *part.shape))
        with torch.no_grad():
            step = 1e-2
            part += step * direction
            after = loss()
            part -= 2 * step * direction
            before = loss()
            part += step * direction
        assert part.grad is not None
        slope = float((after - before) / (2 * step))
        assert abs(slope - float((part.grad * direction).sum())) < 1e-2 * max(1.0, abs(slope))
