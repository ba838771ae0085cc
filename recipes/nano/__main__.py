"""Make the embedded model from nothing: `python -m recipes.nano --output build/nano`.

Trains, learns from its own graded answers if so asked, exports to `model` in the output folder, and measures it there.
Started again it goes on where it was; nothing in the package changes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from ossia.cli._options import at_least
from recipes.nano.train import CHECKPOINT


def main() -> None:
    """Run the parts as the programs that they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/nano"))
    parser.add_argument("--count", type=at_least(0), default=200, help="problems of a cell to measure; 0 measures none")
    parser.add_argument(
        "--rounds", type=at_least(0), default=0, help="of learning from its own answers, after training"
    )
    arguments, training = parser.parse_known_args()
    output, model = arguments.output, arguments.output / "model"
    trained = output / CHECKPOINT
    _run("train", "--wide", "--output", str(output), *training)
    if arguments.rounds:
        rewarded = output / "rewarded.pt"
        _run("reward", str(trained), "--output", str(rewarded), "--rounds", str(arguments.rounds))
        trained = rewarded
    _run("export", str(trained), "--output", str(model))
    if arguments.count:
        results = output / "results.json"
        _run("evaluate", "--model", str(model), "--output", str(results), "--count", str(arguments.count))
        print(f"{results}: {len(json.loads(results.read_text('utf-8'))['scores'])} figures")


def _run(part: str, *words: str) -> None:
    status = subprocess.run([sys.executable, "-m", f"recipes.nano.{part}", *words], check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
