"""Random checkpoints of any size whose numbers behave like a model's, for tests and benchmarks without the weights.

What would falsify a measurement is kept right:

- *Logits* have standard deviation 3, so that divergences of different models compare. The last RMSNorm leaves rows of
  root mean square 1, so rows of the unembedding with standard deviation 3 / sqrt(D) give exactly that.
- *Experts* are hit almost as if tokens chose them independently. A router sees what hidden states have in common, and a
  careless draw sends most tokens to few experts. Here the embedding (root mean square 1) outweighs what each layer adds
  (attention about 0.15, experts about 0.3), and biases are small, so that hidden states stay nearly independent.
- *Activations* neither vanish nor explode: queries and keys make scores of standard deviation about 1.5 (with YaRN's
  factor), gates come out near 1, where SwiGLU is neither linear nor flat.
- *MXFP4* values are uniform nibbles; scale bytes take four or five neighbouring values, in proportions that give the
  wanted root mean square exactly.

Every tensor has a generator of its own, seeded by (seed, its place in the table): no value is used twice, and a tensor
does not depend on the order in which they are written.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np

from ossia.checkpoint.streams import Progress, Streamed
from ossia.checkpoint.tensors import Experts, Spec, Tensor, expected_tensors
from ossia.checkpoint.writer import write
from ossia.config import ModelConfig
from ossia.mxfp4 import BLOCK, GRID, Packed

__all__ = ["Dense", "make_random", "random_tensors"]

Dense = Literal["gaussian", "q8"]
"""Dense matrices: Gaussian bfloat16, which 8 bits cannot hold, or values that bfloat16 and Q8_0 both hold exactly."""

LOGIT_DEVIATION = 3.0
"""Standard deviation of the final logits."""

_SCORE_DEVIATION = 1.5
_ATTENTION_SHARE = 0.3
_EXPERTS_SHARE = 0.45
_GATE_DEVIATION = 1.2
_ROUTER_DEVIATION = 1.5
_NORM_DEVIATION = 0.05
_BIAS_DEVIATION = 0.02
_SINK_DEVIATION = 1.0

_PIECE_VALUES = 4 << 20

# Mean square of a uniformly drawn nibble.
_GRID_SQUARE = float((GRID**2).mean())

# Scale exponents are jittered by -1, 0 or 1 with these odds, which multiplies the mean square by this.
_JITTER = {-1: 1 / 8, 0: 3 / 4, 1: 1 / 8}
_JITTER_SQUARE = sum(odds * 4.0**shift for shift, odds in _JITTER.items())

# Token ids of o200k_harmony that end or begin something; see the published generation_config.json.
_GENERATION = {"bos_token_id": 199998, "eos_token_id": [200002, 199999, 200012], "pad_token_id": 199999}


def make_random(
    path: Path | str, config: ModelConfig, seed: int = 0, dense: Dense = "gaussian", progress: Progress | None = None
) -> None:
    """Writes a random checkpoint in the Hugging Face layout; its `random.json` records how it was drawn.

    Raises what `write` raises. Takes the memory of a few pieces of 16 MiB.
    """
    drawn = json.dumps({"seed": seed, "dense": dense}, indent=2).encode() + b"\n"
    harmony = config.eos_token_id == _GENERATION["eos_token_id"][0] and config.vocab_size > max(
        _GENERATION["eos_token_id"]
    )
    write(
        path,
        config,
        random_tensors(config, seed, dense),
        generation=_GENERATION if harmony else None,
        beside={"random.json": drawn},
        progress=progress,
    )


def random_tensors(
    config: ModelConfig, seed: int = 0, dense: Dense = "gaussian", experts: Experts = "mxfp4"
) -> Iterator[tuple[str, Streamed]]:
    """Every tensor of a model with this config, each made as it is read."""
    for index, (name, spec) in enumerate(expected_tensors(config, experts).items()):
        yield name, Streamed(spec.shape, spec.dtype, _drawer(config, name, spec, (seed, index), dense))


def _drawer(
    config: ModelConfig, name: str, spec: Spec, key: tuple[int, int], dense: Dense
) -> Callable[[], Iterator[Tensor]]:
    mean, deviation = _mean_and_deviation(config, name)
    draw = _gaussian
    if spec.dtype == "mxfp4":
        draw = _mxfp4
    elif dense == "q8" and len(spec.shape) == 2 and spec.shape[1] % BLOCK == 0 and "router" not in name:
        draw = _q8

    def drawn() -> Iterator[Tensor]:
        random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))
        row = math.prod(spec.shape[1:])
        rows = max(1, _PIECE_VALUES // row)
        for start in range(0, spec.shape[0], rows):
            shape = (min(rows, spec.shape[0] - start), *spec.shape[1:])
            yield draw(random, shape, deviation) if mean == 0 else _around(random, shape, mean, deviation)

    return drawn


def _mean_and_deviation(config: ModelConfig, name: str) -> tuple[float, float]:
    """Of the values of a tensor."""
    if name.endswith("norm.weight"):
        return 1.0, _NORM_DEVIATION
    kind = name.split(".", 3)[-1] if name.startswith("model.layers.") else name
    return 0.0, _deviations(config).get(kind, _BIAS_DEVIATION)


def _deviations(config: ModelConfig) -> dict[str, float]:
    """Standard deviations by the name within a layer; of biases, none is needed."""
    hidden = math.sqrt(config.hidden_size)
    concentration = config.rope_scaling.concentration
    # Scores are sums over E of q k / sqrt(E), turned and scaled: their deviation is dev(q) dev(k) concentration^2.
    query = math.sqrt(_SCORE_DEVIATION) / concentration
    # The chosen experts' outputs add up with the softmax of their scores: for four, about sqrt(sum w^2) = 0.55.
    inner = math.sqrt(config.intermediate_size)
    return {
        "model.embed_tokens.weight": 1.0,
        "lm_head.weight": LOGIT_DEVIATION / hidden / math.sqrt(1 + _NORM_DEVIATION**2),
        "self_attn.q_proj.weight": query / hidden,
        "self_attn.k_proj.weight": query / hidden,
        "self_attn.v_proj.weight": 1.0 / hidden,
        "self_attn.o_proj.weight": _ATTENTION_SHARE / math.sqrt(config.query_size),
        "self_attn.sinks": _SINK_DEVIATION,
        "mlp.router.weight": _ROUTER_DEVIATION / hidden,
        "mlp.experts.gate_up_proj": _GATE_DEVIATION / hidden,
        "mlp.experts.down_proj": _EXPERTS_SHARE / inner,
    }


def _around(random: np.random.Generator, shape: tuple[int, ...], mean: float, deviation: float) -> np.ndarray:
    return (random.standard_normal(shape, np.float32) * deviation + mean).astype(ml_dtypes.bfloat16)


def _gaussian(random: np.random.Generator, shape: tuple[int, ...], deviation: float) -> np.ndarray:
    return _around(random, shape, 0.0, deviation)


def _q8(random: np.random.Generator, shape: tuple[int, ...], deviation: float) -> np.ndarray:
    """Gaussian values rounded to q * 2^k: k shared by 32, q in -127 to 127, and the largest |q| of each 32 being 127.

    bfloat16 holds 8 bits, and Q8_0 finds its scale as the largest value over 127, so that both hold them exactly.
    """
    blocks = random.standard_normal((math.prod(shape) // BLOCK, BLOCK), np.float32)
    place = np.abs(blocks).argmax(axis=1)
    largest = blocks[np.arange(len(blocks)), place]
    unit = np.exp2(np.rint(np.log2(np.abs(largest) * (deviation / 127))), dtype=np.float32)[:, None]
    quantised = np.clip(np.rint(blocks * (np.float32(deviation) / unit)), -127, 127)
    quantised[np.arange(len(blocks)), place] = np.copysign(127, largest)
    # Adding zero makes zeros positive: Q8_0 has no other.
    return ((quantised + np.float32(0)) * unit).astype(ml_dtypes.bfloat16).reshape(shape)


def _mxfp4(random: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Packed:
    groups = (*shape[:-1], shape[-1] // BLOCK)
    blocks = _bytes(random, (*groups, BLOCK // 2))
    return Packed(blocks, _scale_table(deviation)[_bytes(random, groups)])


def _bytes(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape)
    return random.bit_generator.random_raw(-(-count // 8)).view(np.uint8)[:count].reshape(shape)


def _scale_table(deviation: float) -> np.ndarray:
    """A scale byte for each random byte, so that the values have this root mean square.

    With exponent k or k + 1 in shares 1 - p and p, the mean square of the scales is 4^k (1 + 3 p).
    """
    square = deviation**2 / _GRID_SQUARE / _JITTER_SQUARE
    lower = math.floor(math.log2(square) / 2)
    share = (square / 4.0**lower - 1) / 3
    exponents = lower + (np.arange(256) % 32 < round(32 * share)).astype(int)
    # Eight groups of 32 bytes: one a step below, one a step above, six as they are.
    exponents += np.repeat([-1, 0, 0, 0, 0, 0, 0, 1], 32)
    return np.clip(exponents + 127, 0, 252).astype(np.uint8)
