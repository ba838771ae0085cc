from dataclasses import replace

import pytest
import torch

from ossia.checkpoint import open_checkpoint
from ossia.errors import OssiaError
from ossia.train.train_ops import TrainOps
from ossia.train.trainer import TrainingConfig, batch_loss
from recipes.nano import carry
from recipes.nano.carry import carried
from recipes.nano.export import EMBEDDED
from recipes.nano.shape import model_config
from recipes.nano.train import new_trainer

pytestmark = pytest.mark.torch


def loss(parameters: dict[str, torch.Tensor], wide: int) -> float:
    """Of a batch that training would have, by a model whose experts are so wide."""
    trainer = new_trainer(TrainingConfig(steps=1), 512)
    config = replace(trainer.config, intermediate_size=wide)
    held = {name: torch.nn.Parameter(value) for name, value in parameters.items()}
    with torch.no_grad():
        return batch_loss(TrainOps(), config, held, trainer.data(0, 0)).item()  # type: ignore[arg-type] # of one row


def test_wider_experts_begin_with_what_the_model_does(monkeypatch: pytest.MonkeyPatch):
    width = open_checkpoint(EMBEDDED).config.intermediate_size
    before = loss(carried(EMBEDDED), width)
    monkeypatch.setattr(
        carry, "model_config", lambda *sizes: replace(model_config(*sizes), intermediate_size=2 * width)
    )
    wider = carried(EMBEDDED)
    assert wider["model.layers.0.mlp.experts.down_proj"].shape[-1] == 2 * width
    assert loss(wider, 2 * width) == pytest.approx(before, rel=1e-3)
    # What is new can learn: its gates are random, not zero.
    assert wider["model.layers.0.mlp.experts.gate_up_proj"][:, 2 * width :].std() > 0.01


def test_narrower_experts_are_of_another_shape(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(carry, "model_config", lambda *sizes: replace(model_config(*sizes), intermediate_size=32))
    with pytest.raises(OssiaError, match="is of another shape"):
        carried(EMBEDDED)
