"""What GGUF's metadata say of a gpt-oss model: config, vocabulary and generation; and the same, written.

Three facts of our config have no key in GGUF. They are read from keys of our own namespace, which other programs pass
over, and otherwise are what the published models have: `ossia.swiglu_limit` (7), `ossia.rope_truncate` (false) and
`ossia.layer_types` (sliding and full in turn).

Source: ggml-org/ggml, docs/gguf.md; llama.cpp, src/llama-arch.cpp, `LLM_KV_NAMES`.
"""

import json
from collections.abc import Mapping
from typing import Any

from ossia.checkpoint.checkpoint import Vocabulary
from ossia.checkpoint.gguf import GgufTensor
from ossia.checkpoint.tensors import Experts
from ossia.config import FULL, SLIDING, ModelConfig
from ossia.errors import CheckpointError, ConfigError, VocabularyError

__all__ = [
    "ARCHITECTURES",
    "config_from",
    "generation_from",
    "metadata_of",
    "tokenizer_from",
    "vocabulary_from",
    "vocabulary_of",
]

ARCHITECTURES = {"gpt-oss": "gguf", "gptoss": "ollama"}
"""Values of `general.architecture`, and the layout that each stands for."""

# Our key to that of GGUF, behind the architecture's name.
_KEYS = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "num_local_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "sliding_window": "attention.sliding_window",
    "max_position_embeddings": "context_length",
    "rope_theta": "rope.freq_base",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
# Programs ask for these as float32, however a config spells them.
_FLOATS = ("rope_theta", "rms_norm_eps")
_FACTOR, _INITIAL = "rope.scaling.factor", "rope.scaling.original_context_length"
_BETA_FAST, _BETA_SLOW = "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"
# Other keys that programs write. Those with a value of our config must agree with it; the rest say nothing about it.
_REPEATED = {
    "attention.value_length": "head_dim",
    "rope.dimension_count": "head_dim",
    "expert_feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
}
_FIXED = {"rope.scaling.type": "yarn", "rope.scaling.yarn_attn_factor": 1.0, "rope.scaling.yarn_ext_factor": 1.0}
_INDIFFERENT = {"rope.scaling.finetuned"}

# The published models have three ids that end an answer.
_MOST_ENDS = 1024
# Kinds of tokens. Source: llama.cpp, include/llama.h, `llama_token_type`.
_NORMAL, _CONTROL, _USER, _UNUSED = 1, 3, 4, 5
# Source: llama.cpp, include/llama.h, `LLAMA_FTYPE_MOSTLY_MXFP4_MOE`, `LLAMA_FTYPE_MOSTLY_BF16`.
_FILE_TYPES = {"mxfp4": 38, "bfloat16": 32}


def config_from(metadata: Mapping[str, Any], architecture: str, tensors: Mapping[str, GgufTensor]) -> ModelConfig:
    """The config. Raises ConfigError when a key is unknown, missing or impossible."""
    own = {
        key.removeprefix(f"{architecture}."): value
        for key, value in metadata.items()
        if key.startswith(f"{architecture}.")
    }
    needed = {*_KEYS.values(), _FACTOR, _INITIAL}
    known = needed | {_BETA_FAST, _BETA_SLOW, *_REPEATED, *_FIXED} | _INDIFFERENT
    if strange := sorted(own.keys() - known):
        raise ConfigError(f"unknown key {architecture}.{strange[0]}; known: {', '.join(sorted(known))}")
    if missing := sorted(needed - own.keys()):
        raise ConfigError(f"missing key {architecture}.{missing[0]}; needed: {', '.join(sorted(needed))}")
    data = {ours: _as_written(own[theirs]) for ours, theirs in _KEYS.items()}
    data["rope_theta"] = _whole(data["rope_theta"])
    data |= {
        "vocab_size": _vocabulary_size(tensors),
        "rope_scaling": _scaling(own, metadata),
        "layer_types": metadata.get("ossia.layer_types", _in_turn(data["num_hidden_layers"])),
        "swiglu_limit": _as_written(metadata.get("ossia.swiglu_limit", 7.0)),
        "eos_token_id": metadata.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": metadata.get("tokenizer.ggml.padding_token_id"),
    }
    config = ModelConfig.from_dict(data)
    _check_repeated(config, own, architecture)
    return config


def _as_written(value: Any) -> Any:
    """The shortest decimal that a float32 was written from: 1e-5, not 9.99999974e-06."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _whole(value: Any) -> Any:
    """The integer that a whole number is in the published configs."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _vocabulary_size(tensors: Mapping[str, GgufTensor]) -> int:
    if "token_embd.weight" not in tensors:
        raise CheckpointError("token_embd.weight is missing; it says how large the vocabulary is")
    return tensors["token_embd.weight"].shape[0]


def _scaling(own: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rope_type": "yarn",
        "factor": _as_written(own[_FACTOR]),
        "beta_fast": _as_written(own.get(_BETA_FAST, 32.0)),
        "beta_slow": _as_written(own.get(_BETA_SLOW, 1.0)),
        "original_max_position_embeddings": own[_INITIAL],
        "truncate": metadata.get("ossia.rope_truncate", False),
    }


def _in_turn(layers: Any) -> list[str]:
    """Sliding and full layers in turn, as the published models have them; a wrong count is refused by the config."""
    count = layers if type(layers) is int and 0 < layers < 1 << 16 else 0
    return [FULL if layer % 2 else SLIDING for layer in range(count)]


def _check_repeated(config: ModelConfig, own: Mapping[str, Any], architecture: str) -> None:
    right = {theirs: getattr(config, ours) for theirs, ours in _REPEATED.items()} | _FIXED
    for key, value in right.items():
        if own.get(key, value) != value:
            raise ConfigError(f"{architecture}.{key} is {own[key]!r:.80}; {value!r} is right beside the other keys")


def vocabulary_from(metadata: Mapping[str, Any]) -> Vocabulary | None:
    """The vocabulary, if the file has one. Raises VocabularyError when its parts do not fit together."""
    if "tokenizer.ggml.tokens" not in metadata:
        return None
    tokens = _list_of(str, metadata, "tokenizer.ggml.tokens")
    kinds = metadata.get("tokenizer.ggml.token_type")
    merges = _list_of(str, metadata, "tokenizer.ggml.merges", [])
    if isinstance(kinds, list | memoryview) and len(kinds) != len(tokens):
        raise VocabularyError(
            f"tokenizer.ggml.token_type has {len(kinds)} entries; {len(tokens)}, one a token, is right"
        )
    types = _list_of(int, metadata, "tokenizer.ggml.token_type", [_NORMAL] * len(tokens))
    return Vocabulary(tuple(tokens), tuple(types), tuple(merges))


def _list_of(kind: type, metadata: Mapping[str, Any], key: str, default: list[Any] | None = None) -> list[Any]:
    found = metadata.get(key, default)
    listed = found.tolist() if isinstance(found, memoryview) else found
    if not isinstance(listed, list) or not all(type(one) is kind for one in listed):
        raise VocabularyError(f"{key} is no array of {kind.__name__}; that is right")
    return listed


def tokenizer_from(metadata: Mapping[str, Any]) -> bytes | None:
    """The `tokenizer.json` that the file carries, if it does."""
    text = metadata.get("tokenizer.huggingface.json")
    return text.encode() if isinstance(text, str) else None


def generation_from(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What `generation_config.json` would say: as it was, where the file carries it, else the token ids."""
    whole = metadata.get("ossia.generation")
    if isinstance(whole, str):
        try:
            data = json.loads(whole)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"ossia.generation is no readable JSON: {error}") from error
        if not isinstance(data, dict):
            raise CheckpointError(f"ossia.generation is a JSON {type(data).__name__}; an object is right")
        return data
    ids = {
        "bos_token_id": metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": _ends(metadata),
        "pad_token_id": metadata.get("tokenizer.ggml.padding_token_id"),
    }
    return {key: value for key, value in ids.items() if value is not None}


def _ends(metadata: Mapping[str, Any]) -> Any:
    ends = metadata.get("tokenizer.ggml.eos_token_ids", metadata.get("tokenizer.ggml.eos_token_id"))
    if not isinstance(ends, memoryview):
        return ends
    if len(ends) > _MOST_ENDS:
        raise CheckpointError(f"tokenizer.ggml.eos_token_ids has {len(ends)} ids; at most {_MOST_ENDS} are right")
    return ends.tolist()


def metadata_of(
    config: ModelConfig,
    layout: str,
    experts: Experts,
    vocabulary: Vocabulary | None,
    tokenizer: bytes | None,
    generation: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The metadata of a file with this config; the inverse of the functions above."""
    architecture = next(name for name, stands_for in ARCHITECTURES.items() if stands_for == layout)
    own: dict[str, Any] = {theirs: getattr(config, ours) for ours, theirs in _KEYS.items()}
    own |= {theirs: getattr(config, ours) for theirs, ours in _REPEATED.items()}
    own |= {_KEYS[ours]: float(getattr(config, ours)) for ours in _FLOATS}
    own |= {
        "rope.scaling.type": "yarn",
        _FACTOR: float(config.rope_scaling.factor),
        _INITIAL: config.rope_scaling.original_max_position_embeddings,
        _BETA_FAST: float(config.rope_scaling.beta_fast),
        _BETA_SLOW: float(config.rope_scaling.beta_slow),
    }
    return (
        {"general.architecture": architecture, "general.file_type": _FILE_TYPES[experts]}
        | {f"{architecture}.{key}": value for key, value in own.items()}
        | {
            "ossia.swiglu_limit": float(config.swiglu_limit),
            "ossia.rope_truncate": config.rope_scaling.truncate,
            "ossia.layer_types": list(config.layer_types),
        }
        | _vocabulary_keys(config, vocabulary, tokenizer)
        | ({"ossia.generation": json.dumps(dict(generation))} if generation else {})
    )


def _vocabulary_keys(config: ModelConfig, vocabulary: Vocabulary | None, tokenizer: bytes | None) -> dict[str, Any]:
    # llama.cpp opens no file that says nothing of its vocabulary.
    keys: dict[str, Any] = {"tokenizer.ggml.model": "none"}
    if vocabulary:
        keys = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "gpt-4o",
            "tokenizer.ggml.tokens": list(vocabulary.tokens),
            "tokenizer.ggml.token_type": list(vocabulary.types),
            "tokenizer.ggml.merges": list(vocabulary.merges),
            "tokenizer.ggml.add_bos_token": False,
        }
    if tokenizer is not None:
        keys["tokenizer.huggingface.json"] = _text(tokenizer)
    ids = {"eos_token_id": config.eos_token_id, "padding_token_id": config.pad_token_id}
    return keys | {f"tokenizer.ggml.{key}": value for key, value in ids.items() if value is not None}


def _text(tokenizer: bytes) -> str:
    try:
        return tokenizer.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VocabularyError(f"tokenizer.json is no UTF-8: {error}") from error


def vocabulary_of(tokenizer: bytes, size: int) -> Vocabulary:
    """The vocabulary in a `tokenizer.json`, filled up to `size` with unused tokens as llama.cpp does.

    Raises VocabularyError when it is not byte-pair encoding, or has ids of `size` or more.
    """
    try:
        data = json.loads(_text(tokenizer))
        words = {token: (index, _NORMAL) for token, index in data["model"]["vocab"].items()}
        added = {one["content"]: (one["id"], _CONTROL if one["special"] else _USER) for one in data["added_tokens"]}
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
        by_id = {index: (token, kind) for token, (index, kind) in (words | added).items()}
        largest = max(by_id)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VocabularyError(f"tokenizer.json is no readable byte-pair encoding: {error!r:.200}") from error
    if largest >= size:
        raise VocabularyError(f"tokenizer.json has token id {largest}; less than vocab_size, {size}, is right")
    filled = [by_id.get(index, (f"[PAD{index}]", _UNUSED)) for index in range(size)]
    return Vocabulary(tuple(token for token, _ in filled), tuple(kind for _, kind in filled), tuple(merges))
