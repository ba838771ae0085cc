"""An engine whose prompts can be filled in instead of computed: long contexts, measured without an hour of reading."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ossia.engine import Engine
from ossia.engine.pages import Kind
from ossia.engine.request import Share
from ossia.engine.runner import LoadedModel, Runner
from ossia.ops import Array

__all__ = ["FilledEngine"]


class _FilledRunner(Runner):
    """A runner that writes random keys and values, while `filling`, and computes nothing."""

    filling = False

    def __init__(self, model: LoadedModel, kinds: Sequence[Kind]) -> None:
        super().__init__(model, kinds)
        self._random = np.random.default_rng(0)

    def forward(self, shares: Sequence[Share], logit_rows: Sequence[int]) -> Array | None:
        if not self.filling:
            return super().forward(shares, logit_rows)
        model, batch = self._model, self.batch(shares, logit_rows)
        ops, config, tokens = model.ops, model.config, len(batch.tokens)
        k, v = (
            ops.array(self._random.standard_normal((tokens, config.num_key_value_heads, config.head_dim), np.float32))
            for _ in range(2)
        )
        q = ops.array(np.zeros((tokens, config.num_attention_heads, config.head_dim), np.float32))
        for kind, layer, cache in zip(config.layer_types, model.weights.layers, self._caches, strict=True):
            # A window of one token: writing is what is wanted.
            ops.attend(q, k, v, layer.sinks, cache, batch, kind, 1)
        return ops.array(np.zeros((len(logit_rows), config.hidden_size), np.float32)) if logit_rows else None


class FilledEngine(Engine):
    """An engine for measurements."""

    runner_type = _FilledRunner

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Within it, the tokens of steps get random keys and values, of order one, and nothing worth reading out."""
        assert isinstance(self._runner, _FilledRunner)
        self._runner.filling = True
        try:
            yield
        finally:
            self._runner.filling = False
