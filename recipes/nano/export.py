"""Write a trained checkpoint as the embedded model: `python -m recipes.nano.export build/nano/checkpoint.pt`.

The folder has the published layout, so transformers and every other program that knows gpt-oss opens it. Attention,
router and embeddings are rounded to bfloat16, the experts to MXFP4.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ml_dtypes import bfloat16

from ossia.checkpoint import write
from ossia.harmony import Vocabulary
from ossia.mxfp4 import Packed, encode
from ossia.train.trainer import read_checkpoint
from recipes.nano.conversation import vocabulary
from recipes.nano.shape import model_config

__all__ = ["DEFAULT_EFFORT", "EMBEDDED", "SUMS", "WEIGHTS", "export", "sha256"]

EMBEDDED = Path(__file__).parents[2] / "src" / "ossia" / "data" / "nano"
WEIGHTS = "model.safetensors"
SUMS = "sha256.json"
DEFAULT_EFFORT = "high"


def main() -> None:
    """Replace the embedded model."""
    parser = argparse.ArgumentParser(description="Write a trained checkpoint as the embedded model.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, default=EMBEDDED)
    arguments = parser.parse_args()
    state = read_checkpoint(arguments.checkpoint)
    if arguments.output.exists():
        shutil.rmtree(arguments.output)
    export(state["parameters"], arguments.output)
    size = sum(file.stat().st_size for file in arguments.output.iterdir())
    print(f"{arguments.output}: {size / 1e6:.2f} MB after {state['step']} steps")


def export(parameters: Mapping[str, torch.Tensor], output: Path) -> None:
    """Write the model's folder, its tokenizer and generation config included, and the sums of all its files."""
    tokens = vocabulary()
    config = model_config(tokens.size, tokens.return_, tokens.endoftext)
    tensors = {name: _stored(name, value.detach().numpy()) for name, value in parameters.items()}
    tokenizer = json.dumps(tokens.tokenizer_config(), indent=2).encode() + b"\n"
    write(
        output,
        config,
        tensors,
        tokenizer=tokens.to_tokenizer_json(),
        generation=_generation(tokens),
        beside={"tokenizer_config.json": tokenizer},
    )
    (output / SUMS).write_text(json.dumps(sha256(output), indent=2) + "\n", "utf-8")


def sha256(folder: Path) -> dict[str, str]:
    """The sum of every file of the model but the one that records them."""
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _stored(name: str, values: np.ndarray) -> np.ndarray | Packed:
    return encode(values) if name.endswith(("gate_up_proj", "down_proj")) else values.astype(bfloat16)


def _generation(tokens: Vocabulary) -> dict[str, Any]:
    """Greedy, since a sum has one answer; the effort that is right by default is a key of our own."""
    return {
        "bos_token_id": tokens.control["<|startoftext|>"],
        "do_sample": False,
        "eos_token_id": [tokens.return_, tokens.endoftext, tokens.call],
        "pad_token_id": tokens.endoftext,
        "reasoning_effort": DEFAULT_EFFORT,
    }


if __name__ == "__main__":
    main()
