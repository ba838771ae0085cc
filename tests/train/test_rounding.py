import numpy as np
import pytest
import torch

from ossia.mxfp4 import decode, encode
from ossia.train.rounding import rounded_to_mxfp4

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-30, 1e-37, 1e30])
def test_it_rounds_as_the_encoder_does(spread: float):
    random = np.random.default_rng(0)
    values = (spread * random.standard_normal((64, 256))).astype(np.float32)
    values[0] = 0
    values[1:32] = spread * np.round(4 * values[1:32] / spread) / 4  # ties, which the even value wins
    # `weight + (rounded - weight)` is the rounded weight but for what float32 loses on the way.
    expected = values + (decode(encode(values)) - values)
    np.testing.assert_array_equal(rounded_to_mxfp4(torch.from_numpy(values)).numpy(), expected)


def test_the_gradient_is_that_of_the_weight():
    weight = torch.randn(2, 64, requires_grad=True)
    upstream = torch.randn(2, 64)
    (rounded_to_mxfp4(weight) * upstream).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, upstream, rtol=0, atol=0)
