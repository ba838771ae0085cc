"""Rotary angles, stretched by YaRN.

Source: Su et al., RoFormer (arXiv 2104.09864); Peng et al., YaRN (arXiv 2309.00071), "NTK-by-parts".
"""

import math
from functools import lru_cache

import numpy as np

from ossia.config import ModelConfig

__all__ = ["angles", "inverse_frequencies"]


@lru_cache(maxsize=16)
def inverse_frequencies(config: ModelConfig) -> np.ndarray:
    """[E/2] float32, in radians per position; not to be written to.

    A pair that turns more than `beta_fast` times within the original context keeps its frequency; one that turns less
    than `beta_slow` times is slowed by `factor`; between the two a ramp. The ramp's ends are rounded outwards to whole
    pairs only if the config says `truncate`: the published models do not.
    """
    half, yarn = config.head_dim // 2, config.rope_scaling
    plain = 1.0 / config.rope_theta ** (np.arange(half) / half)
    if yarn.factor <= 1.0:
        return _kept(plain)
    low, high = _pair_of_turns(config, yarn.beta_fast), _pair_of_turns(config, yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0.0), min(high, config.head_dim - 1.0)
    if low == high:  # the ramp is a step; any width keeps the division defined
        high += 0.001
    slowed = np.clip((np.arange(half) - low) / (high - low), 0.0, 1.0)
    return _kept(plain / yarn.factor * slowed + plain * (1.0 - slowed))


def _kept(frequencies: np.ndarray) -> np.ndarray:
    """In float32, and for reading alone, because every step of a model shares them."""
    kept = frequencies.astype(np.float32)
    kept.flags.writeable = False
    return kept


def _pair_of_turns(config: ModelConfig, turns: float) -> float:
    """The (fractional) pair of a head that turns this many times within the original context."""
    positions_per_radian = config.rope_scaling.original_max_position_embeddings / (2 * math.pi * turns)
    return config.head_dim / 2 * math.log(positions_per_radian) / math.log(config.rope_theta)


def angles(config: ModelConfig, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[T] -> cos [T, E/2], sin [T, E/2], float32, times YaRN's concentration.

    An angle is the float32 product of position and float32 inverse frequency, as in the published models: beyond some
    thousand positions a more exact product would be another model. Cosine and sine are rounded once, from float64.
    """
    turned = positions.astype(np.float32)[:, None] * inverse_frequencies(config)
    exact, scale = turned.astype(np.float64), config.rope_scaling.concentration
    return (np.cos(exact) * scale).astype(np.float32), (np.sin(exact) * scale).astype(np.float32)
