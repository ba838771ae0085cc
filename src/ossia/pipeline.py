"""The Python interface: `load` opens a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ossia.checkpoint import Checkpoint, expected_tensors, find, open_checkpoint
from ossia.config import ModelConfig
from ossia.engine import LoadedModel
from ossia.errors import VocabularyError
from ossia.harmony import Vocabulary
from ossia.model import Weights, hidden, prepare, unembed
from ossia.ops import Batch, Ops, make_ops

__all__ = ["Loaded", "default_precision", "load_weights", "parameters", "vocabulary_of"]

LARGE = 20e9
"""Parameters from which on speed is worth `fast`'s rounding by default: those of gpt-oss-20b and more."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint whose weights a backend has taken in."""

    checkpoint: Checkpoint
    ops: Ops
    weights: Weights

    @property
    def config(self) -> ModelConfig:
        """The model's config."""
        return self.checkpoint.config

    @property
    def model(self) -> LoadedModel:
        """What an engine runs."""
        return LoadedModel(self.ops, self.config, self.weights)

    @property
    def threads(self) -> int | None:
        """How many threads the backend computes with; None where it decides by itself."""
        return getattr(self.ops, "threads", None)

    def settings(self) -> dict[str, str | int | None]:
        """The settings in effect."""
        return {"backend": self.ops.name, "precision": str(self.ops.precision), "threads": self.threads}

    def logits(self, tokens: Sequence[int], rows: int = 64) -> Iterator[np.ndarray]:
        """The next-token logits of a sequence, [at most `rows`, V] float32 at a time, in order.

        The sequence is computed whole and without a cache; `rows` only bounds the memory that its logits take.
        """
        x = hidden(self.ops, self.config, self.weights, Batch.packed([tokens]))
        for start in range(0, len(tokens), rows):
            yield self.ops.numpy(unembed(self.ops, self.config, self.weights, x[start : start + rows]))


def load_weights(
    model: str = "nano", *, backend: str = "native", precision: str | None = None, threads: int | None = None
) -> Loaded:
    """Open a checkpoint (a path, a hub name, `nano`) and hand its weights to a backend.

    Raises ModelNotFoundError, ConfigError, CheckpointError or TensorError when the model cannot be read, BackendError
    when the backend cannot run here.
    """
    checkpoint = open_checkpoint(find(model))
    ops = make_ops(backend, precision or default_precision(checkpoint.config), threads)
    return Loaded(checkpoint, ops, prepare(ops, checkpoint.config, checkpoint.tensors))


def default_precision(config: ModelConfig) -> str:
    """`exact`, which small models can afford, and `fast` from 20b on."""
    return "fast" if parameters(config) >= LARGE else "exact"


def parameters(config: ModelConfig) -> int:
    """How many weights a model with this config has."""
    return sum(spec.parameters for spec in expected_tensors(config).values())


def vocabulary_of(checkpoint: Checkpoint) -> Vocabulary:
    """The vocabulary that a checkpoint brings, and the published models' where it brings none.

    Raises VocabularyError when it cannot be read, or has tokens that the model's embedding has no row for.
    """
    if checkpoint.tokenizer is not None:
        vocabulary = Vocabulary.from_tokenizer_json(checkpoint.tokenizer)
    elif (kept := checkpoint.gguf_vocabulary) is not None:
        vocabulary = Vocabulary.from_gguf(kept.tokens, kept.types, kept.merges)
    else:
        vocabulary = Vocabulary.embedded()
    if vocabulary.size > checkpoint.config.vocab_size:
        raise VocabularyError(
            f"{checkpoint.path}: the tokenizer has {vocabulary.size} tokens and the model's vocab_size is "
            f"{checkpoint.config.vocab_size}; a tokenizer.json with at most as many is right"
        )
    return vocabulary
