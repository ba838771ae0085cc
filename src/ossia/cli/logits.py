"""`ossia logits`: every next-token score of a sequence, for comparing models, backends and precisions."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ossia.cli import _options
from ossia.cli._writing import written
from ossia.errors import ContextLengthError, RequestError
from ossia.json_words import kind

if TYPE_CHECKING:
    import numpy as np

    from ossia.config import ModelConfig

HELP = "Write the logits of a sequence of tokens as a NumPy file."
EXAMPLE = "ossia logits nano tokens.json --out logits.npy --backend reference"

ROWS = 64
"""Rows of logits computed at a time: at 201,088 tokens, 51 MB."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("model", metavar="MODEL", help="a path, a hub name such as openai/gpt-oss-20b, or nano")
    parser.add_argument("tokens", metavar="TOKENS.json", type=Path, help="a JSON list of token ids, [1, 2, 3]")
    parser.add_argument("--out", required=True, metavar="LOGITS.npy", type=Path, help="[T, V] float32; replaced whole")
    _options.add_backend(parser)
    _options.add_precision(parser, default="exact")
    _options.add_cache_dtype(parser)


def run(options: argparse.Namespace) -> int:
    """Compute and write."""
    from ossia.loading import load_weights

    loaded = load_weights(options.model, **_options.computing(options))
    config = loaded.checkpoint.config
    tokens = read_tokens(options.tokens, config)
    with written(options.out, over=True) as file:
        write_header(file, (len(tokens), config.vocab_size))
        finite = sum(_write(file, rows) for rows in loaded.logits(tokens, ROWS))
    if finite < len(tokens):
        print(f"{options.out}: {len(tokens) - finite} of {len(tokens)} rows are not finite numbers", file=sys.stderr)
    return 0


def _write(file: BinaryIO, rows: "np.ndarray") -> int:
    """Writes the rows; how many of them are finite."""
    import numpy as np

    file.write(rows.tobytes())
    return int(np.isfinite(rows).all(axis=1).sum())


def read_tokens(file: Path, config: "ModelConfig") -> list[int]:
    """The ids in a file. Raises RequestError when it is no list of the model's tokens, or an empty one."""
    try:
        tokens = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise RequestError(
            f"{file}: {error.strerror or error}; a JSON file with a list of token ids is right"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"{file}: not readable JSON: {error}; a list of token ids such as [1, 2, 3] is right"
        ) from error
    if not isinstance(tokens, list):
        raise RequestError(f"{file}: holds a JSON {kind(tokens)}; a list of token ids is right")
    if not tokens:
        raise RequestError(f"{file}: the list is empty; at least one token id is right")
    last = config.vocab_size - 1
    for place, token in enumerate(tokens):
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token <= last:
            raise RequestError(
                f"{file}: entry {place} is {json.dumps(token):.40}; a token id from 0 to {last} is right"
            )
    if len(tokens) > config.max_position_embeddings:
        raise ContextLengthError(
            f"{file}: {len(tokens)} tokens; at most the model's context of {config.max_position_embeddings} is right"
        )
    return tokens


def write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """What a NumPy file of float32 begins with."""
    import numpy as np

    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
