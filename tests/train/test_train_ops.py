from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.errors import BackendError
from ossia.model import forward, prepare
from ossia.mxfp4 import encode
from ossia.ops import Batch, Linear
from ossia.ops.reference import ReferenceOps
from ossia.train.packing import Document, Group, pack
from ossia.train.parameters import initial_parameters
from ossia.train.rounding import rounded_to_mxfp4
from ossia.train.train_ops import TrainOps
from tests.train.tiny import VOCABULARY, config

pytestmark = pytest.mark.torch

# Float32 throughout, sums of at most 64 terms in another order, two layers: 64 * 2^-24 of the largest term is 4e-6, and
# logits here are of order one. What sees a wrong key differs in the second digit.
TOLERANCE = 2e-5

tokens = st.integers(0, VOCABULARY - 1)
prefixes = st.lists(tokens, max_size=9)
texts = st.lists(st.lists(tokens, min_size=1, max_size=12), min_size=1, max_size=11)
groups = st.lists(st.tuples(prefixes, texts), min_size=1, max_size=3)


def random_parameters(seed: int = 0) -> dict[str, torch.Tensor]:
    """Nothing zero: a term that is left out is seen."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value.detach() + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in initial_parameters(config(), seed).items()
    }


PARAMETERS = random_parameters()


def trained_logits(ops: TrainOps, batch: Batch, parameters: Any = PARAMETERS) -> np.ndarray:
    with torch.no_grad():
        return ops.numpy(forward(ops, config(), prepare(ops, config(), parameters), batch))


def reference_logits(sequence: list[int], packed: bool = False) -> np.ndarray:
    ops = ReferenceOps()
    arrays: dict[str, Any] = {name: value.numpy() for name, value in PARAMETERS.items()}
    if packed:
        arrays |= {name: encode(value) for name, value in arrays.items() if name.endswith(("up_proj", "down_proj"))}
    return forward(ops, config(), prepare(ops, config(), arrays), Batch.packed([sequence]))


@given(groups)
@settings(max_examples=25)
def test_a_document_behind_a_shared_prefix_reads_as_it_would_alone(groups: list[tuple[list[int], list[list[int]]]]):
    batch = pack([Group(prefix, [Document(text, [False] * len(text)) for text in texts]) for prefix, texts in groups])
    everything = replace(batch, logit_rows=np.arange(len(batch.tokens), dtype=np.int32))
    found = trained_logits(TrainOps(torch.float32), everything)
    expected = []
    for prefix, texts in groups:
        if prefix:
            expected.append(reference_logits(prefix))
        expected += [reference_logits(prefix + text)[len(prefix) :] for text in texts]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=TOLERANCE, rtol=0)


def test_filling_up_changes_nothing():
    groups = [Group([1, 2, 3], [Document(list(range(n)), [True] * n) for n in (5, 9, 2)])]
    plain, filled = (trained_logits(TrainOps(torch.float32), pack(groups, multiple)) for multiple in (1, 32))
    np.testing.assert_allclose(filled[: len(plain)], plain, atol=TOLERANCE, rtol=0)


def test_quantised_experts_read_as_packed_ones():
    sequence = list(range(20))
    batch = pack([Group([], [Document(sequence, [True] * 20)])])
    found = trained_logits(TrainOps(torch.float32, quantise=True), batch)
    np.testing.assert_allclose(found, reference_logits(sequence, packed=True)[:-1], atol=TOLERANCE, rtol=0)


def test_bfloat16_products_stay_near():
    batch = pack([Group([], [Document(list(range(20)), [True] * 20)])])
    exact, rounded = (trained_logits(TrainOps(dtype), batch) for dtype in (torch.float32, torch.bfloat16))
    # 2^-9 for each rounding; some ten in a row, errors of either sign.
    assert 0 < np.abs(exact - rounded).max() < 10 * 2**-9 * np.abs(exact).max()


def test_the_gradient_passes_rounding():
    weight = torch.randn(2, 4, 32, requires_grad=True)
    rounded = rounded_to_mxfp4(weight)
    rounded.square().sum().backward()
    assert not torch.equal(rounded, weight)
    torch.testing.assert_close(weight.grad, 2 * rounded.detach())


def test_every_parameter_has_a_gradient():
    parameters = {name: value.clone().requires_grad_() for name, value in PARAMETERS.items()}
    ops = TrainOps(torch.float32)
    weights = prepare(ops, config(), cast(Any, parameters))
    batch = pack([Group([1, 2], [Document(list(range(20)), [True] * 20)] * 9)])
    forward(ops, config(), weights, batch).square().sum().backward()
    silent = [name for name, value in parameters.items() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_balance_is_one_where_experts_are_used_alike_and_more_where_not():
    ops = TrainOps(torch.float32)
    x = torch.eye(4)
    ops.route(x, Linear(0.01 * torch.eye(4), torch.zeros(4)), 1)
    ops.route(x, Linear(0.01 * torch.eye(4), torch.tensor([9.0, 0.0, 0.0, 0.0])), 1)
    alike, one = (value.item() for value in ops.balance)
    assert alike == pytest.approx(1.0, abs=1e-3)
    assert one == pytest.approx(4.0, abs=0.01)


def test_what_it_cannot_do_is_refused():
    ops = TrainOps()
    weights = prepare(ops, config(), cast(Any, PARAMETERS))
    with pytest.raises(BackendError, match="a PrefixedBatch, found Batch"):
        forward(ops, config(), weights, Batch.packed([[1, 2]]))
    adapted = replace(pack([Group([], [Document([1, 2], [True] * 2)])]), adapters=np.zeros(2, np.int32))
    with pytest.raises(BackendError, match="no adapters"):
        forward(ops, config(), weights, adapted)
