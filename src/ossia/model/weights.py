"""The model's weights as its backend keeps them, found by their names in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ossia.config import ModelConfig
from ossia.int4 import Screened
from ossia.int8 import Int8
from ossia.mxfp4 import Packed
from ossia.ops import Experts, Handle, Linear, Ops, Role

__all__ = ["Layer", "Weights", "prepare"]

Tensors = Mapping[str, np.ndarray | Packed | Int8 | Screened]


@dataclass(frozen=True)
class Layer:
    """The weights of one layer."""

    attention_norm: Handle  # [D]
    q: Linear  # [H * E, D]
    k: Linear  # [K * E, D]
    v: Linear  # [K * E, D]
    o: Linear  # [D, H * E]
    sinks: Handle  # [H]
    mixture_norm: Handle  # [D]
    router: Linear  # [X, D]
    experts: Experts


@dataclass(frozen=True)
class Weights:
    """The weights of a model."""

    embedding: Handle  # [V, D]
    layers: tuple[Layer, ...]
    norm: Handle  # [D]
    unembedding: Linear  # [V, D]


def prepare(ops: Ops, config: ModelConfig, tensors: Tensors) -> Weights:
    """Hand every tensor of a checkpoint to the backend; names are those of the Hugging Face layout."""
    model = _Part(ops, tensors, "")
    return Weights(
        embedding=model.tensor("model.embed_tokens.weight", Role.EMBEDDING),
        layers=tuple(_layer(_Part(ops, tensors, f"model.layers.{n}.")) for n in range(config.num_hidden_layers)),
        norm=model.tensor("model.norm.weight"),
        unembedding=Linear(model.tensor("lm_head.weight", Role.UNEMBEDDING)),
    )


@dataclass(frozen=True)
class _Part:
    """The tensors of a checkpoint whose names begin alike."""

    ops: Ops
    tensors: Tensors
    prefix: str

    def tensor(self, name: str, role: Role = Role.VECTOR) -> Handle:
        return self.ops.prepare(self.tensors[self.prefix + name], role, self.prefix + name)

    def linear(self, name: str, role: Role = Role.LINEAR) -> Linear:
        return Linear(self.tensor(f"{name}.weight", role), self.tensor(f"{name}.bias"))

    def stack(self, name: str) -> Linear:
        return Linear(self.tensor(name, Role.EXPERTS), self.tensor(f"{name}_bias"))


def _layer(part: _Part) -> Layer:
    return Layer(
        attention_norm=part.tensor("input_layernorm.weight"),
        q=part.linear("self_attn.q_proj"),
        k=part.linear("self_attn.k_proj"),
        v=part.linear("self_attn.v_proj"),
        o=part.linear("self_attn.o_proj"),
        sinks=part.tensor("self_attn.sinks"),
        mixture_norm=part.tensor("post_attention_layernorm.weight"),
        router=part.linear("mlp.router", Role.ROUTER),
        experts=Experts(part.stack("mlp.experts.gate_up_proj"), part.stack("mlp.experts.down_proj")),
    )
