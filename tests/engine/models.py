"""Small models for the engine's tests: their configs, and random weights."""

from typing import Any

import numpy as np
from ml_dtypes import bfloat16

from ossia.config import FULL, SLIDING, ModelConfig, Yarn
from ossia.engine import LoadedModel
from ossia.model import prepare
from ossia.mxfp4 import Packed
from ossia.ops import Ops, Precision

Tensors = dict[str, np.ndarray | Packed]


def small_config(**changes: object) -> ModelConfig:
    """Four layers of two kinds with a window of 7: no multiple of any page size in these tests."""
    values: dict[str, object] = {
        "num_hidden_layers": 4,
        "hidden_size": 64,
        "intermediate_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "vocab_size": 101,
        "sliding_window": 7,
        "layer_types": (SLIDING, FULL, SLIDING, FULL),
        "max_position_embeddings": 256,
        "rope_theta": 150000.0,
        "rope_scaling": Yarn(factor=4.0, beta_fast=32, beta_slow=1, original_max_position_embeddings=64),
        "rms_norm_eps": 1e-5,
        "swiglu_limit": 7.0,
    }
    return ModelConfig(**(values | changes))  # type: ignore[arg-type]


def random_tensors(config: ModelConfig, seed: int = 0) -> Tensors:
    """Weights by their names in a checkpoint: Gaussian in bfloat16, experts as MXFP4 of about the same size."""
    random = np.random.default_rng(seed)
    experts, width, inner = config.num_local_experts, config.hidden_size, config.intermediate_size

    def dense(*shape: int, scale: float = 0.3) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(bfloat16)

    def packed(rows: int, columns: int) -> Packed:
        blocks = random.integers(0, 256, (experts, rows, columns // 32, 16), np.uint8)
        return Packed(blocks, random.integers(121, 124, (experts, rows, columns // 32), np.uint8))

    tensors: Tensors = {
        "model.embed_tokens.weight": dense(config.vocab_size, width, scale=1.0),
        "model.norm.weight": dense(width, scale=1.0),
        "lm_head.weight": dense(config.vocab_size, width),
    }
    for layer in range(config.num_hidden_layers):
        own: Tensors = {
            "input_layernorm.weight": dense(width, scale=1.0),
            "post_attention_layernorm.weight": dense(width, scale=1.0),
            "self_attn.sinks": dense(config.num_attention_heads, scale=1.0),
            "self_attn.o_proj.weight": dense(width, config.query_size),
            "self_attn.o_proj.bias": dense(width),
            "mlp.router.weight": dense(experts, width),
            "mlp.router.bias": dense(experts),
            "mlp.experts.gate_up_proj": packed(2 * inner, width),
            "mlp.experts.gate_up_proj_bias": dense(experts, 2 * inner),
            "mlp.experts.down_proj": packed(width, inner),
            "mlp.experts.down_proj_bias": dense(experts, width),
        }
        for name, rows in {"q": config.query_size, "k": config.key_value_size, "v": config.key_value_size}.items():
            own |= {f"self_attn.{name}_proj.weight": dense(rows, width), f"self_attn.{name}_proj.bias": dense(rows)}
        tensors |= {f"model.layers.{layer}.{name}": tensor for name, tensor in own.items()}
    return tensors


def load(ops: Ops, config: ModelConfig, seed: int = 0) -> LoadedModel:
    """But at `exact` with the dense matrices in 8 bits, as a checkpoint is loaded."""
    tensors: dict[str, Any] = random_tensors(config, seed)
    if ops.precision is not Precision.EXACT:
        dense = [name for name in tensors if name.endswith(("_proj.weight", "lm_head.weight"))]
        tensors |= {name: ops.round_int8(tensors[name]) for name in dense}
    return LoadedModel(ops, config, prepare(ops, config, tensors))
