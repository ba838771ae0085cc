"""Begin from a model with another vocabulary or narrower experts: `python -m recipes.nano.carry MODEL build/start.pt`.

Every token takes the rows of the token with its bytes; a letter, which stood behind a space in the earlier workings,
those of the letter with its space. Tokens that are new begin as in a model from nothing.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ossia.checkpoint import expected_tensors, open_checkpoint
from ossia.config import ModelConfig
from ossia.errors import CheckpointError
from ossia.harmony import Vocabulary
from ossia.loading import vocabulary_of
from ossia.mxfp4 import Packed, decode
from ossia.train.parameters import initial_parameters
from recipes.nano.command import run
from recipes.nano.conversation import vocabulary
from recipes.nano.shape import model_config

__all__ = ["carried"]

_BY_TOKEN = ("model.embed_tokens.weight", "lm_head.weight")


def main() -> None:
    """Write the checkpoint that `train --from` takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    if arguments.output.is_dir():
        parser.error(f"{arguments.output}: this is a folder; the name of the checkpoint to write is right")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"step": 0, "parameters": carried(arguments.model)}, arguments.output)


def carried(model: Path) -> dict[str, torch.Tensor]:
    """The parameters of the model for today's vocabulary and experts that may be wider, float32.

    What an expert has more begins as in a model from nothing, whose down projections are zero: it adds nothing yet.
    Raises OssiaError when there is no model, or one of another shape.
    """
    checkpoint, tokens = open_checkpoint(model), vocabulary()
    config = model_config(tokens.size, tokens.return_, tokens.endoftext)
    wide = max(checkpoint.config.intermediate_size, config.intermediate_size)
    if _shapes(replace(checkpoint.config, vocab_size=tokens.size, intermediate_size=wide)) != _shapes(config):
        raise CheckpointError(f"{model} is of another shape; a model that this recipe exported is right")
    rows, sources = _matched(tokens, vocabulary_of(checkpoint))
    parameters: dict[str, torch.Tensor] = {}
    for name, fresh in initial_parameters(config, seed=0).items():
        values = torch.from_numpy(_floats(checkpoint.tensors[name]))
        parameters[name] = fresh.detach().clone()
        if name in _BY_TOKEN:
            parameters[name][rows] = values[sources]
        else:
            parameters[name][tuple(map(slice, values.shape))] = values
    return parameters


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    return {name: spec.shape for name, spec in expected_tensors(config, "bfloat16").items()}


def _matched(new: Vocabulary, old: Vocabulary) -> tuple[list[int], list[int]]:
    """Ids that have a counterpart, and the counterparts."""
    pairs = [(identifier, old.control[name]) for name, identifier in new.control.items()]
    for token, identifier in new.ranks.items():
        spaced = b" " + token
        single = len(token) == 1 and token.isalpha()
        wanted = (spaced, token) if single else (token, spaced)
        found = next((old.ranks[one] for one in wanted if one in old.ranks), None)
        if found is not None:
            pairs.append((identifier, found))
    rows, sources = zip(*pairs, strict=True)
    return list(rows), list(sources)


def _floats(tensor: Any) -> np.ndarray:
    return decode(tensor) if isinstance(tensor, Packed) else np.asarray(tensor, np.float32)


if __name__ == "__main__":
    run(main)
