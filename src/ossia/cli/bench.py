"""`ossia bench`: how fast a model reads prompts and writes answers here, and how near that is to what memory allows."""

import argparse
import json
import statistics
from dataclasses import asdict
from typing import Any

from ossia.cli import _options

HELP = "Measure tokens per second, and the share of the memory-bandwidth bound that decoding reaches."
EXAMPLE = "ossia bench nano --prompt 512 --generate 64 --batch 1 --depth 0 --json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    _options.add_model(parser)
    count, positive = _options.at_least(0), _options.at_least(1)
    parser.add_argument("--prompt", type=positive, default=512, metavar="N", help="tokens of a prompt (default: 512)")
    parser.add_argument("--generate", type=positive, default=64, metavar="N", help="of an answer (default: 64)")
    parser.add_argument("--batch", type=positive, default=1, metavar="N", help="requests at once (default: 1)")
    parser.add_argument("--depth", type=count, default=0, metavar="N", help="tokens before the prompt (default: 0)")
    parser.add_argument("--repeats", type=positive, default=5, metavar="N", help="measurements (default: 5)")
    _options.add_backend(parser)
    _options.add_precision(parser)
    _options.add_cache_dtype(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    report = measured(options)
    print(json.dumps(report) if options.json else in_words(report))
    return 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, the settings in effect, and what came out."""
    from ossia.cli import _speed
    from ossia.errors import RequestError
    from ossia.loading import load_weights

    loaded = load_weights(options.model, **_options.computing(options))
    load = _speed.Load(prompt=options.prompt, generate=options.generate, batch=options.batch, depth=options.depth)
    if load.context > (most := loaded.model.config.max_position_embeddings):
        raise RequestError(
            f"--depth, --prompt and --generate are {load.context - 1} tokens together; fewer than {most} are right, "
            "which the model was made for"
        )
    speed = _speed.measure(loaded, load, repeats=options.repeats)
    return {"model": options.model} | loaded.settings() | asdict(load) | asdict(speed)


def in_words(report: dict[str, Any]) -> str:
    """The report for a person."""
    speeds = {
        kind: [repeat[f"{kind}_tokens_per_second"] for repeat in report["repeats"]] for kind in ("prefill", "decode")
    }
    instructions = f" with {report['isa']}" if report["isa"] else ""
    lines = {
        "model": f"{report['model']}, {report['backend']} {report['precision']}{instructions}, "
        f"threads {report['threads'] or 'auto'}",
        "load": ", ".join(f"{key} {report[key]}" for key in ("prompt", "generate", "batch", "depth")),
        "prefill": f"{_spread(speeds['prefill'])} tokens/s",
        "decode": f"{_spread(speeds['decode'])} tokens/s",
        "step": f"{report['decode_bytes_per_step'] / 1e6:,.1f} MB to read",
        "memory": f"{report['read_bandwidth_bytes_per_second'] / 1e9:.1f} GB/s read bandwidth, measured now",
        "bound": f"decoding runs at {report['decode_bound_fraction']:.1%} of what that allows",
        "weights": f"{report['weights_bandwidth_bytes_per_second'] / 1e9:.1f} GB/s where the experts lie: "
        f"{report['decode_weights_fraction']:.1%} of what that allows",
        "resident": f"{report['peak_rss_bytes'] / 2**20:,.0f} MiB at most, mapped files included",
    }
    return "\n".join(f"{name:9} {words}" for name, words in lines.items())


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.1f} (median of {len(values)}, {min(values):,.1f} to {max(values):,.1f})"
