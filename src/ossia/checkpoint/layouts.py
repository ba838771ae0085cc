"""Which tensors of a safetensors checkpoint hold which of ours: one table per layout, read in both directions.

| layout | attention | experts' weights |
|---|---|---|
| `hugging_face` | q, k, v apart | `gate_up_proj_blocks` and `_scales`, or `gate_up_proj` in bfloat16 and in-by-out |
| `original` | q, k, v stacked in `attn.qkv` | `mlp1_weight.blocks` and `.scales` |

Source: the published checkpoints of gpt-oss-20b (root folder and `original/`); openai/gpt-oss,
gpt_oss/torch/weights.py, `PARAM_NAME_MAP`; transformers, models/gpt_oss/convert_gpt_oss_weights_to_hf.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ossia.checkpoint.tensors import Experts, Spec, Tensor, expected_tensors
from ossia.config import ModelConfig
from ossia.errors import CheckpointError
from ossia.mxfp4 import BLOCK, Packed

__all__ = ["Layout", "Part", "Place", "assemble", "experts_in", "layout_of", "part_of", "places"]

Layout = Literal["hugging_face", "original"]
Part = Literal["values", "transposed", "blocks", "scales"]


@dataclass(frozen=True)
class Place:
    """Where a layout keeps one part of a tensor: a tensor of the file, from `row` of its first axis on."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["BF16", "U8"]
    part: Part = "values"
    row: int = 0


def places(config: ModelConfig, layout: Layout, experts: Experts) -> dict[str, tuple[Place, ...]]:
    """For each tensor that `config` calls for, where a file of this layout keeps it.

    Raises CheckpointError for bfloat16 experts in `original`, which has no place for them.
    """
    if layout == "original" and experts == "bfloat16":
        raise CheckpointError("the original layout has no bfloat16 experts; MXFP4 (--experts mxfp4) is right")
    place = {"hugging_face": _hugging_face, "original": _original}[layout]
    return {name: place(config, name, spec) for name, spec in expected_tensors(config, experts).items()}


def _hugging_face(config: ModelConfig, name: str, spec: Spec) -> tuple[Place, ...]:
    if spec.dtype == "mxfp4":
        return _packed(f"{name}_blocks", f"{name}_scales", spec.shape)
    if len(spec.shape) == 3:
        experts, rows, columns = spec.shape
        return (Place(name, (experts, columns, rows), "BF16", "transposed"),)
    return (Place(name, spec.shape, "BF16"),)


def _packed(blocks: str, scales: str, shape: tuple[int, ...]) -> tuple[Place, ...]:
    groups = (*shape[:-1], shape[-1] // BLOCK)
    return Place(blocks, (*groups, BLOCK // 2), "U8", "blocks"), Place(scales, groups, "U8", "scales")


_ORIGINAL_NAMES = {
    "model.embed_tokens.weight": "embedding.weight",
    "model.norm.weight": "norm.scale",
    "lm_head.weight": "unembedding.weight",
    "input_layernorm.weight": "attn.norm.scale",
    "self_attn.o_proj.weight": "attn.out.weight",
    "self_attn.o_proj.bias": "attn.out.bias",
    "self_attn.sinks": "attn.sinks",
    "post_attention_layernorm.weight": "mlp.norm.scale",
    "mlp.router.weight": "mlp.gate.weight",
    "mlp.router.bias": "mlp.gate.bias",
    "mlp.experts.gate_up_proj": "mlp.mlp1_weight",
    "mlp.experts.gate_up_proj_bias": "mlp.mlp1_bias",
    "mlp.experts.down_proj": "mlp.mlp2_weight",
    "mlp.experts.down_proj_bias": "mlp.mlp2_bias",
}


def _original(config: ModelConfig, name: str, spec: Spec) -> tuple[Place, ...]:
    if name in _ORIGINAL_NAMES:
        return (Place(_ORIGINAL_NAMES[name], spec.shape, "BF16"),)
    _, _, layer, rest = name.split(".", 3)
    if rest.startswith(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")):
        return (_fused(config, f"block.{layer}.attn.qkv", rest, spec),)
    theirs = f"block.{layer}.{_ORIGINAL_NAMES[rest]}"
    if spec.dtype == "mxfp4":
        return _packed(f"{theirs}.blocks", f"{theirs}.scales", spec.shape)
    return (Place(theirs, spec.shape, "BF16"),)


def _fused(config: ModelConfig, theirs: str, rest: str, spec: Spec) -> Place:
    """The rows of q, of k or of v within the three stacked in this order."""
    query, key = config.query_size, config.key_value_size
    row = {"q": 0, "k": query, "v": query + key}[rest[len("self_attn.")]]
    kind = rest.rsplit(".", 1)[1]
    return Place(f"{theirs}.{kind}", (query + 2 * key, *spec.shape[1:]), "BF16", row=row)


def layout_of(names: Iterable[str]) -> Layout:
    """Which layout tensors of these names belong to. Raises CheckpointError when it is neither."""
    some = list(names)
    if any(name.startswith("model.layers.") for name in some):
        return "hugging_face"
    if any(name.startswith("block.") for name in some):
        return "original"
    raise CheckpointError(
        f"the tensors {', '.join(some[:3]) or '(none)'} are of no known layout; "
        "'model.layers.0.…' (Hugging Face) or 'block.0.…' (original) are right"
    )


def experts_in(names: Iterable[str]) -> Experts:
    """How the experts of a checkpoint with these tensors are kept."""
    return "mxfp4" if any(name.endswith(("_blocks", ".blocks", "_scales", ".scales")) for name in names) else "bfloat16"


def assemble(found: Mapping[str, np.ndarray], kept: tuple[Place, ...], rows: int) -> Tensor:
    """One of our tensors (its first axis of size `rows`) as views of the file's."""
    first = kept[0]
    if first.part == "blocks":
        return Packed(found[first.name], found[kept[1].name])
    if first.part == "transposed":
        return found[first.name].transpose(0, 2, 1)
    return found[first.name][first.row : first.row + rows]


def part_of(tensor: Tensor, part: Part) -> np.ndarray:
    """What of a tensor goes to one place, as a view; the inverse of `assemble`."""
    if isinstance(tensor, Packed):
        return tensor.blocks if part == "blocks" else tensor.scales
    return tensor.transpose(0, 2, 1) if part == "transposed" else tensor
