"""What the recipe's commands share: how a program ends, and the checkpoint that it is given."""

import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from ossia.cli._display import said
from ossia.cli._signals import INTERRUPTED, heed
from ossia.errors import OssiaError
from ossia.train.parameters import initial_parameters
from ossia.train.trainer import read_checkpoint, take
from recipes.nano.conversation import vocabulary
from recipes.nano.shape import model_config

__all__ = ["read_nano", "run"]


def run(main: Callable[[], None]) -> None:
    """Run a command as the program that it is: an error, or ctrl-c, is one line on stderr and a status."""
    heed()
    try:
        main()
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except (OssiaError, OSError, MemoryError) as error:
        _end(f"error: {said(error)}", 1)


def read_nano(path: Path) -> tuple[int, dict[str, nn.Parameter]]:
    """The step and the parameters of a checkpoint. Raises OssiaError when it is none, or of another model."""
    state, tokens = read_checkpoint(path), vocabulary()
    parameters = initial_parameters(model_config(tokens.size, tokens.return_, tokens.endoftext), seed=0)
    take(parameters, state["parameters"], path)
    return state["step"], parameters


def _end(message: str, status: int) -> None:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(status)
