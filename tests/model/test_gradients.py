"""Gradients of the torch backend through the one definition of the model, against transformers."""

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn import functional

from ossia.model import Weights, forward, prepare
from ossia.mxfp4 import Packed, decode
from ossia.ops import Batch, Linear, LowRank, Role, make_ops
from ossia.ops.torch_ops import TorchOps
from tests.model.judge import Judge, make_judge, relative_error

pytestmark = pytest.mark.torch

BOUND = 1e-4  # some ten times the bound on logits: a gradient is a longer chain of the same roundings


@pytest.fixture(scope="module")
def judge() -> Judge:
    return make_judge(num_hidden_layers=2, one_table=True)


class LeafOps(TorchOps):
    """The torch backend with every weight to be learned."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves: dict[str, Any] = {}

    def prepare(self, tensor: Any, role: Role, name: str) -> Any:
        self.leaves[name] = cast(torch.Tensor, super().prepare(dense(tensor).copy(), role, name)).requires_grad_()
        return self.leaves[name]


def loss_of(logits: torch.Tensor, tokens: np.ndarray) -> torch.Tensor:
    return functional.cross_entropy(logits[:-1], torch.from_numpy(tokens[1:]))


def dense(tensor: np.ndarray | Packed) -> np.ndarray:
    return decode(tensor) if isinstance(tensor, Packed) else tensor


def test_gradients_are_those_of_transformers(judge: Judge) -> None:
    # Token 0 is the padding, to whose row transformers gives no gradient.
    tokens = np.random.default_rng(0).integers(1, judge.config.vocab_size, 60)
    judge.model.zero_grad()
    loss_of(judge.model(torch.tensor(tokens)[None]).logits[0], tokens).backward()
    ops = LeafOps()
    weights = prepare(ops, judge.config, {name: dense(tensor) for name, tensor in judge.tensors.items()})
    loss_of(forward(ops, judge.config, weights, Batch.packed([tokens.tolist()])), tokens).backward()
    for name, parameter in judge.model.named_parameters():
        assert parameter.grad is not None
        right, found = parameter.grad.numpy(), ops.leaves[name].grad.numpy()
        stacked = name.endswith(("gate_up_proj", "down_proj"))
        assert relative_error(found, right.swapaxes(1, 2) if stacked else right) <= BOUND, name


def test_low_rank_terms_learn_and_equal_a_merged_weight(judge: Judge) -> None:
    """The term beside a weight gives the logits of that weight with the product added, for the tokens that have it."""
    ops, tokens = make_ops("torch"), np.arange(40)
    weights = prepare(ops, judge.config, judge.tensors)
    a, b = torch.randn(1, 4, 64) / 8, torch.randn(1, 256, 4, requires_grad=True)
    layer = weights.layers[0]
    beside = with_query(weights, layer.q._replace(adapters=LowRank(a, b, torch.tensor([0.5]))))
    merged = with_query(weights, Linear(layer.q.weight + 0.5 * b[0] @ a[0], layer.q.bias))
    plain = Batch.packed([tokens.tolist()])
    batch = Batch(plain.tokens, plain.positions, plain.starts, plain.logit_rows, adapters=np.zeros(40, np.int32))
    found = forward(ops, judge.config, beside, batch)
    assert relative_error(ops.numpy(found), ops.numpy(forward(ops, judge.config, merged, plain))) <= 1e-5
    without = forward(ops, judge.config, beside, plain)
    assert relative_error(ops.numpy(without), ops.numpy(forward(ops, judge.config, weights, plain))) == 0
    found.sum().backward()
    assert b.grad is not None
    assert b.grad.abs().max() > 0


def with_query(weights: Weights, query: Linear) -> Weights:
    first = dataclasses.replace(weights.layers[0], q=query)
    return dataclasses.replace(weights, layers=(first, *weights.layers[1:]))
