"""Write a trained checkpoint as the embedded model: `python -m recipes.nano.export build/nano/checkpoint.pt`.

The folder has the published layout, so transformers and every other program that knows gpt-oss opens it. Attention,
router and embeddings are rounded to bfloat16, the experts to MXFP4.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ml_dtypes import bfloat16

from ossia.checkpoint import write
from ossia.errors import CheckpointError
from ossia.harmony import Vocabulary
from ossia.mxfp4 import Packed, encode
from recipes.nano.command import run
from recipes.nano.conversation import vocabulary
from recipes.nano.shape import model_config
from recipes.nano.trained import read_nano

__all__ = ["DEFAULT_EFFORT", "EMBEDDED", "SUMS", "WEIGHTS", "check_replaceable", "export", "replace", "sha256"]

EMBEDDED = Path(__file__).parents[2] / "src" / "ossia" / "data" / "nano"
WEIGHTS = "model.safetensors"
SUMS = "sha256.json"
DEFAULT_EFFORT = "high"
_MARKS = {"config.json", SUMS}
_FILES = _MARKS | {"generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"}


def main() -> None:
    """Replace the embedded model."""
    parser = argparse.ArgumentParser(description="Write a trained checkpoint as the embedded model.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, default=EMBEDDED)
    arguments = parser.parse_args()
    step, parameters = read_nano(arguments.checkpoint)
    replace(parameters, arguments.output)
    size = sum(file.stat().st_size for file in arguments.output.iterdir())
    print(f"{arguments.output}: {size / 1e6:.2f} MB after {step} steps")


def replace(parameters: Mapping[str, torch.Tensor], output: Path) -> None:
    """Export to where an exported model may already be: it goes when the new one is whole, and stays otherwise.

    Raises CheckpointError when something else is there.
    """
    check_replaceable(output)
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}.", suffix=".part", dir=output.parent) as beside:
        new, old = Path(beside, output.name), Path(beside, "old")
        export(parameters, new)
        if output.exists():
            output.rename(old)
        try:
            new.rename(output)
        except BaseException:
            old.rename(output)
            raise


def check_replaceable(output: Path) -> None:
    """Raises CheckpointError unless `output` is new, an empty folder, or an exported model and nothing else."""
    if not output.exists():
        return
    right = "an exported model, an empty folder or a new name is right"
    if not output.is_dir():
        raise CheckpointError(f"{output}: this is no folder; {right}")
    found = {file.name for file in output.iterdir()}
    if found and not found >= _MARKS:
        raise CheckpointError(f"{output}: this folder has no {' and '.join(sorted(_MARKS - found))}; {right}")
    if others := found - _FILES:
        raise CheckpointError(f"{output}: beside a model this folder has {min(others)}; {right}")


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
    run(main)
