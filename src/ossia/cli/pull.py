"""`ossia pull`: a model from the hub or from an Ollama registry."""

import argparse
import json
import sys

HELP = "Download a model, or what is missing of it."
EXAMPLE = """ossia pull gpt-oss:20b
  ossia pull openai/gpt-oss-120b
  ossia pull ggml-org/gpt-oss-20b-GGUF
  ossia pull ollama://gpt-oss:20b

Short names, as Ollama has them, and ORG/NAME, with :QUANT or @REVISION, come from the Hugging Face hub; ollama://NAME
and all other names from Ollama's registry. They go where Hugging Face's and Ollama's own programs look for
them. HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HOME and OLLAMA_MODELS mean what they mean there; OLLAMA_REGISTRY names
a mirror of the registry. A download that was interrupted goes on where it was."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("model", metavar="MODEL", help="gpt-oss:20b, a hub name such as openai/gpt-oss-20b, ...")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Download and say where it is."""
    from ossia.checkpoint import find, judge, pull
    from ossia.checkpoint.sources.names import ALIASES
    from ossia.cli._display import one_line
    from ossia.cli._pulling import PullDisplay
    from ossia.cli._signals import INTERRUPTED
    from ossia.errors import CheckpointError, ModelNotFoundError

    name = options.model
    if name.lower() in ALIASES or name == "nano":
        # A short name means the model, not a source: whoever has it already need not download it again.
        try:
            return _say(name, find(name), options.json, "is here already")
        except (ModelNotFoundError, CheckpointError):
            pass
    try:
        with PullDisplay(name) as display:
            path = pull(name, display)
    except KeyboardInterrupt:
        print(one_line(f"stopped; `ossia pull {name}` goes on from here"), file=sys.stderr)
        return INTERRUPTED
    if (refusal := judge(path).refusal) is not None:
        raise CheckpointError(f"{name} was downloaded to {path}, but cannot be run: {refusal}")
    return _say(name, path, options.json, "is here")


def _say(name: str, path: object, as_json: bool, what: str) -> int:
    from ossia.cli._display import one_line

    if as_json:
        print(json.dumps({"model": name, "path": str(path)}, indent=2))
    else:
        print(one_line(f"{name} {what}: {path}"), file=sys.stderr)
    return 0
