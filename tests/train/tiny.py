"""A model small enough to train in a test, and texts with something to learn in them."""

from random import Random

from ossia.config import ModelConfig, Yarn
from ossia.train.packing import Document, Group, PrefixedBatch, pack

VOCABULARY = 64


def config(window: int = 6) -> ModelConfig:
    return ModelConfig(
        num_hidden_layers=2,
        hidden_size=32,
        intermediate_size=32,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        vocab_size=VOCABULARY,
        sliding_window=window,
        layer_types=("sliding_attention", "full_attention"),
        max_position_embeddings=4096,
        rope_theta=10_000.0,
        rope_scaling=Yarn(factor=2.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=2048),
        rms_norm_eps=1e-5,
        swiglu_limit=7.0,
    )


def counting(step: int, rank: int) -> PrefixedBatch:
    """Documents that count upwards from anywhere."""
    random = Random(f"{step} {rank}")
    starts = [random.randrange(30) for _ in range(8)]
    documents = [Document(list(range(start, start + 12)), [True] * 12) for start in starts]
    return pack([Group([60, 61], documents)])
