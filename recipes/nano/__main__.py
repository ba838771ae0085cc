"""Make the embedded model from nothing: `python -m recipes.nano --output build/nano`.

Trains, learns from its own graded answers if so asked, exports to `model` in the output folder, and measures it there.
Started again it goes on where it was; nothing in the package changes.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from ossia.cli._options import at_least
from recipes.nano.command import run


def main() -> None:
    """Run the parts one after the other, in this process: whoever ends it ends all."""
    # They bring torch, which takes seconds: who presses ctrl-c meanwhile is heeded, too.
    from recipes.nano import evaluate, export, reward, train  # noqa: PLC0415

    sys.argv[0] = "recipes.nano"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/nano"))
    parser.add_argument("--count", type=at_least(0), default=200, help="problems of a cell to measure; 0 measures none")
    parser.add_argument(
        "--rounds", type=at_least(0), default=0, help="of learning from its own answers, after training"
    )
    arguments, training = parser.parse_known_args()
    output, model = arguments.output, arguments.output / "model"
    trained = output / train.CHECKPOINT
    export.check_replaceable(model)
    _run(train.main, "--wide", "--output", str(output), *training)
    if arguments.rounds:
        rewarded = output / "rewarded.pt"
        _run(reward.main, str(trained), "--output", str(rewarded), "--rounds", str(arguments.rounds))
        trained = rewarded
    _run(export.main, str(trained), "--output", str(model))
    if arguments.count:
        results = output / "results.json"
        _run(evaluate.main, "--model", str(model), "--output", str(results), "--count", str(arguments.count))
        print(f"{results}: {len(json.loads(results.read_text('utf-8'))['scores'])} figures")


def _run(part: Callable[[], None], *words: str) -> None:
    """Run a part with the command line that it would have alone."""
    sys.argv = [part.__module__, *words]
    part()


if __name__ == "__main__":
    run(main)
