"""`ossia make-random`: a checkpoint of any size with random weights that behave like a model's."""

import argparse
import json
import time
from pathlib import Path

from ossia.cli._display import Progress
from ossia.cli._options import at_least

HELP = "Write a random checkpoint of full size, for tests and benchmarks."
EXAMPLE = "ossia make-random 20b --out random-20b"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("config", metavar="20b|120b|CONFIG", help="a published size, or the path of a config.json")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="the folder to make")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the random numbers (default: 0)")
    parser.add_argument(
        "--dense",
        choices=("gaussian", "q8"),
        default="gaussian",
        help="dense weights: Gaussian bfloat16, or values that bfloat16 and Q8_0 both hold exactly (default: gaussian)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Draw and write."""
    from ossia.checkpoint import expected_tensors, find_config, make_random
    from ossia.config import ModelConfig
    from ossia.errors import ConfigError

    file = find_config(options.config) or Path(options.config)
    if not file.exists():
        raise ConfigError(f"no config {options.config!r} here; 20b, 120b or the path of a config.json is right")
    config = ModelConfig.read(file)
    started = time.monotonic()
    with Progress(f"writing {options.out}") as bar:
        make_random(options.out, config, options.seed, options.dense, bar.show)
    specs = expected_tensors(config).values()
    about = {
        "path": str(options.out),
        "seed": options.seed,
        "dense": options.dense,
        "parameters": sum(spec.parameters for spec in specs),
        "bytes": sum(spec.bytes for spec in specs),
        "seconds": round(time.monotonic() - started, 1),
    }
    if options.json:
        print(json.dumps(about, indent=2))
    else:
        print(
            f"{options.out}: {about['parameters']:,} random parameters, {about['bytes'] / 2**30:.1f} GiB, "
            f"seed {options.seed}, in {about['seconds']} s"
        )
    return 0
