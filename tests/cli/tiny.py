"""A model small enough to make and run in a test, with random weights and a real tokenizer."""

from pathlib import Path

import ml_dtypes
import numpy as np

from ossia.checkpoint import expected_tensors, write
from ossia.config import FULL, SLIDING, ModelConfig, Yarn
from ossia.harmony import Vocabulary
from ossia.mxfp4 import encode

CONTEXT = 512
VOCABULARY = Vocabulary.embedded().shortened(1000)

CONFIG = ModelConfig(
    num_hidden_layers=2,
    hidden_size=64,
    intermediate_size=64,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    num_local_experts=4,
    num_experts_per_tok=2,
    vocab_size=VOCABULARY.size,
    sliding_window=16,
    layer_types=(SLIDING, FULL),
    max_position_embeddings=CONTEXT,
    rope_theta=10_000.0,
    rope_scaling=Yarn(factor=1.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=CONTEXT),
    rms_norm_eps=1e-5,
    swiglu_limit=7.0,
    eos_token_id=VOCABULARY.return_,
    pad_token_id=VOCABULARY.endoftext,
)


def write_tiny(path: Path, seed: int = 0) -> Path:
    """Writes the model and returns its path."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, spec in expected_tensors(CONFIG).items():
        values = random.normal(scale=0.2, size=spec.shape).astype(np.float32)
        tensors[name] = encode(values) if spec.dtype == "mxfp4" else values.astype(ml_dtypes.bfloat16)
    write(path, CONFIG, tensors, tokenizer=VOCABULARY.to_tokenizer_json())
    return path
