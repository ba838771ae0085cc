"""What a model's own file says about it: `ModelConfig`, read from either published form of `config.json`.

Keys keep their published spelling. A key that is not known, a key that is missing, and a value that cannot be right are
errors: an ignored `swiglu_limit` would only show as a slightly worse model.

Source: the configs of gpt-oss-20b and gpt-oss-120b; openai/gpt-oss, gpt_oss/torch/model.py, `ModelConfig`, for the
`original/` form.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from ossia.errors import ConfigError
from ossia.files import read_regular
from ossia.json_words import found, shown

__all__ = ["SWIGLU_ALPHA", "ModelConfig", "Yarn"]

SLIDING = "sliding_attention"
FULL = "full_attention"

SWIGLU_ALPHA = 1.702
"""Slope of the gate's sigmoid; a constant of the architecture (in code, not in the published configs)."""

# Two-dimensional sizes beyond this cannot be a real model and would overflow products of sizes further down.
LARGEST_SIZE = 1 << 24
# Nor can a number of layers beyond this; every one of them is a row in tables that are made before a file is read.
MOST_LAYERS = 4096


@dataclass(frozen=True, kw_only=True)
class Yarn:
    """How the rotary frequencies are stretched beyond the context that the model was first trained on.

    Source: Peng et al., YaRN (arXiv 2309.00071), section 3.2, with the ends of the ramp as `truncate` says.
    """

    factor: float
    beta_fast: float
    beta_slow: float
    original_max_position_embeddings: int
    truncate: bool = True

    @property
    def concentration(self) -> float:
        """What cos and sin are multiplied by, at every length (no unit)."""
        return 1.0 if self.factor <= 1.0 else 0.1 * math.log(self.factor) + 1.0


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The sizes and constants of one model of the gpt-oss architecture.

    Raises ConfigError when a value is impossible; the message names the key.
    """

    num_hidden_layers: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    num_local_experts: int
    num_experts_per_tok: int
    vocab_size: int
    sliding_window: int
    layer_types: tuple[str, ...]
    max_position_embeddings: int
    rope_theta: float
    rope_scaling: Yarn
    rms_norm_eps: float
    swiglu_limit: float
    eos_token_id: int | None = None
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_constants(self)
        _check_layer_types(self)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The config of a model folder, or the config file itself. Raises ConfigError when there is none to read."""
        file = path / "config.json" if path.is_dir() else path
        try:
            return cls.from_dict(json.loads(read_regular(file).decode("utf-8")))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
        except OSError as error:
            raise ConfigError(_unreadable(path, file, error)) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file}: not a readable JSON config: {error}") from error

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """A config from the object in `config.json`, in Hugging Face's form or that of `original/`."""
        if not isinstance(data, Mapping):
            raise ConfigError(f"a config is a JSON object, found {found(data)}")
        original = "num_experts" in data and "num_local_experts" not in data
        return cls(**(_from_original(data) if original else _from_hugging_face(data)))

    def to_dict(self) -> dict[str, Any]:
        """The config in Hugging Face's form, as `config.json` of the published checkpoints spells it."""
        return _PUBLISHED | _own_keys(self)

    def to_original_dict(self) -> dict[str, Any]:
        """The config in the form of `original/`, which has no place for `layer_types` or the token ids."""
        return {ours: _lookup(self, path) for ours, path in _ORIGINAL_KEYS.items()}

    def window(self, layer: int) -> int | None:
        """How many keys a token of this layer sees, itself included; None for all of them."""
        return self.sliding_window if self.layer_types[layer] == SLIDING else None

    @property
    def query_size(self) -> int:
        """Width of all query heads together, H * E."""
        return self.num_attention_heads * self.head_dim

    @property
    def key_value_size(self) -> int:
        """Width of all key (or value) heads together, K * E."""
        return self.num_key_value_heads * self.head_dim


# Hugging Face keys beside our own fields: what the published files say, for writing and for recognising. A value other
# than these would change the mathematics, so it is refused; None marks keys that do not bear on inference at all.
_PUBLISHED: dict[str, Any] = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "model_type": "gpt_oss",
    "tie_word_embeddings": False,
}
_FIXED = _PUBLISHED | {"swiglu_alpha": SWIGLU_ALPHA, "is_encoder_decoder": False, "add_cross_attention": False}
_INDIFFERENT = frozenset(
    {
        "bos_token_id",
        "chunk_size_feed_forward",
        "dtype",
        "experts_per_token",
        "id2label",
        "initial_context_length",
        "initializer_range",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "problem_type",
        "quantization_config",
        "return_dict",
        "router_aux_loss_coef",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "_name_or_path",
        "unsloth_fixed",
    }
)
_ALIASES = {"experts_per_token": "num_experts_per_tok"}

_ORIGINAL_KEYS: dict[str, str] = {
    "num_hidden_layers": "num_hidden_layers",
    "num_experts": "num_local_experts",
    "experts_per_token": "num_experts_per_tok",
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "swiglu_limit": "swiglu_limit",
    "head_dim": "head_dim",
    "num_attention_heads": "num_attention_heads",
    "num_key_value_heads": "num_key_value_heads",
    "sliding_window": "sliding_window",
    "initial_context_length": "rope_scaling.original_max_position_embeddings",
    "rope_theta": "rope_theta",
    "rope_scaling_factor": "rope_scaling.factor",
    "rope_ntk_alpha": "rope_scaling.beta_slow",
    "rope_ntk_beta": "rope_scaling.beta_fast",
}


def _unreadable(path: Path, file: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and path.is_dir():
        right = "a folder with config.json and *.safetensors, or with one GGUF file, is right"
        return f"{path}: holds no checkpoint, as config.json is missing; {right}"
    return f"{file}: {error.strerror}; a readable config.json is right"


def _lookup(config: ModelConfig, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _own_keys(config: ModelConfig) -> dict[str, Any]:
    own = {field.name: getattr(config, field.name) for field in fields(config)}
    own["layer_types"] = list(config.layer_types)
    own["rope_scaling"] = {"rope_type": "yarn"} | vars(config.rope_scaling)
    own["initial_context_length"] = config.rope_scaling.original_max_position_embeddings
    own["experts_per_token"] = config.num_experts_per_tok
    return own


def _refuse_unknown(what: str, keys: set[str], known: set[str]) -> None:
    if unknown := sorted(keys - known):
        raise ConfigError(f"unknown {what} {', '.join(map(repr, unknown))}; known: {', '.join(sorted(known))}")


def _refuse_missing(what: str, keys: set[str], needed: set[str], known: set[str]) -> None:
    if missing := sorted(needed - keys):
        raise ConfigError(f"missing {what} {', '.join(map(repr, missing))}; known: {', '.join(sorted(known))}")


def _from_original(data: Mapping[str, Any]) -> dict[str, Any]:
    known = set(_ORIGINAL_KEYS)
    _refuse_unknown("keys", set(data), known)
    _refuse_missing("keys", set(data), known, known)
    values: dict[str, Any] = {path: data[ours] for ours, path in _ORIGINAL_KEYS.items() if "." not in path}
    layers = _size("num_hidden_layers", data["num_hidden_layers"])
    initial = _size("initial_context_length", data["initial_context_length"])
    factor = _number("rope_scaling_factor", data["rope_scaling_factor"])
    scaling = Yarn(
        factor=factor,
        beta_fast=_number("rope_ntk_beta", data["rope_ntk_beta"]),
        beta_slow=_number("rope_ntk_alpha", data["rope_ntk_alpha"]),
        original_max_position_embeddings=initial,
        truncate=False,
    )
    # The reference alternates by the layer's index, and stretches its first context by the factor, in code.
    kinds = tuple(FULL if index % 2 else SLIDING for index in range(layers))
    context = int(min(initial * factor, LARGEST_SIZE))
    return values | {
        "layer_types": kinds,
        "max_position_embeddings": context,
        "rope_scaling": scaling,
        "rms_norm_eps": 1e-5,
    }


def _from_hugging_face(data: Mapping[str, Any]) -> dict[str, Any]:
    own = {field.name for field in fields(ModelConfig)}
    optional = {"eos_token_id", "pad_token_id", "rope_scaling", "rope_theta", "rope_parameters"}
    known = own | set(_FIXED) | _INDIFFERENT | optional
    _refuse_unknown("keys", set(data), known)
    values = {key: data[key] for key in own & set(data)}
    values |= _rope(data)
    for key in _ALIASES.keys() & set(data):
        if values.setdefault(_ALIASES[key], data[key]) != data[key]:
            raise ConfigError(
                f"{key} is {shown(data[key])} but {_ALIASES[key]} is {shown(values[_ALIASES[key]])}; they are one"
            )
    _refuse_missing("keys", set(values), own - {"eos_token_id", "pad_token_id"}, known)
    for key in _FIXED.keys() & set(data):
        if data[key] != _FIXED[key]:
            raise ConfigError(f"{key} is {shown(data[key])}; the gpt-oss architecture has {shown(_FIXED[key])}")
    if not isinstance(values["layer_types"], list | tuple):
        raise ConfigError(f"layer_types is {shown(values['layer_types'])}; a list of {SLIDING!r} and {FULL!r} is right")
    values["layer_types"] = tuple(values["layer_types"])
    _first_end_token(values)
    return values


def _first_end_token(values: dict[str, Any]) -> None:
    """A list of end tokens keeps its first: the others belong to `generation_config.json`."""
    end = values.get("eos_token_id")
    if isinstance(end, list) and end:
        values["eos_token_id"] = end[0]


def _rope(data: Mapping[str, Any]) -> dict[str, Any]:
    """`rope_theta` and `rope_scaling`, which transformers 5 writes together as `rope_parameters`."""
    together = data.get("rope_parameters")
    if together is not None and not isinstance(together, Mapping):
        raise ConfigError(f"rope_parameters is {shown(together)}; an object is right")
    scaling = together if together is not None else data.get("rope_scaling")
    if scaling is None:
        return {}
    if not isinstance(scaling, Mapping):
        raise ConfigError(f"rope_scaling is {shown(scaling)}; an object is right")
    theta = data.get("rope_theta", scaling.get("rope_theta"))
    if theta is None:
        return {}
    where = "rope_scaling" if together is None else "rope_parameters"
    inner = scaling.get("rope_theta", theta)
    # NaN is unlike itself: what is no number is said before the two are compared.
    for key, value in (("rope_theta", theta), (f"{where}.rope_theta", inner)):
        _number(key, value)
    if inner != theta:
        raise ConfigError(f"rope_theta is {shown(theta)} but {where}.rope_theta is {shown(inner)}; they are one")
    return {"rope_theta": theta, "rope_scaling": _yarn(scaling)}


def _yarn(data: Mapping[str, Any]) -> Yarn:
    needed = {"factor", "beta_fast", "beta_slow", "original_max_position_embeddings"}
    known = needed | {"rope_type", "type", "truncate", "rope_theta", "partial_rotary_factor"}
    _refuse_unknown("rope_scaling keys", set(data), known)
    _refuse_missing("rope_scaling keys", set(data), needed, known)
    kind = data.get("rope_type", data.get("type", "yarn"))
    if kind != "yarn" or data.get("partial_rotary_factor", 1.0) != 1.0:
        raise ConfigError(f"rope_type is {shown(kind)}; the gpt-oss architecture has 'yarn' over the whole head")
    truncate = data.get("truncate", True)
    if not isinstance(truncate, bool):
        raise ConfigError(f"rope_scaling.truncate is {shown(truncate)}; true or false is right")
    return Yarn(
        factor=_number("rope_scaling.factor", data["factor"]),
        beta_fast=_number("rope_scaling.beta_fast", data["beta_fast"]),
        beta_slow=_number("rope_scaling.beta_slow", data["beta_slow"]),
        original_max_position_embeddings=_size(
            "rope_scaling.original_max_position_embeddings", data["original_max_position_embeddings"]
        ),
        truncate=truncate,
    )


def _size(key: str, value: object) -> int:
    most = MOST_LAYERS if key == "num_hidden_layers" else LARGEST_SIZE
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ConfigError(f"{key} is {shown(value)}; an integer from 1 to {most} is right")
    return value


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise ConfigError(f"{key} is {shown(value)}; a positive number is right")
    return float(value)


def _check_sizes(config: ModelConfig) -> None:
    for field in fields(config):
        if field.type is int:
            _size(field.name, getattr(config, field.name))
    if config.num_attention_heads % config.num_key_value_heads:
        raise ConfigError(
            f"num_attention_heads is {config.num_attention_heads}; "
            f"a multiple of num_key_value_heads, {config.num_key_value_heads}, is right"
        )
    if config.num_experts_per_tok > config.num_local_experts:
        raise ConfigError(
            f"num_experts_per_tok is {config.num_experts_per_tok}; "
            f"at most num_local_experts, {config.num_local_experts}, is right"
        )
    if config.sliding_window > config.max_position_embeddings:
        raise ConfigError(
            f"sliding_window is {config.sliding_window}; "
            f"at most max_position_embeddings, {config.max_position_embeddings}, is right"
        )
    if config.head_dim % 2:
        raise ConfigError(f"head_dim is {config.head_dim}; an even number is right, since its halves are rotated")
    for key in ("eos_token_id", "pad_token_id"):
        value = getattr(config, key)
        if value is not None and (type(value) is not int or not 0 <= value < config.vocab_size):
            raise ConfigError(
                f"{key} is {shown(value)}; null or a token id less than vocab_size, {config.vocab_size}, is right"
            )


def _check_constants(config: ModelConfig) -> None:
    for key in ("rope_theta", "rms_norm_eps", "swiglu_limit"):
        _number(key, getattr(config, key))
    if config.rope_theta <= 1:
        raise ConfigError(f"rope_theta is {shown(config.rope_theta)}; more than 1 is right")
    if config.rms_norm_eps >= 1:
        raise ConfigError(f"rms_norm_eps is {shown(config.rms_norm_eps)}; less than 1, such as 1e-5, is right")
    scaling = config.rope_scaling
    if scaling.factor < 1:
        raise ConfigError(f"rope_scaling.factor is {shown(scaling.factor)}; 1 or more is right, since it stretches")
    if scaling.beta_fast <= scaling.beta_slow:
        raise ConfigError(
            f"rope_scaling.beta_fast is {shown(scaling.beta_fast)}; "
            f"more than beta_slow, {shown(scaling.beta_slow)}, is right"
        )


def _check_layer_types(config: ModelConfig) -> None:
    if len(config.layer_types) != config.num_hidden_layers:
        raise ConfigError(
            f"layer_types names {len(config.layer_types)} layers; "
            f"num_hidden_layers, {config.num_hidden_layers}, is right"
        )
    if strange := [kind for kind in config.layer_types if kind not in (SLIDING, FULL)]:
        raise ConfigError(f"layer_types has {shown(strange[0])}; {SLIDING!r} and {FULL!r} are right")
