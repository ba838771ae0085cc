"""transformers' GptOssForCausalLM in float32: the outside judge of the whole model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GptOssConfig, GptOssForCausalLM

from ossia.config import ModelConfig
from ossia.model import angles
from ossia.mxfp4 import Packed, decode, encode

# Weights of this size make a model whose logits move by some 1e-6 of the largest when its embedding moves by half a
# unit in the last place: a tenth of the bound that is tested. With 0.2 it is 5e-6, and the test would measure that.
SMALL: dict[str, Any] = {
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_local_experts": 8,
    "num_experts_per_tok": 4,
    "vocab_size": 300,
    "sliding_window": 16,
    "max_position_embeddings": 131072,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "initializer_range": 0.1,
}


@dataclass(frozen=True)
class Judge:
    """A random model as transformers runs it, and the same weights under the canonical names of a checkpoint."""

    model: GptOssForCausalLM
    config: ModelConfig
    tensors: dict[str, np.ndarray | Packed]

    def logits(self, tokens: np.ndarray, first_position: int = 0) -> np.ndarray:
        """[T] -> [T, V] float32."""
        positions = torch.arange(first_position, first_position + len(tokens))[None]
        with torch.no_grad():
            return self.model(torch.tensor(tokens)[None], position_ids=positions).logits[0].numpy()


def make_judge(seed: int = 0, sinks: float = 1.0, one_table: bool = False, **changes: Any) -> Judge:
    """A judge with random weights; `sinks` is their scale, `one_table` gives it our angles."""
    settings = GptOssConfig(**SMALL | changes)
    torch.manual_seed(seed)
    model = GptOssForCausalLM(settings).float().eval()
    _randomise(model, sinks)
    config = ModelConfig.from_dict(settings.to_dict() | {"architectures": ["GptOssForCausalLM"]})
    if one_table:
        model.model.rotary_emb.forward = lambda x, position_ids: _our_angles(config, position_ids)
    return Judge(model, config, _share_weights(model))


def _randomise(model: GptOssForCausalLM, sinks: float) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "sinks" in name:
                parameter.normal_(0, sinks)
            elif "norm" in name:
                parameter.normal_(1, 0.2)
            elif "bias" in name:
                parameter.normal_(0, 0.5)
            elif "experts" in name:
                parameter.normal_(0, 0.2)


def _our_angles(config: ModelConfig, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    cos, sin = angles(config, positions[0].numpy())
    return torch.from_numpy(cos)[None], torch.from_numpy(sin)[None]


def _share_weights(model: GptOssForCausalLM) -> dict[str, np.ndarray | Packed]:
    """The weights by name; experts rounded to MXFP4, in the judge too, and out-by-in as a checkpoint has them."""
    tensors: dict[str, np.ndarray | Packed] = {}
    for name, parameter in model.state_dict().items():
        if name.endswith(("gate_up_proj", "down_proj")):
            tensors[name] = packed = encode(parameter.numpy().swapaxes(1, 2))
            parameter.copy_(torch.from_numpy(decode(packed).swapaxes(1, 2).copy()))
        else:
            tensors[name] = parameter.numpy().copy()
    return tensors


def relative_error(found: np.ndarray, right: np.ndarray) -> float:
    """max |found - right| / max |right|."""
    return float(np.abs(found - right).max() / np.abs(right).max())
