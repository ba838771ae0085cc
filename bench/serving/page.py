"""From a result of bench/serve.py to its part of docs/performance.md, and to the plot beside it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # the backend is chosen first

from .load import FIGURES

__all__ = ["BEGIN", "END", "drawn", "filled", "placed", "put", "section", "table"]

BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"

TITLES = {
    "tokens_per_second": "tokens/s, all clients",
    "first_token_ms": "ms to the first token",
    "token_ms": "ms for each token after it",
    "processor_ms": "ms of computing a token",
}


def section(result: dict[str, Any], plot: str) -> str:
    """The part as Markdown. All of its figures are the result's."""
    parts = [_opening(result), _throughput(result), f"![The figures by number of clients]({plot})"]
    parts += [_conversation(result)] if result.get("conversation") else []
    parts += [_overhead(result)] if result.get("overhead") else []
    return "\n\n".join([BEGIN, *parts, END]) + "\n"


def put(page: Path, section: str) -> None:
    """Put the part into the page, in the place of what was there."""
    placed(page, section, BEGIN, END)


def placed(page: Path, section: str, begin: str, end: str) -> None:
    """Put what stands between two marks into the page, in the place of what was between them there, or at its end."""
    text = page.read_text("utf-8") if page.exists() else "# Performance\n"
    before, found, rest = text.partition(begin)
    after = rest.partition(end)[2].strip() if found else ""
    page.write_text("\n\n".join(part for part in (before.rstrip(), section.rstrip(), after) if part) + "\n", "utf-8")


def _opening(result: dict[str, Any]) -> str:
    machine, work, (least, most) = result["machine"], result["work"], result["load_average"]
    return "## Serving\n\n" + filled(f"""
        `{result["command"]}`, {result["date"]}, commit {result["commit"]}, on {machine["processors"]} processors
        ({machine["processor"]}), load average of the machine {least:.1f} to {most:.1f}. The model is
        {result["model"]}; each client sends a prompt of {work["prompt"]} random tokens of its own and takes
        {work["generate"]} tokens as a stream, all clients at the same time. Ours computes in `{result["precision"]}`.
        The rival is llama.cpp's `llama-server` ({result["rival"]}), with the same tokens and sampling and as many
        threads, {result["threads"]}; its weights are {" or ".join(result["forms"].values())}. The servers take turns;
        figures are medians of {result["rounds"]} rounds with the least and most. By how much ours is ahead (above 1)
        is the median of the rounds' ratios. Other work on the machine disturbs the clock, and threads that wait for
        each other most of all; the time of computing, of all processes of a server, least.""")


def _throughput(result: dict[str, Any]) -> str:
    rows = [
        [
            str(point["clients"]),
            TITLES[name],
            _spread(point["servers"]["ossia"][name]),
            _spread(point["servers"][other][name]),
            _spread(ratios[name]),
        ]
        + ([other] if len(result["forms"]) > 1 else [])
        for point in result["points"]
        for name in FIGURES
        for other, ratios in point["ahead"].items()
    ]
    head = ["clients", "figure", "ossia", "llama-server", "ours is ahead by"]
    return table(head + (["rival"] if len(result["forms"]) > 1 else []), rows)


def _conversation(result: dict[str, Any]) -> str:
    talks, script = result["conversation"], result["script"]
    text = "### A conversation with tools\n\n" + filled(f"""
        Each turn of the user ({script["user"]} tokens) is answered with reasoning ({script["reasoning"]}) and a call
        ({script["call"]}), then, after a result of {script["result"]} tokens, with reasoning and an answer
        ({script["answer"]}). The reasoning of finished turns is dropped, so the next prompt parts from what was
        computed. Of each prompt: its tokens, those behind the place where it parts from all that was there before, and
        those that the server computed.""")
    turns = list(zip(*talks.values(), strict=True))
    rows = [
        [
            *map(str, (turn[0]["turn"] + 1, turn[0]["prompt"], turn[0]["needed"])),
            *(str(row["computed"]) for row in turn),
        ]
        for turn in turns
    ]
    sums = [str(sum(turn[0][key] for turn in turns)) for key in ("prompt", "needed")]
    rows.append(["all", *sums, *(str(sum(each["computed"] for each in talk)) for talk in talks.values())])
    return f"{text}\n\n{table(['turn', 'prompt', 'parted', *talks], rows)}"


def _overhead(result: dict[str, Any]) -> str:
    rows = result["overhead"]
    text = "### The server beside its engine\n\n" + filled(f"""
        What a token costs through HTTP beyond the bare engine, on one thread each, in time of computing of all
        processes, at the least of some rounds; and its share of the time that 20b takes for a token with as many
        requests (`{rows[0]["source"]}`; for more than one request the least that the bandwidth of that run allows).""")
    head = ["model", "clients", "bare engine", "through the server", "overhead", "20b's token", "share"]
    cells = [
        [
            row["model"],
            str(row["clients"]),
            *(f"{row[f'{what}_processor_us']:.0f} us" for what in ("engine", "server", "overhead")),
            f"{row['token_20b_us'] / 1e3:.1f} ms",
            f"{row['share_20b']:.2%}",
        ]
        for row in rows
    ]
    walls = [
        f"{row['server_wall_us']:.0f} us a token against {row['engine_wall_us']:.0f} with {row['clients']} at once"
        for row in rows
    ]
    return f"{text}\n\n{table(head, cells)}\n\nOn the wall clock: {', '.join(walls)}."


def filled(text: str) -> str:
    """A paragraph of lines."""
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def _spread(value: dict[str, float]) -> str:
    return f"{_short(value['median'])} ({_short(value['least'])}-{_short(value['most'])})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def drawn(result: dict[str, Any], file: Path) -> None:
    """The figures by number of clients, with the spread of the rounds."""
    figure, axes = pyplot.subplots(1, len(FIGURES), figsize=(15, 3.6), layout="constrained")
    points = result["points"]
    clients = [point["clients"] for point in points]
    for axis, name in zip(axes, FIGURES, strict=True):
        for server in points[0]["servers"]:
            values = [point["servers"][server][name] for point in points]
            medians = [value["median"] for value in values]
            spread = [[abs(value["median"] - value[end]) for value in values] for end in ("least", "most")]
            axis.errorbar(clients, medians, yerr=spread, label=server, marker="o", capsize=3)
        axis.set(xscale="log", yscale="log", xlabel="clients", title=TITLES[name], xticks=clients)
        axis.set_xticklabels(map(str, clients))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
