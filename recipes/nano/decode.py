"""Many prompts answered at once over the trainer's own operations: for a quick look, and for samples.

Every sequence is at the same position in every step, prompts being fed token by token, so that a cache is one array
without pages. What is reported in the end is measured by the engine instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ossia.config import ModelConfig
from ossia.model import forward, prepare
from ossia.ops import Batch
from ossia.train.train_ops import TrainOps

__all__ = ["generate"]


class _DecodeOps(TrainOps):
    """Training's operations for one token of each sequence, with caches [2, sequences, length, K, E]."""

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, cache: Any, batch: Batch, kind: str, window: int | None
    ) -> Tensor:
        position = int(batch.positions[0])
        cache[0, :, position], cache[1, :, position] = k, v
        first = 0 if window is None else max(0, position - window + 1)
        keys, values = cache[:, :, first : position + 1].transpose(2, 3)
        queries = q.unflatten(1, (k.shape[1], -1))
        scores = queries @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5
        sink = sinks.view(1, k.shape[1], -1, 1).expand(len(q), -1, -1, -1)
        shares = torch.cat([scores, sink], dim=-1).softmax(-1)[..., :-1]
        return (shares @ values).flatten(1)


@torch.no_grad()
def generate(
    config: ModelConfig,
    parameters: Mapping[str, Tensor],
    prompts: Sequence[Sequence[int]],
    stop: Sequence[int],
    limit: int,
    *,
    quantise: bool = True,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[int]]:
    """The tokens that follow each prompt, its stop token included, at most `limit`; computed in float32.

    The likeliest ones at temperature 0, else samples: the same for the same seed.
    """
    chance = torch.Generator().manual_seed(seed)
    ops = _DecodeOps(torch.float32, quantise=quantise)
    weights = prepare(ops, config, cast(Any, parameters))
    longest = max(map(len, prompts))
    shape = (2, len(prompts), longest + limit, config.num_key_value_heads, config.head_dim)
    caches = [torch.zeros(shape) for _ in range(config.num_hidden_layers)]
    texts = [list(prompt) for prompt in prompts]
    ended = np.zeros(len(prompts), bool)
    rows = np.arange(len(prompts) + 1, dtype=np.int32)
    for position in range(longest + limit - 1):
        tokens = np.asarray([text[position] if position < len(text) else stop[0] for text in texts], np.int32)
        batch = Batch(tokens, np.full(len(prompts), position, np.int32), rows, rows[:-1])
        ops.balance.clear()
        chosen = _chosen(forward(ops, config, weights, batch, caches), temperature, chance)
        for index, token in enumerate(chosen):
            if len(texts[index]) == position + 1 and not ended[index]:
                texts[index].append(token)
                written = len(texts[index]) - len(prompts[index])
                ended[index] = token in stop or written == limit
        if ended.all():
            break
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


def _chosen(logits: Tensor, temperature: float, chance: torch.Generator) -> list[int]:
    """[N, V] -> of each row a token."""
    if temperature == 0:
        return logits.argmax(-1).tolist()
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=chance)[:, 0].tolist()
