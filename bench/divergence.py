"""Where does `fast`, or `turbo`, part from `exact`: in the rounding itself, or in experts that it chooses otherwise?

    python bench/divergence.py gpt-oss-20b --tokens 32
    python bench/divergence.py nano --tokens 256 --save
    python bench/divergence.py nano --precision turbo --tokens 2
    python bench/divergence.py nano --precision exact --kv-cache-dtype int8

One sequence goes through the model in both precisions, layer by layer. For each layer: how far the residual stream is
from `exact` (root mean square of the difference over that of the stream), and at how many tokens the router chose other
experts. Then the same with `fast` made to use the experts that `exact` chose, which leaves the rounding alone.
`--kv-cache-dtype` has keys and values rounded otherwise; with `--precision exact` that is all that is.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import report

from ossia import loading
from ossia.config import ModelConfig
from ossia.model import layer, unembed
from ossia.model.rope import angles
from ossia.ops import Batch, Ops, Precision


@dataclass
class Routed:
    """A backend that keeps what its router chose, or uses choices that it is given; all else is the backend's."""

    ops: Ops
    given: "list[tuple[np.ndarray, np.ndarray]] | None" = None

    def __post_init__(self) -> None:
        self.choices: list[tuple[np.ndarray, np.ndarray]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def route(self, x: np.ndarray, router: Any, active: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.ops.route(x, router, active)
        self.choices.append(chosen)
        return chosen if self.given is None else self.given[len(self.choices) - 1]


@dataclass
class Walk:
    """One sequence's way through the model: the stream after each layer, the choices, the logits."""

    streams: list[np.ndarray]
    choices: list[tuple[np.ndarray, np.ndarray]]
    logits: np.ndarray


def walk(loaded: loading.Loaded, tokens: list[int], given: "Walk | None" = None) -> Walk:
    ops: Any = Routed(loaded.ops, given.choices if given else None)
    config, weights, batch = loaded.config, loaded.weights, Batch.packed([tokens])
    cos, sin = angles(config, batch.positions)
    x, streams = ops.embed(weights.embedding, batch.tokens), []
    for index, weight in enumerate(weights.layers):
        x = layer(ops, config, weight, index, x, cos, sin, batch, None)
        streams.append(x)
    return Walk(streams, ops.choices, unembed(ops, config, weights, x))


def differences(exact: Walk, other: Walk) -> list[dict[str, float]]:
    """For each layer the relative difference of the streams, and the share of tokens with other experts."""
    return [
        {
            "difference": float(np.sqrt(np.mean((a - b) ** 2) / np.mean(a**2))),
            "other_experts": float(np.mean((np.sort(chosen) != np.sort(found)).any(axis=1))),
        }
        for a, b, (chosen, _), (found, _) in zip(
            exact.streams, other.streams, exact.choices, other.choices, strict=True
        )
    ]


def divergence(exact: np.ndarray, other: np.ndarray) -> float:
    """The mean KL divergence of predictions from logits [T, V], in nats."""

    def log_probabilities(logits: np.ndarray) -> np.ndarray:
        logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    p, q = log_probabilities(exact), log_probabilities(other)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def drawn(config: ModelConfig, count: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, config.vocab_size, count).tolist()


def arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", nargs="?", default="nano", help="a path, a hub name, or nano")
    made.add_argument("--tokens", type=int, default=64, help="length of the random sequence")
    made.add_argument("--precision", choices=tuple(Precision), default="fast", help="what is compared with exact")
    made.add_argument("--kv-cache-dtype", choices=("f32", "bf16", "int8"), help="what its keys and values are kept as")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--save", action="store_true", help="keep the result in bench/results")
    return made.parse_args()


def main() -> None:
    options, around = arguments(), report.surroundings()
    print(report.in_words(around))
    exact_model = loading.load_weights(options.model, precision="exact")
    fast_model = loading.load_weights(options.model, precision=options.precision, kv_cache_dtype=options.kv_cache_dtype)
    tokens = drawn(exact_model.config, options.tokens, options.seed)
    exact = walk(exact_model, tokens)
    free, forced = walk(fast_model, tokens), walk(fast_model, tokens, exact)
    rows = differences(exact, free)
    with_exact_experts = differences(exact, forced)
    print(f"{'layer':>5} {'difference':>10} {'other experts':>13} {'with the experts of exact':>26}")
    for index, (row, same) in enumerate(zip(rows, with_exact_experts, strict=True)):
        print(f"{index:>5} {row['difference']:>10.2e} {row['other_experts']:>13.1%} {same['difference']:>26.2e}")
    kl = {
        "kl": divergence(exact.logits, free.logits),
        "kl_with_exact_experts": divergence(exact.logits, forced.logits),
    }
    print(
        f"KL(exact || {options.precision} with a cache in {fast_model.ops.kv_cache_dtype}) {kl['kl']:.2e} nats over "
        f"{len(tokens)} tokens; with the experts of exact {kl['kl_with_exact_experts']:.2e}"
    )
    if options.save:
        result = (
            around
            | fast_model.settings()
            | kl
            | {"tokens": len(tokens), "layers": rows, "layers_with_exact_experts": with_exact_experts}
        )
        print(f"written to {report.save('divergence', result)}", file=sys.stderr)


if __name__ == "__main__":
    main()
