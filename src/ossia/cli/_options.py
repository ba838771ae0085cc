"""Options that several verbs share, so that they are spelt and explained alike."""

import argparse
from collections.abc import Callable

__all__ = ["add_backend", "add_model", "add_precision", "at_least", "fraction"]


def add_model(parser: argparse.ArgumentParser) -> None:
    """The positional MODEL, `nano` when left out."""
    parser.add_argument(
        "model",
        nargs="?",
        default="nano",
        metavar="MODEL",
        help="a path, a hub name such as openai/gpt-oss-20b, or nano",
    )


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Who computes, and on how many threads."""
    parser.add_argument(
        "--backend", choices=("native", "reference", "torch"), default="native", help="who computes (default: native)"
    )
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="of the native backend (default: all cores)")


def add_precision(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """How exactly; without a default, as fits the model."""
    parser.add_argument(
        "--precision",
        choices=("exact", "fast"),
        default=default,
        help=f"exact: float32 throughout; fast: bfloat16 activations (default: {default or 'exact, fast from 20b on'})",
    )


def at_least(smallest: int) -> Callable[[str], int]:
    """An argparse type: a whole number not below `smallest`."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest} on")
        return value

    return whole_number


def fraction(lowest: float, highest: float) -> Callable[[str], float]:
    """An argparse type: a number from `lowest` to `highest`, both included."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {lowest:g} to {highest:g}")
        return value

    return number
