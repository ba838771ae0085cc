"""The gpt-oss architecture: its only definition, run by every backend, by training and with adapters.

Source: OpenAI, gpt-oss-120b & gpt-oss-20b Model Card (arXiv 2508.10925), section 2; openai/gpt-oss,
gpt_oss/torch/model.py.
"""

from collections.abc import Sequence

from ossia.config import ModelConfig
from ossia.model.rope import angles
from ossia.model.weights import Layer, Weights
from ossia.ops import Array, Batch, Cache, Draw, Drawn, Ops

__all__ = ["attention", "forward", "hidden", "layer", "mixture", "sample", "unembed"]


def forward(
    ops: Ops, config: ModelConfig, weights: Weights, batch: Batch, caches: Sequence[Cache] | None = None
) -> Array:
    """Next-token logits [L, V] float32 of the rows `batch.logit_rows`.

    Writes the keys and values of every token of `batch` into `caches`, one per layer; without pages there are none.
    """
    return unembed(ops, config, weights, hidden(ops, config, weights, batch, caches)[batch.logit_rows])


def hidden(
    ops: Ops, config: ModelConfig, weights: Weights, batch: Batch, caches: Sequence[Cache] | None = None
) -> Array:
    """The residual stream [T, D] after the last layer."""
    x = ops.embed(weights.embedding, batch.tokens)
    cos, sin = (ops.array(table) for table in angles(config, batch.positions))
    for index, weight in enumerate(weights.layers):
        x = layer(ops, config, weight, index, x, cos, sin, batch, caches[index] if caches else None)
    return x


def unembed(ops: Ops, config: ModelConfig, weights: Weights, x: Array) -> Array:
    """[L, D] -> [L, V]: the residual stream read out as logits."""
    return ops.linear(ops.rms_norm(x, weights.norm, config.rms_norm_eps), weights.unembedding)


def sample(ops: Ops, config: ModelConfig, weights: Weights, x: Array, draw: Draw) -> Drawn:
    """[L, D] -> [L] tokens, drawn from the logits of `unembed`, of which none but those that matter need be made."""
    return ops.sample(ops.rms_norm(x, weights.norm, config.rms_norm_eps), weights.unembedding, draw)


def layer(
    ops: Ops,
    config: ModelConfig,
    weights: Layer,
    index: int,
    x: Array,
    cos: Array,
    sin: Array,
    batch: Batch,
    cache: Cache | None,
) -> Array:
    """One layer, [T, D] -> [T, D]: attention, then the mixture of experts, each beside the residual stream."""
    x = x + attention(ops, config, weights, index, x, cos, sin, batch, cache)
    return x + mixture(ops, config, weights, x, batch)


def attention(
    ops: Ops,
    config: ModelConfig,
    weights: Layer,
    index: int,
    x: Array,
    cos: Array,
    sin: Array,
    batch: Batch,
    cache: Cache | None,
) -> Array:
    """[T, D] -> [T, D]: grouped-query attention with sinks, within a window on the sliding layers."""
    tokens = len(batch.tokens)
    x = ops.rms_norm(x, weights.attention_norm, config.rms_norm_eps)
    q = ops.linear(x, weights.q, batch.adapters).reshape(tokens, config.num_attention_heads, config.head_dim)
    k = ops.linear(x, weights.k, batch.adapters).reshape(tokens, config.num_key_value_heads, config.head_dim)
    v = ops.linear(x, weights.v, batch.adapters).reshape(tokens, config.num_key_value_heads, config.head_dim)
    q, k = ops.rope(q, cos, sin), ops.rope(k, cos, sin)
    seen = ops.attend(q, k, v, weights.sinks, cache, batch, config.layer_types[index], config.window(index))
    return ops.linear(seen, weights.o, batch.adapters)


def mixture(ops: Ops, config: ModelConfig, weights: Layer, x: Array, batch: Batch) -> Array:
    """[T, D] -> [T, D]: each token through the few experts that the router chooses for it."""
    x = ops.rms_norm(x, weights.mixture_norm, config.rms_norm_eps)
    chosen, shares = ops.route(x, weights.router, config.num_experts_per_tok)
    return ops.experts(x, chosen, shares, weights.experts, config.swiglu_limit, batch.adapters)
