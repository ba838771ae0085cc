"""`ossia ps`: the models that a running server has loaded."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from ossia.cli import _asking

HELP = "List the models that a running server has loaded."
EXAMPLE = """ossia ps
  ossia ps --url http://127.0.0.1:11434

A server with API keys wants one of them in the variable OSSIA_API_KEY."""

FOR_EVER_YEARS = 50
"""A time so far away stands for a model that is not unloaded by itself."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    _asking.add_server(parser)
    parser.add_argument("--json", action="store_true", help="print what the server answers")


def run(options: argparse.Namespace) -> int:
    """Ask, and print."""
    answer = _asking.ask(options.url, "GET", "/api/ps")
    if options.json:
        print(json.dumps(answer, indent=2))
        return 0
    models = answer.get("models")
    rows = [_row(model) for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    _print(rows)
    return 0


def _row(model: dict[str, Any]) -> tuple[str, str, str, str]:
    from ossia.cli._pulling import size

    context, bytes_ = model.get("context_length"), model.get("size")
    return (
        str(model.get("name", "?")),
        size(bytes_) if isinstance(bytes_, int) and bytes_ >= 0 else "?",
        f"{context:,}" if isinstance(context, int) and context else "-",
        _until(model, datetime.now(UTC)),
    )


def _until(model: dict[str, Any], now: datetime) -> str:
    """How long it stays loaded, or how far it is loaded."""
    done = model.get("loaded")
    if isinstance(done, int | float) and done < 1:
        return f"loading, {done:.0%}"
    try:
        seconds = (datetime.fromisoformat(str(model.get("expires_at"))) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return "?"
    if seconds > FOR_EVER_YEARS * 365 * 86400:
        return "for ever"
    return f"{max(seconds, 0) / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 0):.0f} s"


def _print(rows: list[tuple[str, str, str, str]]) -> None:
    from ossia.cli._display import one_line

    table = [("NAME", "SIZE", "CONTEXT", "STAYS"), *(tuple(map(one_line, row)) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        print("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
