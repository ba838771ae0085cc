"""gpt-oss in GGUF: the config from the metadata, and our tensors from the file's.

Two families exist. llama.cpp (architecture `gpt-oss`) keeps gate and up apart; Ollama's own files (`gptoss`) keep them
fused and interleaved as the checkpoint does, and name a few tensors differently. Either is recognised by its names.
The order of nibbles is told by the tensor's type and by nothing else: type 39, ggml's MXFP4, is halves, and type 4,
which only Ollama's first files have, is neighbours.

Matrices in bfloat16 and vectors in float32 are views of the map. Everything else is computed when it is asked for, and
not kept: float16 and Q8_0 become float32; MXFP4 records of 17 bytes become blocks and scales; gate and up become one
tensor of interleaved rows.

Source: llama.cpp, convert_hf_to_gguf.py `GptOssModel` and src/llama-arch.cpp `LLM_ARCH_OPENAI_MOE`; ollama,
convert/convert_gptoss.go at fa7776fd2 (type 4) and at 93085127f (type 39), model/models/gptoss/model.go. Of Ollama's
layout only this code was at hand, no published file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np

from ossia.checkpoint.checkpoint import Checkpoint, LazyTensors
from ossia.checkpoint.gguf import SIZES, GgufFile, GgufTensor, read_gguf
from ossia.checkpoint.gguf_metadata import ARCHITECTURES, config_from, generation_from, tokenizer_from, vocabulary_from
from ossia.checkpoint.tensors import Spec, Tensor, expected_tensors
from ossia.config import ModelConfig
from ossia.errors import CheckpointError, ConfigError, TensorError
from ossia.mxfp4 import BLOCK, Packed, to_neighbours

__all__ = ["alternatives", "open_gguf"]

_NAMES: dict[str, tuple[str, ...]] = {
    "model.embed_tokens.weight": ("token_embd.weight",),
    "model.norm.weight": ("output_norm.weight",),
    "lm_head.weight": ("output.weight",),
    "input_layernorm.weight": ("attn_norm.weight",),
    "self_attn.q_proj": ("attn_q",),
    "self_attn.k_proj": ("attn_k",),
    "self_attn.v_proj": ("attn_v",),
    "self_attn.o_proj": ("attn_output", "attn_out"),
    "self_attn.sinks": ("attn_sinks.weight", "attn_sinks"),
    "post_attention_layernorm.weight": ("post_attention_norm.weight", "ffn_norm.weight"),
    "mlp.router": ("ffn_gate_inp",),
    "mlp.experts.down_proj": ("ffn_down_exps",),
}
"""Our names to those of GGUF, the first as llama.cpp has it, a second as Ollama's own files have it."""

_FUSED = {"self_attn.q_proj": "attn_qkv", "self_attn.k_proj": "attn_qkv", "self_attn.v_proj": "attn_qkv"}


def open_gguf(file: Path) -> Checkpoint:
    """Opens a GGUF file of a gpt-oss model.

    Raises ConfigError, CheckpointError or TensorError when something in it cannot be right.
    """
    gguf = read_gguf(file)
    try:
        return _open(file, gguf)
    except (CheckpointError, ConfigError) as error:
        raise type(error)(f"{file}: {error}") from error


def _open(file: Path, gguf: GgufFile) -> Checkpoint:
    architecture = gguf.metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise CheckpointError(f"the architecture is {architecture!r:.80}; {' or '.join(ARCHITECTURES)} is right")
    config = config_from(gguf.metadata, architecture, gguf.tensors)
    sources = {name: _sources(name, gguf.tensors) for name in expected_tensors(config, "bfloat16")}
    _refuse_unknown(gguf.tensors, sources)
    packed = "MXFP4" in gguf.tensors[sources["model.layers.0.mlp.experts.down_proj"][0]].type
    specs = expected_tensors(config, "mxfp4" if packed else "bfloat16")
    for name, spec in specs.items():
        for source in sources[name]:
            _check(source, gguf.tensors[source], spec, _rows(config, source, len(sources[name]), spec))
    return Checkpoint(
        path=file,
        config=config,
        layout=ARCHITECTURES[architecture],
        experts="mxfp4" if packed else "bfloat16",
        tensors=LazyTensors({name: _maker(config, name, spec, gguf, sources[name]) for name, spec in specs.items()}),
        stored={name: gguf.tensors[sources[name][0]].type.removesuffix("_NEIGHBOURS") for name in specs},
        tokenizer=tokenizer_from(gguf.metadata),
        gguf_vocabulary=vocabulary_from(gguf.metadata),
        generation=generation_from(gguf.metadata),
        bytes=gguf.size,
    )


def alternatives(name: str) -> list[tuple[str, ...]]:
    """The ways in which files keep one of our tensors, each the names of the tensors that it takes."""
    if not name.startswith("model.layers."):
        return [(theirs,) for theirs in _NAMES[name]]
    _, _, layer, rest = name.split(".", 3)
    block = f"blk.{layer}"
    if rest.startswith("mlp.experts.gate_up_proj"):
        kind = "bias" if rest.endswith("_bias") else "weight"
        apart = (f"{block}.ffn_gate_exps.{kind}", f"{block}.ffn_up_exps.{kind}")
        return [apart, (f"{block}.ffn_gate_up_exps.{kind}",)]
    if rest in _NAMES and rest.endswith((".weight", ".sinks")):
        return [(f"{block}.{theirs}",) for theirs in _NAMES[rest]]
    stem, kind = _stem_and_kind(rest)
    fused = (_FUSED[stem],) if stem in _FUSED else ()
    return [(f"{block}.{theirs}.{kind}",) for theirs in (*_NAMES[stem], *fused)]


def _stem_and_kind(rest: str) -> tuple[str, str]:
    """`mlp.router.bias` is the bias of `mlp.router`; the experts' names join the two differently."""
    if rest.startswith("mlp.experts."):
        return (rest.removesuffix("_bias"), "bias") if rest.endswith("_bias") else (rest, "weight")
    stem, kind = rest.rsplit(".", 1)
    return stem, kind


def _sources(name: str, tensors: Mapping[str, GgufTensor]) -> tuple[str, ...]:
    """The tensors of the file that hold one of ours."""
    ways = alternatives(name)
    for names in ways:
        if all(source in tensors for source in names):
            return names
    missing = next(source for source in ways[0] if source not in tensors)
    raise TensorError(f"{missing} is missing; the config calls for it, and {len(tensors)} tensors are here")


def _refuse_unknown(tensors: Mapping[str, GgufTensor], sources: Mapping[str, tuple[str, ...]]) -> None:
    known = {source for names in sources.values() for source in names}
    if unknown := [name for name in tensors if name not in known]:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise TensorError(f"{unknown[0]}{more} unknown; the config calls for {len(known)} tensors")


def _rows(config: ModelConfig, source: str, parts: int, spec: Spec) -> tuple[int, ...]:
    """The shape that a tensor of the file must have: half the rows of gate and up together, or all of q, k and v."""
    if parts == 2:
        return (spec.shape[0], spec.shape[1] // 2, *spec.shape[2:])
    if ".attn_qkv." in source:
        return (config.query_size + 2 * config.key_value_size, *spec.shape[1:])
    return spec.shape


def _check(source: str, tensor: GgufTensor, spec: Spec, shape: tuple[int, ...]) -> None:
    packed = tensor.type.startswith("MXFP4")
    if packed != (spec.dtype == "mxfp4") or tensor.shape != shape:
        right = "MXFP4" if spec.dtype == "mxfp4" else " or ".join(name for name in SIZES if "MXFP4" not in name)
        raise TensorError(f"{source} is {tensor.type} {list(tensor.shape)}; {right} {list(shape)} is right")


def _maker(
    config: ModelConfig, name: str, spec: Spec, gguf: GgufFile, sources: tuple[str, ...]
) -> Callable[[], Tensor]:
    """What makes one of our tensors when it is asked for."""
    first, *rest = ((source, gguf.tensors[source]) for source in sources)
    if rest:
        return lambda: _interleave(_values(*first), _values(*rest[0]))
    if ".attn_qkv." in sources[0]:
        query, key = config.query_size, config.key_value_size
        start = {"q": 0, "k": query, "v": query + key}[name.split("self_attn.")[1][0]]
        return lambda: _values(*first)[start : start + spec.shape[0]]
    return lambda: _values(*first)


def _values(name: str, tensor: GgufTensor) -> Tensor:
    """The values of one tensor of the file; a view for F32 and BF16."""
    if tensor.type.startswith("MXFP4"):
        return _packed(tensor)
    if tensor.type == "Q8_0":
        return _from_q8_0(name, tensor)
    dtype = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16)}[tensor.type]
    values = np.ascontiguousarray(tensor.data).view(dtype).reshape(tensor.shape)
    return values.astype(np.float32) if tensor.type == "F16" else values


def _packed(tensor: GgufTensor) -> Packed:
    """Records of a scale byte and sixteen bytes of nibbles, as blocks and scales."""
    records = tensor.data.reshape(*tensor.shape[:-1], tensor.shape[-1] // BLOCK, 17)
    blocks = np.ascontiguousarray(records[..., 1:])
    return Packed(to_neighbours(blocks) if tensor.type == "MXFP4" else blocks, np.ascontiguousarray(records[..., 0]))


def _from_q8_0(name: str, tensor: GgufTensor) -> np.ndarray:
    """Records of a float16 scale and 32 signed bytes, as float32 (exactly their products)."""
    records = tensor.data.reshape(-1, 34)
    scales = np.ascontiguousarray(records[:, :2]).view("<f2").astype(np.float32)
    if not np.isfinite(scales).all():
        raise TensorError(f"{name}: a Q8_0 scale is not finite; a number is right")
    return (records[:, 2:].view(np.int8) * scales).reshape(tensor.shape)


def _interleave(gate: Tensor, up: Tensor) -> Tensor:
    """[X, F, ...] and [X, F, ...] as [X, 2F, ...], gate rows at even places."""
    if isinstance(gate, Packed) and isinstance(up, Packed):
        return Packed(_rows_in_turn(gate.blocks, up.blocks), _rows_in_turn(gate.scales, up.scales))
    if isinstance(gate, Packed) or isinstance(up, Packed):
        raise TensorError("gate and up of one layer differ: one is MXFP4; both or none is right")
    return _rows_in_turn(gate, up)


def _rows_in_turn(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    return np.stack([even, odd], axis=2).reshape(len(even), -1, *even.shape[2:])
