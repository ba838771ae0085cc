"""`ossia convert`: a checkpoint in another layout, with the hash of every tensor."""

import argparse
import json
import sys
from pathlib import Path

from ossia.cli._display import Progress

HELP = "Convert a checkpoint to another layout, and prove that every tensor came through."
EXAMPLE = "ossia convert nano nano.gguf"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("model", metavar="MODEL", help="a path, a hub name such as openai/gpt-oss-20b, or nano")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to make, or for GGUF the file")
    parser.add_argument(
        "--layout",
        choices=("hugging_face", "original", "gguf", "ollama"),
        help="default: gguf when OUT ends so, hugging_face otherwise; ollama is Ollama's own form of GGUF",
    )
    parser.add_argument(
        "--experts", choices=("keep", "mxfp4"), default="keep", help="mxfp4 quantises bfloat16 experts (default: keep)"
    )
    parser.add_argument(
        "--rule",
        choices=("error", "ocp"),
        default="error",
        help="how MXFP4 scales are chosen: for the least error, or as the OCP standard says (default: error)",
    )
    parser.add_argument("--lossy", action="store_true", help="allow Q8_0 and float32 values to be rounded to bfloat16")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Convert and print the proof."""
    from ossia.checkpoint import convert, find, open_checkpoint

    layout = options.layout or ("gguf" if options.out.suffix == ".gguf" else "hugging_face")
    source = open_checkpoint(find(options.model))
    with Progress(f"writing {options.out}") as bar:
        done = convert(
            source,
            options.out,
            layout,
            quantise=options.experts == "mxfp4",
            rule=options.rule,
            lossy=options.lossy,
            progress=bar.show,
        )
    if options.json:
        about = {"path": str(options.out), "layout": layout, "from": source.layout}
        print(json.dumps(about | {"sha256": done.hashes, "quantisation_error": done.quantisation_errors}, indent=2))
        return 0
    for name, digest in done.hashes.items():
        print(f"{digest}  {name}")
    if done.quantisation_errors:
        worst = max(done.quantisation_errors.values())
        print(f"{len(done.quantisation_errors)} tensors quantised, relative error at most {worst:.4f}", file=sys.stderr)
    print(f"{options.out}: {len(done.hashes)} tensors, each read back as it was written", file=sys.stderr)
    if layout in ("gguf", "ollama") and source.tokenizer and _cuts_otherwise(source.tokenizer):
        print(
            "this vocabulary cuts text by a pattern that GGUF has no name for: the file says gpt-4o, and programs that "
            "go by that may split text, such as numbers, into other tokens",
            file=sys.stderr,
        )
    return 0


def _cuts_otherwise(tokenizer: bytes) -> bool:
    """Whether a `tokenizer.json` cuts text by another pattern than o200k's; False where it cannot be told."""
    from ossia.errors import VocabularyError
    from ossia.harmony import O200K_PATTERN, Vocabulary

    try:
        return Vocabulary.from_tokenizer_json(tokenizer).pattern != O200K_PATTERN
    except VocabularyError:
        return False
