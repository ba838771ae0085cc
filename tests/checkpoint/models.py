"""Small models for the tests of checkpoints: a config with every size different, and tensors for it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ossia.checkpoint import Experts, Tensor, expected_tensors
from ossia.config import FULL, SLIDING, ModelConfig, Yarn
from ossia.mxfp4 import Packed

# What a published tokenizer.json has, for a vocabulary of five.
TOKENIZER = b"""{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
"added_tokens": [{"id": 4, "content": "<|return|>", "special": true}]}"""

SMALL = ModelConfig(
    num_hidden_layers=2,
    hidden_size=64,
    intermediate_size=96,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=16,
    num_local_experts=5,
    num_experts_per_tok=2,
    vocab_size=200,
    sliding_window=8,
    layer_types=(SLIDING, FULL),
    max_position_embeddings=2048,
    rope_theta=150000,
    rope_scaling=Yarn(factor=32.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=64, truncate=False),
    rms_norm_eps=1e-5,
    swiglu_limit=7.0,
    eos_token_id=4,
    pad_token_id=3,
)

TINY = dataclasses.replace(
    SMALL, num_hidden_layers=1, layer_types=(SLIDING,), hidden_size=32, intermediate_size=32, vocab_size=8
)
"""As small as MXFP4 allows: for thousands of mutations."""


def tensors_for(config: ModelConfig, experts: Experts = "mxfp4", seed: int = 0) -> dict[str, Tensor]:
    """Random tensors of every name: bfloat16, and MXFP4 with scales around one."""
    random = np.random.default_rng(seed)
    return {name: _draw(random, spec) for name, spec in expected_tensors(config, experts).items()}


def _draw(random: np.random.Generator, spec: Any) -> Tensor:
    if spec.dtype == "bfloat16":
        return (random.standard_normal(spec.shape, np.float32) * 0.1).astype(ml_dtypes.bfloat16)
    groups = (*spec.shape[:-1], spec.shape[-1] // 32)
    return Packed(random.integers(0, 256, (*groups, 16), np.uint8), random.integers(115, 125, groups, np.uint8))


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """The same names, and the same values bit by bit; float32 stands for the bfloat16 that it holds."""
    assert list(found) == list(expected)
    for name, right in expected.items():
        ours = found[name]
        assert ours.shape == right.shape, name
        if isinstance(right, Packed):
            assert isinstance(ours, Packed), name
            np.testing.assert_array_equal(ours.blocks, right.blocks, name)
            np.testing.assert_array_equal(ours.scales, right.scales, name)
        else:
            assert isinstance(ours, np.ndarray), name
            left_bits, right_bits = ours.astype(np.float32).view(np.uint32), right.astype(np.float32).view(np.uint32)
            np.testing.assert_array_equal(left_bits, right_bits, name)
