"""`ossia train nano`: the embedded model made again from nothing, by its recipe."""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from ossia.cli._options import at_least

HELP = "Make the embedded model again from nothing: train it, write it, measure it."
EXAMPLE = "ossia train nano --out build/nano"

_SOURCE = Path(__file__).parents[3]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("recipe", choices=("nano",), help="what to make")
    parser.add_argument(
        "--out", type=Path, default=Path("build/nano"), metavar="DIR", help="the folder to make (default: build/nano)"
    )
    parser.add_argument("--device", help="what to train on, for example cuda (default: the processor)")
    parser.add_argument("--steps", type=at_least(1), help="of training (default: as the recipe says)")
    parser.add_argument(
        "--processes", type=at_least(1), help="one of one thread each, of the processor (default: as the recipe says)"
    )
    parser.add_argument(
        "--count", type=at_least(0), default=200, help="problems of each kind to measure it by (default: 200)"
    )


def run(options: argparse.Namespace) -> int:
    """Become the recipe, which shows its progress; started again it goes on where it was."""
    from ossia.errors import OssiaError

    if not (_SOURCE / "recipes" / options.recipe).is_dir():
        raise OssiaError(
            "the recipe of nano is not part of an installed package; in a clone of Ossia's repository, where "
            "`make develop` has set up torch, is right"
        )
    if importlib.util.find_spec("torch") is None:
        raise OssiaError("training needs torch, which this installation has not; `make develop` in the clone brings it")
    words = ["--output", str(options.out.resolve()), "--count", str(options.count)]
    for name in ("device", "steps", "processes"):
        if (given := getattr(options, name)) is not None:
            words += [f"--{name}", str(given)]
    os.chdir(_SOURCE)
    # A process of its own would train on when this one, which the user knows, is killed.
    os.execv(sys.executable, [sys.executable, "-m", f"recipes.{options.recipe}", *words])
