"""`ossia show`: a model's architecture and parameters, from its config alone."""

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ossia.config import ModelConfig

HELP = "Print a model's architecture and its parameters."
EXAMPLE = "ossia show 20b"

_GROUPS = {
    "embedding": ("model.embed_tokens.",),
    "attention": (".self_attn.",),
    "router": (".router.",),
    "experts": (".experts.",),
    "norms": ("norm.",),
    "unembedding": ("lm_head.",),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "model",
        nargs="?",
        default="nano",
        metavar="MODEL",
        help="20b, 120b, a config.json, a path to a checkpoint, a hub name, or nano (default)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Describe and print."""
    config, about = _describe(options.model)
    if options.json:
        print(json.dumps(about, indent=2))
    else:
        _print(config, about)
    return 0


def _describe(name: str) -> tuple["ModelConfig", dict[str, Any]]:
    """The config of what goes by `name`, and what there is to say of it."""
    from ossia.checkpoint import find, find_config, open_checkpoint
    from ossia.config import ModelConfig

    if file := find_config(name):
        config = ModelConfig.read(file)
        return config, {"model": name, "layout": None, **_numbers(config, "mxfp4")}
    checkpoint = open_checkpoint(find(name))
    stored = sorted(set(checkpoint.stored.values()))
    about = {"model": name, "layout": checkpoint.layout, "stored": stored, "stored_bytes": checkpoint.bytes}
    return checkpoint.config, about | _numbers(checkpoint.config, checkpoint.experts)


def _numbers(config: "ModelConfig", experts: Any) -> dict[str, Any]:
    """Parameters and bytes, all together and by part."""
    from ossia.checkpoint import active_parameters, expected_tensors
    from ossia.copies import bytes_in_8_bits, in_8_bits, screen_bytes
    from ossia.ops import Precision

    specs = expected_tensors(config, experts)
    parts = {group: [spec for name, spec in specs.items() if _group_of(name) == group] for group in _GROUPS}
    return {
        "parameters": sum(spec.parameters for spec in specs.values()),
        "active_parameters": active_parameters(config),
        "bytes": sum(spec.bytes for spec in specs.values()),
        "copies": {str(precision): bytes_in_8_bits(in_8_bits(config, precision)) for precision in Precision},
        "screens": {str(precision): screen_bytes(config, precision) for precision in Precision},
        "experts": experts,
        "parts": {
            group: {
                "parameters": sum(spec.parameters for spec in members),
                "bytes": sum(spec.bytes for spec in members),
            }
            for group, members in parts.items()
        },
        "config": config.to_dict(),
    }


def _group_of(name: str) -> str:
    return next(group for group, marks in _GROUPS.items() if any(mark in name for mark in marks))


def _print(config: "ModelConfig", about: dict[str, Any]) -> None:
    for label, value in _architecture(config, about):
        print(f"{label:14}{value}")
    print(f"\n{'part':14}{'parameters':>18}{'share':>8}{'size':>12}")
    rows = {**about["parts"], "total": {"parameters": about["parameters"], "bytes": about["bytes"]}}
    for part, row in rows.items():
        share = row["parameters"] / about["parameters"]
        print(f"{part:14}{row['parameters']:>18,}{share:>8.1%}{_size(row['bytes']):>12}")
    print(
        f"\n{_count(about['parameters'])} parameters, {_count(about['active_parameters'])} active for each token "
        f"(all but the embedding table and the experts not chosen), {_size(about['bytes'])}"
    )
    print(f"fast computes with copies in 8 bits of attention and unembedding, {_size(about['copies']['fast'])}")
    if about["screens"]["fast"]:
        fast, exact = (_size(about["screens"][precision]) for precision in ("fast", "exact"))
        print(f"draws look first at a copy of the unembedding in 4 bits, {fast}, at exact in 8 bits, {exact}")


def _architecture(config: "ModelConfig", about: dict[str, Any]) -> list[tuple[str, str]]:
    sliding = sum(config.window(layer) is not None for layer in range(config.num_hidden_layers))
    heads = f"{config.num_attention_heads} query heads, {config.num_key_value_heads} key and value heads"
    experts = f"{config.num_local_experts} of width {config.intermediate_size}, {config.num_experts_per_tok} active"
    yarn = config.rope_scaling
    stretch = f"YaRN, factor {yarn.factor:g} beyond {yarn.original_max_position_embeddings:,}"
    return [
        ("model", about["model"] + _origin(about)),
        ("layers", f"{config.num_hidden_layers}, of which {sliding} see a window of {config.sliding_window} tokens"),
        ("width", f"{config.hidden_size}"),
        ("attention", f"{heads}, {config.head_dim} wide, one sink each query head"),
        ("experts", f"{experts}, {about['experts']}"),
        ("vocabulary", f"{config.vocab_size:,} tokens"),
        ("context", f"{config.max_position_embeddings:,} tokens"),
        ("positions", f"RoPE, theta {config.rope_theta:g}; {stretch}, {'' if yarn.truncate else 'not '}truncated"),
    ]


def _origin(about: dict[str, Any]) -> str:
    if about["layout"] is None:
        return " (config only)"
    return f" ({about['layout']} layout, stored as {', '.join(about['stored'])})"


def _count(number: int) -> str:
    """20.9B, 2.8M: four digits at most."""
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= unit:
            return f"{number / unit:.1f}{name}"
    return str(number)


def _size(number: int) -> str:
    """12.8 GiB, 310.5 MiB."""
    for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f} {name}"
    return f"{number} B"
