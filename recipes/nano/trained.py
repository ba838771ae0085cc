"""The parameters that training left in a checkpoint."""

from pathlib import Path

from torch import nn

from ossia.train.parameters import initial_parameters
from ossia.train.trainer import read_checkpoint, take
from recipes.nano.conversation import vocabulary
from recipes.nano.shape import model_config

__all__ = ["read_nano"]


def read_nano(path: Path) -> tuple[int, dict[str, nn.Parameter]]:
    """The step and the parameters of a checkpoint. Raises OssiaError when it is none, or of another model."""
    state, tokens = read_checkpoint(path), vocabulary()
    parameters = initial_parameters(model_config(tokens.size, tokens.return_, tokens.endoftext), seed=0)
    take(parameters, state["parameters"], path)
    return state["step"], parameters
