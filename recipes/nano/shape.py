"""The architecture of the embedded model: gpt-oss in every respect but size."""

from ossia.config import ModelConfig, Yarn

__all__ = ["model_config"]


def model_config(vocabulary_size: int, end: int, pad: int) -> ModelConfig:
    """Six layers of width 256 with eight experts, four of them active; rotary angles as in the published models."""
    return ModelConfig(
        num_hidden_layers=6,
        hidden_size=256,
        intermediate_size=256,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=32,
        num_local_experts=8,
        num_experts_per_tok=4,
        vocab_size=vocabulary_size,
        sliding_window=128,
        layer_types=("sliding_attention", "full_attention") * 3,
        max_position_embeddings=131_072,
        rope_theta=150_000.0,
        rope_scaling=Yarn(
            factor=32.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=4096, truncate=False
        ),
        rms_norm_eps=1e-5,
        swiglu_limit=7.0,
        eos_token_id=end,
        pad_token_id=pad,
    )
