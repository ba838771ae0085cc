"""`ossia list`: the models on this machine, whoever downloaded them."""

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ossia.checkpoint import Local, Verdict

HELP = "List the models on this machine, and whether they can be run."
EXAMPLE = """ossia list
  ossia list --all --json

Found are nano and what Ossia, Hugging Face's programs, Ollama, LM Studio and llama.cpp have downloaded."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("--all", action="store_true", help="models of other architectures too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Look, and print."""
    from ossia.checkpoint import judge, models

    judged = [(local, judge(local.path)) for local in models()]
    shown = [_nano(), *(_row(local, verdict) for local, verdict in judged if options.all or verdict.related)]
    if options.json:
        print(json.dumps({"models": shown}, indent=2))
        return 0
    _print(shown)
    left_out = len(judged) + 1 - len(shown)
    if left_out:
        print(f"\n{left_out} of other architectures; --all lists them too")
    return 0


def _row(local: "Local", verdict: "Verdict") -> dict[str, Any]:
    from ossia.checkpoint.sources import records

    return {
        "name": local.name,
        "layout": verdict.layout,
        "bytes": local.bytes,
        "path": str(local.path),
        "program": local.program,
        "pulled_by_ossia": records.pulled(local.path),
        "runs": verdict.refusal is None,
        "reason": verdict.refusal,
        "incomplete": verdict.incomplete,
    }


def _nano() -> dict[str, Any]:
    from ossia.checkpoint import find, judge

    path = find("nano")
    about = {"name": "nano", "layout": judge(path).layout, "path": str(path), "program": "part of Ossia"}
    files = [file for file in path.iterdir() if file.is_file()]
    more = {"pulled_by_ossia": False, "runs": True, "reason": None, "incomplete": False}
    return about | {"bytes": sum(file.stat().st_size for file in files)} | more


def _print(rows: list[dict[str, Any]]) -> None:
    from ossia.cli._display import one_line
    from ossia.cli._pulling import size

    head = ("NAME", "LAYOUT", "SIZE", "BY", "RUNS")
    table = [head, *((row["name"], row["layout"] or "?", size(row["bytes"]), _by(row), _runs(row)) for row in rows)]
    widths = [max(len(one_line(cell)) for cell in column) for column in zip(*table, strict=True)]
    for cells, row in zip(table, [None, *rows], strict=True):
        print("  ".join(f"{one_line(cell):{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
        if row is not None and row["reason"]:
            print(f"    {one_line(row['reason'])}")
        if row is not None:
            print(f"    {one_line(row['path'])}")


def _by(row: dict[str, Any]) -> str:
    return f"Ossia, for {row['program']}" if row["pulled_by_ossia"] else row["program"]


def _runs(row: dict[str, Any]) -> str:
    if row["runs"]:
        return "yes"
    return "incomplete" if row["incomplete"] else "no"
