"""Ours, timed as `ossia bench` times it, with a line of JSON for each repeat as it ends, and one for what they mean.

    python -m engines.timed MODEL PRECISION THREADS REPEATS '{"prompt": 512, "generate": 32, "batch": 1, "depth": 0}'

The first, without the depth, is the warm-up. The last line has the bytes of a step and the bandwidth, read after the
repeats.
"""

import json
import sys
from dataclasses import asdict, replace

import numpy as np

from ossia.cli._bounds import peak_rss_bytes
from ossia.cli._filling import FilledEngine
from ossia.cli._speed import Load, engine_config, fill, summarise, time_once
from ossia.loading import load_weights

__all__ = ["main"]


def main(model: str, precision: str, threads: str, repeats: str, numbers: str) -> None:
    """Print the lines."""
    loaded, wanted = load_weights(model, precision=precision, threads=int(threads)), Load(**json.loads(numbers))
    engine, random = FilledEngine(loaded.model, engine_config(wanted)), np.random.default_rng(0)
    shallow = replace(wanted, depth=0)
    warm_up, depths = fill(engine, shallow, random), fill(engine, wanted, random)
    runs = []
    for load, before in [(shallow, warm_up), *[(wanted, depths)] * int(repeats)]:
        runs.append(time_once(engine, load, random, before))
        print(json.dumps(asdict(runs[-1])), flush=True)
    speed = summarise(runs[1:], loaded, wanted, peak_rss_bytes(), None)
    print(json.dumps(loaded.settings() | asdict(wanted) | asdict(speed)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
