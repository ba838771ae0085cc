"""The tensors that a config calls for, under the one set of names that Ossia uses whatever the file's layout.

The names are those of the published Hugging Face checkpoints. The experts' weights of a layer are two tensors,
`model.layers.N.mlp.experts.gate_up_proj` [X, 2F, D] (gate rows at even, up rows at odd places) and `.down_proj`
[X, D, F], in MXFP4 or in bfloat16, always out-by-in.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from ossia.config import ModelConfig
from ossia.errors import ConfigError, TensorError
from ossia.mxfp4 import BLOCK, Packed

__all__ = ["Experts", "Spec", "Tensor", "active_parameters", "check_tensor", "expected_tensors"]

Tensor = np.ndarray | Packed
"""bfloat16 or float32 values as numpy has them, or MXFP4."""

Experts = Literal["mxfp4", "bfloat16"]
"""How the experts' weights are kept."""

_BITS = {"bfloat16": 16.0, "mxfp4": 4.25}


@dataclass(frozen=True)
class Spec:
    """Shape of the values and format of one tensor: "bfloat16" or "mxfp4"."""

    shape: tuple[int, ...]
    dtype: Experts

    @property
    def parameters(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes they take in the published layouts."""
        return int(self.parameters * _BITS[self.dtype] / 8)


def expected_tensors(config: ModelConfig, experts: Experts = "mxfp4") -> dict[str, Spec]:
    """Every tensor of a model with this config, in the order of its layers: name to shape and format.

    Raises ConfigError when the experts' widths are no whole MXFP4 blocks.
    """
    if experts == "mxfp4":
        _check_blocks(config)
    width = (config.hidden_size,)
    table = (config.vocab_size, config.hidden_size)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": table}
    for layer in range(config.num_hidden_layers):
        for name, shape in _layer_shapes(config).items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    shapes |= {"model.norm.weight": width, "lm_head.weight": table}
    packed = ("experts.gate_up_proj", "experts.down_proj")
    return {name: Spec(shape, experts if name.endswith(packed) else "bfloat16") for name, shape in shapes.items()}


def _layer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    hidden, inner, experts = config.hidden_size, config.intermediate_size, config.num_local_experts
    query, key = config.query_size, config.key_value_size
    return {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (query, hidden),
        "self_attn.q_proj.bias": (query,),
        "self_attn.k_proj.weight": (key, hidden),
        "self_attn.k_proj.bias": (key,),
        "self_attn.v_proj.weight": (key, hidden),
        "self_attn.v_proj.bias": (key,),
        "self_attn.o_proj.weight": (hidden, query),
        "self_attn.o_proj.bias": (hidden,),
        "self_attn.sinks": (config.num_attention_heads,),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.router.weight": (experts, hidden),
        "mlp.router.bias": (experts,),
        "mlp.experts.gate_up_proj": (experts, 2 * inner, hidden),
        "mlp.experts.gate_up_proj_bias": (experts, 2 * inner),
        "mlp.experts.down_proj": (experts, hidden, inner),
        "mlp.experts.down_proj_bias": (experts, hidden),
    }


def _check_blocks(config: ModelConfig) -> None:
    for key in ("hidden_size", "intermediate_size"):
        if getattr(config, key) % BLOCK:
            raise ConfigError(f"{key} is {getattr(config, key)}; MXFP4 experts need a multiple of {BLOCK}")


def active_parameters(config: ModelConfig) -> int:
    """Parameters that one token's step uses: all but the embedding table and the experts not chosen."""
    share = {True: config.num_experts_per_tok, False: config.num_local_experts}
    return sum(
        spec.parameters * share[".experts." in name] // config.num_local_experts
        for name, spec in expected_tensors(config, "bfloat16").items()
        if name != "model.embed_tokens.weight"
    )


class Typed(Protocol):
    """What has a shape and a dtype, as arrays do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        ...

    @property
    def dtype(self) -> Any:
        """Format of the values."""
        ...


def check_tensor(name: str, tensor: Typed | Packed, spec: Spec) -> None:
    """Refuses a tensor of another shape or format than `spec`. Raises TensorError naming it."""
    found = "mxfp4" if isinstance(tensor, Packed) else str(tensor.dtype)
    # float32 holds every bfloat16 value: GGUF keeps its vectors so, and a model in training all of its weights.
    right = {"mxfp4": ("mxfp4",), "bfloat16": ("bfloat16", "float32")}[spec.dtype]
    if tuple(tensor.shape) != spec.shape or found not in right:
        raise TensorError(
            f"{name} is {found} {list(tensor.shape)}; {' or '.join(right)} {list(spec.shape)} is right for this config"
        )
