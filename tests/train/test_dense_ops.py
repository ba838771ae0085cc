"""What runs on a GPU, without one: torch has no gradient of FlexAttention on a processor, so it is written out here."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from ossia.train import dense_ops
from ossia.train.dense_ops import DenseLoss
from ossia.train.packing import PrefixedBatch
from ossia.train.parameters import initial_parameters
from ossia.train.rows import Rows, aligned
from ossia.train.train_ops import TrainOps
from ossia.train.trainer import Trainer, TrainingConfig, batch_loss
from tests.train.tiny import config, counting

pytestmark = pytest.mark.torch

LENGTH = 128
# Float32; sums of some hundred terms in another order.
TOLERANCE = 1e-5


class Besides(NamedTuple):
    lse: Tensor


def written_out(
    q: Tensor, k: Tensor, v: Tensor, block_mask: BlockMask, enable_gqa: bool, return_aux: object
) -> tuple[Tensor, Besides]:
    """FlexAttention's definition, over all pairs."""
    assert enable_gqa
    rows, heads, length, width = q.shape
    k, v = (x.repeat_interleave(heads // x.shape[1], 1) for x in (k, v))
    places = torch.arange(length)
    sees = block_mask.mask_mod(torch.arange(rows)[:, None, None], torch.tensor(0), places[:, None], places[None, :])
    scores = (q @ k.mT / width**0.5).masked_fill(~sees[:, None], -torch.inf)
    return scores.softmax(-1) @ v, Besides(scores.logsumexp(-1))


FLEX_ATTENTION = dense_ops.flex_attention


@pytest.fixture(autouse=True)
def _without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_ops, "flex_attention", written_out)


def parameters() -> dict[str, nn.Parameter]:
    """Nothing zero: a term that is left out is seen."""
    generator = torch.Generator().manual_seed(1)
    values = initial_parameters(config(), 0)
    for value in values.values():
        value.data += 0.1 * torch.randn(value.shape, generator=generator)
    return values


def gradients(values: dict[str, nn.Parameter], loss: Tensor) -> dict[str, Tensor]:
    loss.backward()
    found = {name: value.grad for name, value in values.items()}
    assert all(gradient is not None for gradient in found.values())
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("quantise", [False, True])
def test_rows_are_learned_from_as_batches_are(quantise: bool):
    batches: list[PrefixedBatch] = [counting(0, rank) for rank in range(3)]
    theirs, ours = parameters(), parameters()
    ops = TrainOps(torch.float32, quantise=quantise)
    # All have as many targets: the mean of their means is that of all.
    expected = torch.stack([batch_loss(ops, config(), theirs, batch) for batch in batches]).mean()
    found, _ = DenseLoss(config(), dtype=torch.float32)(ours, aligned(batches, LENGTH), quantise=quantise)
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=0)
    wanted = gradients(theirs, expected)
    for name, gradient in gradients(ours, found).items():
        assert (gradient - wanted[name]).norm() <= 10 * TOLERANCE * wanted[name].norm(), name


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_what_is_written_out_is_what_torch_computes(monkeypatch: pytest.MonkeyPatch):
    loss, rows, values = DenseLoss(config(), dtype=torch.float32), aligned([counting(0, 0)], LENGTH), parameters()
    with torch.no_grad():
        expected, _ = loss(values, rows)
        monkeypatch.setattr(dense_ops, "flex_attention", FLEX_ATTENTION)
        found, _ = loss(values, rows)
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=0)


def test_the_balance_is_that_of_the_tokens():
    batch = counting(0, 0)
    ops = TrainOps(torch.float32)
    batch_loss(ops, config(), parameters(), batch)
    length = len(batch.tokens)  # nothing is filled up
    _, found = DenseLoss(config(), dtype=torch.float32)(parameters(), aligned([batch], length))
    torch.testing.assert_close(found, torch.stack(ops.balance).mean(), rtol=TOLERANCE, atol=0)


def test_the_compiler_takes_the_whole_step():
    """As one graph, with nothing that depends on what is in a batch."""
    loss = DenseLoss(config(), dtype=torch.float32)
    rows, values = aligned([counting(0, 0)], LENGTH), parameters()
    expected, _ = loss(values, rows)
    loss._loss = torch.compile(loss._loss, backend="aot_eager", fullgraph=True)
    found, _ = loss(values, rows)
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=0)
    found.backward()
    with torch.compiler.set_stance("fail_on_recompile"):
        loss(values, aligned([counting(1, 0)], LENGTH))


def test_a_trainer_of_rows_learns():
    def rows(step: int, rank: int) -> Rows:
        return aligned([counting(step, row) for row in range(2)], LENGTH)

    trainer = Trainer(config(), TrainingConfig(steps=60, warmup=2), rows)
    trainer._loss = DenseLoss(config())
    trainer.run(lambda progress: None)
    assert trainer.losses[0] > 2.0 > 4 * trainer.losses[-1]
