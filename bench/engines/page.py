"""From a result of bench/cpu.py to its part of docs/performance.md, and to the picture beside it."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # the backend is chosen first
from matplotlib.axes import Axes
from report import spread
from serving.page import filled, placed, table

__all__ = ["BEGIN", "END", "drawn", "put", "section"]

BEGIN, END = "<!-- cpu: begin -->", "<!-- cpu: end -->"


def section(results: dict[str, dict[str, Any]]) -> str:
    """The part as Markdown, of results by the picture of each. All of its figures are the results'."""
    parts = [part for plot, result in results.items() for part in _one(result, plot)]
    return "\n\n".join([BEGIN, "## Beside other engines", *parts, END]) + "\n"


def _one(result: dict[str, Any], plot: str) -> list[str]:
    parts = [_opening(result), _speeds(result), _behind(result)]
    if not _decoding(result):
        return [*parts, f"![Tokens a second by engine]({plot})"]
    picture = f"![Tokens a second by engine, and how near decoding comes to the bandwidth]({plot})"
    return [*parts, _bounds(result), picture]


def put(page: Path, section: str) -> None:
    """Put the part into the page, in the place of what was there."""
    placed(page, section, BEGIN, END)


def _opening(result: dict[str, Any]) -> str:
    machine = result["machine"]
    waited = [share for work in result["works"] for shares in work["waited"].values() for share in shares]
    figures, ratio = _figures(result["works"])
    alone = " and are by the time that it had one" if result["threads"] == 1 else ""
    text = f"""
        `{result["command"]}`, {result["date"]}, commit {result["commit"]}, on {machine["processors"]} processors
        ({machine["processor"]}), {_instructions(result)}threads of each: {result["threads"]}. The machine was shared:
        figures are of engines that waited for a processor for {statistics.median(waited):.0%} of the time in the median
        and {max(waited):.0%} at most{alone}. The model is {result["model"]}. The rivals have its dense matrices in 8
        bits, the same values; ours has them so at `fast` and `turbo`, and in bfloat16 at `exact`. A prompt is of random
        tokens; an answer is written after one of 32 and, at a depth, what stands before it. Engines take turns, each
        warmed up by a run that does not count; figures are {figures}. By how much ours is ahead (above 1) is
        {ratio}."""
    return filled(text)


def _figures(works: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """What the speeds are, and what the ratios. A run that was interrupted has made some works more often."""
    counts = {len(speeds) for work in works for speeds in work["rounds"].values()}
    least, most = min(counts), max(counts)
    if most == 1:
        return "of one round", "the ratio within that round, which says nothing of how it would spread"
    rounds = f"{most}" if least == most else f"{least} to {most}"
    alone = ", and of one round where these are not given" if least == 1 else ""
    ratio = "the median of the ratios within a round, with the least and most"
    return f"medians of {rounds} rounds with the least and most{alone}", ratio


def _instructions(result: dict[str, Any]) -> str:
    """Which of the processor's instructions ours used; results of old do not say."""
    found = dict.fromkeys(each["isa"] for each in result["bounds"] if each.get("isa"))
    return f"instructions of ours: {' and '.join(found)}, " if found else ""


def _speeds(result: dict[str, Any]) -> str:
    engines = list(dict.fromkeys(name for work in result["works"] for name in work["speeds"]))
    rows = []
    for work in result["works"]:
        cells = [_spread(work["speeds"][name], ".1f") for name in engines]
        ahead = [
            f"{own.removeprefix('ossia ')} {_spread(each, '.2f')} of {rival}"
            for own, rivals in work["ahead"].items()
            for rival, each in rivals.items()
        ]
        rows.append([work["name"], *cells, "; ".join(ahead)])
    return table(["tokens/s", *engines, "ahead by"], rows)


def _behind(result: dict[str, Any]) -> str:
    found = [
        f"{own} reaches {each['median']:.2f} of {rival} at: {work['name']}"
        for work in result["works"]
        for own, rivals in work["ahead"].items()
        for rival, each in rivals.items()
        if each["median"] < 1
    ]
    return filled(f"Where ours is behind: {'; '.join(found) or 'nowhere in this table'}.")


def _bounds(result: dict[str, Any]) -> str:
    rows = []
    for (precision, batch, depth), same in _decoding(result).items():
        rows.append(
            [
                f"{precision}, {batch} at once, depth {depth:,}",
                f"{same[0]['decode_bytes_per_step'] / 1e6:,.0f} MB",
                _figure(same, "read_bandwidth_bytes_per_second", ".1f", 1e9, " GB/s"),
                _figure(same, "decode_bound_fraction", ".0%"),
                _figure(same, "weights_bandwidth_bytes_per_second", ".1f", 1e9, " GB/s"),
                _figure(same, "decode_weights_fraction", ".0%"),
            ]
        )
    text = filled("""
        A step cannot be shorter than its bytes over the bandwidth that was read in the same minute. Both are by the
        clock here, and the bandwidth is the best of several passes: waiting for a processor lowers the share. That
        is the bandwidth of fresh memory; where the weights lie is what the mapped experts themselves give, which may be
        less where the system put the file's pages into farther memory.""")
    head = ["ossia", "bytes of a step", "bandwidth", "share of the bound"]
    head += ["bandwidth where the weights lie", "share of that bound"]
    return f"{text}\n\n" + table(head, rows)


def _figure(same: Sequence[dict[str, Any]], name: str, form: str, unit: float = 1.0, unit_name: str = "") -> str:
    """What some runs say of one figure, in units; results of old lack some."""
    found = [each[name] / unit for each in same if name in each]
    return _spread(spread(found), form) + unit_name if found else "-"


def _decoding(result: dict[str, Any]) -> dict[tuple[str, int, int], list[dict[str, Any]]]:
    """What our runs that wrote answers said, by precision, requests at once and depth."""
    found: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for each in result["bounds"]:
        if each["generate"] > 1:
            found.setdefault((each["precision"], each["batch"], each["depth"]), []).append(each)
    return found


def _spread(value: dict[str, float], form: str) -> str:
    median, least, most = (format(value[name], form) for name in ("median", "least", "most"))
    return median if value["least"] == value["most"] else f"{median} ({least}-{most})"


def drawn(result: dict[str, Any], file: Path) -> None:
    """Tokens a second of each engine at each work, with the spread of the rounds; below, our roofline of answers."""
    works, rows = result["works"], 2 if _decoding(result) else 1
    figure = pyplot.figure(figsize=(max(6.0, 2.2 * len(works)), 3.5 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, len(works))
    _bars(works, [figure.add_subplot(grid[0, place]) for place in range(len(works))])
    if _decoding(result):
        _roofline(result, figure.add_subplot(grid[1, :]))
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _bars(works: Sequence[dict[str, Any]], axes: Iterable[Axes]) -> None:
    for axis, work in zip(axes, works, strict=True):
        for place, value in enumerate(work["speeds"].values()):
            low, high = value["median"] - value["least"], value["most"] - value["median"]
            axis.bar(place, value["median"], yerr=[[low], [high]], capsize=3, color=f"C{place}")
        axis.set_title(f"{work['name']}\ntokens/s".replace(" at depth", "\nat depth"), fontsize=9)
        axis.set_xticks(range(len(work["speeds"])), list(work["speeds"]), rotation=30, ha="right")
        axis.grid(axis="y", alpha=0.3)


def _roofline(result: dict[str, Any], axis: Axes) -> None:
    """Tokens of a gigabyte read against tokens a second: the roof is the bandwidth, so it is a line."""
    found = _decoding(result)
    series: dict[str, list[tuple[float, float]]] = {}
    highest: dict[tuple[int, int], tuple[float, float]] = {}
    for (precision, batch, depth), same in found.items():
        reached = statistics.median(each["decode_tokens_per_second"] for each in same)
        point = batch / same[0]["decode_bytes_per_step"] * 1e9, reached
        series.setdefault(precision, []).append(point)
        highest[batch, depth] = max(highest.get((batch, depth), point), point, key=lambda each: each[1])
    for precision, points in series.items():
        axis.plot(*zip(*points, strict=True), "o", label=precision)
    for (batch, depth), point in highest.items():
        name, side = (f"{batch} at depth {depth:,}", "right") if depth else (f"{batch} at once", "left")
        place = {"textcoords": "offset points", "xytext": (-6 if depth else 6, 4), "ha": side, "fontsize": 8}
        axis.annotate(name, point, **place)
    bandwidths = [each["read_bandwidth_bytes_per_second"] / 1e9 for each in result["bounds"]]
    tokens = [each for points in series.values() for each, _ in points]
    ends = [min(tokens) / 1.5, max(tokens) * 1.5]
    for name, bandwidth in (("least", min(bandwidths)), ("most", max(bandwidths))):
        axis.plot(ends, [bandwidth * end for end in ends], label=f"{name} bandwidth read, {bandwidth:.1f} GB/s")
    axis.set(xscale="log", yscale="log", xlabel="tokens for each GB that a step reads", ylabel="tokens/s of ours")
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
