"""Options that several verbs share, so that they are spelt and explained alike."""

import argparse
import os
from collections.abc import Callable
from datetime import date
from typing import Any

__all__ = [
    "add_answering",
    "add_backend",
    "add_cache_dtype",
    "add_model",
    "add_precision",
    "add_running",
    "add_showing",
    "at_least",
    "calm_numpy",
    "computing",
    "fraction",
]

Arguments = argparse._ActionsContainer
"""A parser, or a group of its options."""


def add_model(parser: argparse.ArgumentParser) -> None:
    """The positional MODEL, `nano` when left out."""
    parser.add_argument(
        "model",
        nargs="?",
        default="nano",
        metavar="MODEL",
        help="a path, a hub name such as openai/gpt-oss-20b, or nano",
    )


def add_backend(parser: Arguments) -> None:
    """Who computes, and on how many threads."""
    parser.add_argument(
        "--backend", choices=("native", "reference", "torch"), default="native", help="who computes (default: native)"
    )
    parser.add_argument(
        "--threads", type=at_least(1, 1024), metavar="N", help="of the native backend (default: all cores)"
    )


def add_precision(parser: Arguments, default: str | None = None) -> None:
    """How exactly; without a default, as fits the model."""
    parser.add_argument(
        "--precision",
        choices=("exact", "fast", "turbo"),
        default=default,
        help="exact: float32 throughout; fast: activations rounded where that is cheap; turbo: fast, and rounded "
        "by how many tokens are computed together, so that company in a batch shows (default: "
        f"{default or 'exact, fast from 20b on'})",
    )


def add_cache_dtype(parser: Arguments) -> None:
    """What keys and values are kept as."""
    parser.add_argument(
        "--kv-cache-dtype",
        choices=("f32", "bf16", "int8"),
        help="what keys and values are kept as (default: f32 at exact, else bf16; int8 takes half of bf16's memory)",
    )


def computing(options: argparse.Namespace) -> dict[str, Any]:
    """What was asked for by the three above, as everything that opens a model takes it."""
    return {name: getattr(options, name) for name in ("backend", "precision", "threads", "kv_cache_dtype")}


def calm_numpy(options: argparse.Namespace) -> None:
    """Keep numpy, which is not imported yet, from starting threads that the native backend has no use for.

    OpenBLAS starts one for each processor, and each first spins for a while: a third of the time to import numpy.
    """
    if options.backend == "native":
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def at_least(smallest: int, largest: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number not below `smallest`, and not above `largest` if there is one."""
    right = f"{smallest} on" if largest is None else f"{smallest} to {largest}"

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest or (largest is not None and value > largest):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {right}")
        return value

    return whole_number


def fraction(lowest: float, highest: float, *, above: bool = False) -> Callable[[str], float]:
    """An argparse type: a number from `lowest`, included unless it must be `above`, to `highest`."""
    right = f"above {lowest:g}, at most {highest:g}" if above else f"from {lowest:g} to {highest:g}"

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest or (above and value == lowest):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {right}")
        return value

    return number


def add_answering(parser: argparse.ArgumentParser) -> None:
    """How the model is to answer: for the verbs that talk."""
    group = parser.add_argument_group("how it answers")
    group.add_argument("--effort", choices=("none", "low", "medium", "high"), help="how long it reasons")
    group.add_argument("--system", metavar="TEXT", help="instructions that precede the conversation")
    group.add_argument(
        "--date",
        metavar="YYYY-MM-DD",
        type=_date,
        default=date.today().isoformat(),
        help="the date it is told, or none (default: today)",
    )
    group.add_argument(
        "--max-tokens", type=at_least(1, 2**31 - 1), metavar="N", help="most tokens of an answer with its reasoning"
    )
    group.add_argument("--temperature", type=fraction(0, 100), metavar="X", help="0: always the likeliest token")
    group.add_argument(
        "--top-p", type=fraction(0, 1, above=True), metavar="X", help="only the likeliest tokens that make up X"
    )
    group.add_argument("--top-k", type=at_least(0, 2**31 - 1), metavar="N", help="only the N likeliest tokens, 0: all")
    group.add_argument(
        "--min-p", type=fraction(0, 1), metavar="X", help="only tokens X times as likely as the likeliest"
    )
    group.add_argument(
        "--seed",
        type=at_least(0, 2**64 - 1),
        metavar="N",
        help="the same seed gives the same answer (at turbo, in the same company)",
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """How the model is run: for the verbs that talk."""
    group = parser.add_argument_group("how it runs")
    add_backend(group)
    add_precision(group)
    add_cache_dtype(group)
    group.add_argument("--context", type=at_least(1), metavar="N", help="most tokens of a conversation")


def add_showing(parser: argparse.ArgumentParser) -> None:
    """What is shown beside the answer: for the verbs that talk."""
    group = parser.add_argument_group("what it shows")
    group.add_argument("-q", "--quiet", action="store_true", help="no reasoning and no remarks on stderr")
    group.add_argument(
        "-v", "--verbose", action="store_true", help="settings, usage and speed on stderr, after the answer"
    )
    group.add_argument("--raw", action="store_true", help="the tokens as they are, Harmony's control tokens among them")


def _date(text: str) -> str | None:
    if text == "none":
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-01-31, or none") from error
