"""From a result of bench/cpu.py to its part of docs/performance.md, and to the picture beside it."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # the backend is chosen first
from serving.page import filled, placed, table

__all__ = ["BEGIN", "END", "drawn", "put", "section"]

BEGIN, END = "<!-- cpu: begin -->", "<!-- cpu: end -->"


def section(result: dict[str, Any], plot: str) -> str:
    """The part as Markdown. All of its figures are the result's."""
    parts = [_opening(result), _speeds(result), _bounds(result), f"![Tokens a second by engine]({plot})"]
    return "\n\n".join([BEGIN, *parts, END]) + "\n"


def put(page: Path, section: str) -> None:
    """Put the part into the page, in the place of what was there."""
    placed(page, section, BEGIN, END)


def _opening(result: dict[str, Any]) -> str:
    machine = result["machine"]
    text = f"""
        `{result["command"]}`, {result["date"]}, commit {result["commit"]}, on {machine["processors"]} processors
        ({machine["processor"]}), {result["threads"]} threads each, load average {result["load_average"]:.1f} at the
        end. The model is {result["model"]}. The rivals have its dense matrices in 8 bits, the same values; ours has
        them so at `fast`, and in bfloat16 at `exact`. Engines take turns; figures are medians of {result["rounds"]}
        rounds with the least and most, and by how much ours is ahead (above 1) is the median of the rounds' ratios."""
    return "## Beside other engines\n\n" + filled(text)


def _speeds(result: dict[str, Any]) -> str:
    engines = list(dict.fromkeys(name for work in result["works"] for name in work["speeds"]))
    rows = []
    for work in result["works"]:
        cells = [_spread(work["speeds"][name]) if name in work["speeds"] else "-" for name in engines]
        ahead = [
            f"{own.removeprefix('ossia ')} {each['median']:.2f} of {rival}"
            for own, rivals in work["ahead"].items()
            for rival, each in rivals.items()
        ]
        rows.append([work["name"], *cells, "; ".join(ahead)])
    return table(["tokens/s", *engines, "ahead by"], rows)


def _bounds(result: dict[str, Any]) -> str:
    rows = []
    kinds = dict.fromkeys(
        (each["precision"], each["batch"], each["depth"]) for each in result["bounds"] if each["generate"] > 1
    )
    for precision, batch, depth in kinds:
        same = [
            each
            for each in result["bounds"]
            if (each["precision"], each["batch"], each["depth"]) == (precision, batch, depth) and each["generate"] > 1
        ]
        shares = [each["decode_bound_fraction"] for each in same]
        bandwidth = [each["read_bandwidth_bytes_per_second"] / 1e9 for each in same]
        rows.append(
            [
                f"{precision}, {batch} at once, depth {depth:,}",
                f"{same[0]['decode_bytes_per_step'] / 1e6:,.0f} MB",
                f"{statistics.median(bandwidth):.1f} ({min(bandwidth):.1f}-{max(bandwidth):.1f}) GB/s",
                f"{statistics.median(shares):.0%} ({min(shares):.0%}-{max(shares):.0%})",
            ]
        )
    text = "A step cannot be shorter than its bytes over the bandwidth that was read in the same minute:"
    return f"{text}\n\n" + table(["ossia", "bytes of a step", "bandwidth", "of the bound"], rows)


def _spread(value: dict[str, float]) -> str:
    return f"{value['median']:.1f} ({value['least']:.1f}-{value['most']:.1f})"


def drawn(result: dict[str, Any], file: Path) -> None:
    """Tokens a second of each engine at each work, with the spread of the rounds."""
    works = result["works"]
    figure, axes = pyplot.subplots(1, len(works), figsize=(2.6 * len(works), 3.4), layout="constrained", squeeze=False)
    engines = list(dict.fromkeys(name for work in works for name in work["speeds"]))
    for axis, work in zip(axes[0], works, strict=True):
        for place, name in enumerate(engines):
            if name in work["speeds"]:
                value = work["speeds"][name]
                low, high = value["median"] - value["least"], value["most"] - value["median"]
                axis.bar(place, value["median"], yerr=[[low], [high]], capsize=3, color=f"C{place}")
        axis.set(title=work["name"], xticks=range(len(engines)))
        axis.set_xticklabels(engines, rotation=30, ha="right")
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("tokens/s")
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
