"""Weights are found by name and handed over with their role."""

from typing import cast

import numpy as np
import pytest

from ossia.errors import BackendError, TensorError
from ossia.model import prepare
from ossia.mxfp4 import Packed
from ossia.ops import Ops, Role, make_ops
from tests.model.judge import make_judge

pytestmark = pytest.mark.torch


class Recorder:
    """A backend that only notes what it is given."""

    def __init__(self) -> None:
        self.roles: dict[str, Role] = {}

    def prepare(self, tensor: object, role: Role, name: str) -> str:
        self.roles[name] = role
        return name


def test_every_tensor_is_taken_once_in_its_role() -> None:
    judge, ops = make_judge(num_hidden_layers=2), Recorder()
    weights = prepare(cast(Ops, ops), judge.config, judge.tensors)
    assert set(ops.roles) == set(judge.tensors)
    assert weights.layers[1].experts.down.weight == "model.layers.1.mlp.experts.down_proj"
    assert [name for name, role in ops.roles.items() if role is Role.ROUTER] == [
        f"model.layers.{layer}.mlp.router.weight" for layer in (0, 1)
    ]


@pytest.mark.parametrize("backend", ["reference", "native", "torch"])
def test_a_scale_that_is_no_number_is_refused_by_name(backend: str) -> None:
    judge = make_judge(num_hidden_layers=1)
    name = "model.layers.0.mlp.experts.down_proj"
    packed = judge.tensors[name]
    assert isinstance(packed, Packed)
    scales = packed.scales.copy()
    scales[3, 2, 1] = 255
    with pytest.raises(TensorError, match=name):
        prepare(make_ops(backend), judge.config, judge.tensors | {name: Packed(packed.blocks, scales)})


@pytest.mark.parametrize("backend", ["reference", "native", "torch"])
def test_packed_weights_are_for_experts(backend: str) -> None:
    packed = Packed(np.zeros((4, 2, 16), np.uint8), np.full((4, 2), 127, np.uint8))
    with pytest.raises(BackendError, match=r"lm_head.weight"):
        make_ops(backend).prepare(packed, Role.UNEMBEDDING, "lm_head.weight")
