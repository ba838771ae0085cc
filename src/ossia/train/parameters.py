"""The tensors of a new model, by the names of the Hugging Face layout."""

import math

import torch
from torch import Tensor, nn

from ossia.config import ModelConfig

__all__ = ["initial_parameters", "is_matrix"]

_EMBEDDING_SPREAD = 0.1
_UNEMBEDDING_PART = 0.3


def initial_parameters(config: ModelConfig, seed: int) -> dict[str, nn.Parameter]:
    """Float32 parameters; experts are rows-out, [X, 2F, D] and [X, D, F], as `ossia.model.prepare` takes them.

    What writes to the residual stream begins at zero: layers join in as they become useful. The unembedding begins as a
    part of the embedding: to copy a token is then the same linear map for all tokens, and need not be learned for each.
    """
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, Tensor] = {}

    def matrix(name: str, *shape: int, zero: bool = False) -> None:
        spread = 0.0 if zero else 1 / math.sqrt(shape[-1])
        values[name] = spread * torch.randn(shape, generator=generator)

    width, active, experts = config.hidden_size, config.intermediate_size, config.num_local_experts
    values["model.embed_tokens.weight"] = _EMBEDDING_SPREAD * torch.randn(config.vocab_size, width, generator=generator)
    values["lm_head.weight"] = _UNEMBEDDING_PART * values["model.embed_tokens.weight"]
    values["model.norm.weight"] = torch.ones(width)
    for index in range(config.num_hidden_layers):
        prefix = f"model.layers.{index}."
        heads = {"q": config.query_size, "k": config.key_value_size, "v": config.key_value_size}
        for name, size in heads.items():
            matrix(f"{prefix}self_attn.{name}_proj.weight", size, width)
            values[f"{prefix}self_attn.{name}_proj.bias"] = torch.zeros(size)
        matrix(f"{prefix}self_attn.o_proj.weight", width, config.query_size, zero=True)
        values[f"{prefix}self_attn.o_proj.bias"] = torch.zeros(width)
        values[f"{prefix}self_attn.sinks"] = torch.zeros(config.num_attention_heads)
        values[f"{prefix}input_layernorm.weight"] = torch.ones(width)
        values[f"{prefix}post_attention_layernorm.weight"] = torch.ones(width)
        matrix(f"{prefix}mlp.router.weight", experts, width)
        values[f"{prefix}mlp.router.bias"] = torch.zeros(experts)
        matrix(f"{prefix}mlp.experts.gate_up_proj", experts, 2 * active, width)
        values[f"{prefix}mlp.experts.gate_up_proj_bias"] = torch.zeros(experts, 2 * active)
        matrix(f"{prefix}mlp.experts.down_proj", experts, width, active, zero=True)
        values[f"{prefix}mlp.experts.down_proj_bias"] = torch.zeros(experts, width)
    return {name: nn.Parameter(value) for name, value in values.items()}


def is_matrix(name: str) -> bool:
    """Whether Muon trains this parameter: the matrices of attention and experts, neither router nor embeddings."""
    attention = ".self_attn." in name and name.endswith("_proj.weight")
    return attention or name.endswith(("experts.gate_up_proj", "experts.down_proj"))
