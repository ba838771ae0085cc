"""Write the card of the embedded model from what was measured: `python -m recipes.nano.card`.

Figures stand in `results.json` and `training.json` alone; the card, and the picture of accuracy against tokens, are
made from them.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recipes.nano.evaluate import EFFORTS, RESULTS, interval
from recipes.nano.export import DEFAULT_EFFORT

__all__ = ["CARD", "TRAINING", "card", "draw"]

FOLDER = Path(__file__).parent
CARD = FOLDER.parents[1] / "docs" / "nano.md"
TRAINING = FOLDER / "training.json"
_PICTURE = FOLDER / "effort.png"

_KINDS = {"addition": "addition ", "subtraction": "subtraction ", "multiplication": "multiplication "}
_ARITHMETIC = (*_KINDS.values(), "subtract b")


def main() -> None:
    """Write card and picture."""
    argparse.ArgumentParser(description="Write the embedded model's card from its results.").parse_args()
    results, training = (json.loads(file.read_text("utf-8")) for file in (RESULTS, TRAINING))
    CARD.write_text(card(results, training), "utf-8")
    draw(results, _PICTURE)


def card(results: dict[str, Any], training: dict[str, Any]) -> str:
    """The card as Markdown."""
    scores = results["scores"]
    arithmetic = [score for score in scores if score["cell"].startswith(_ARITHMETIC)]
    others = [score for score in scores if score not in arithmetic]
    return _TEXT.format(
        default=DEFAULT_EFFORT,
        sha256=results["sha256"],
        settings=", ".join(results["settings"].values()),
        arithmetic="\n".join(_rows(arithmetic)),
        others="\n".join(_rows(others)),
        efforts="\n".join(_effort_rows(scores)),
        training="\n".join(f"- {line}" for line in training["stages"]),
        machine=training["machine"],
        transcripts="\n".join(_transcripts(results["transcripts"])),
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the picture of accuracy against tokens: one line an operation, one point an effort."""
    import matplotlib as mpl  # noqa: PLC0415 # the text needs no pictures

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for kind, prefix in _KINDS.items():
        points = [_together(results["scores"], prefix, effort) for effort in EFFORTS]
        axes.plot([tokens for *_, tokens in points], [100 * right / n for right, n, _ in points], "o-", label=kind)
        for effort, (right, n, tokens) in zip(EFFORTS, points, strict=True):
            axes.annotate(effort, (tokens, 100 * right / n), fontsize=8, xytext=(4, -10), textcoords="offset points")
    axes.set(xlabel="tokens the model writes", ylabel="right, %", ylim=(-3, 103))
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _rows(scores: list[dict[str, Any]]) -> Iterable[str]:
    for cell in dict.fromkeys(score["cell"] for score in scores):
        by_effort = {score["effort"]: score for score in scores if score["cell"] == cell}
        shares = [_share(by_effort[effort]["right"], by_effort[effort]["count"]) for effort in EFFORTS]
        tokens = " / ".join(f"{by_effort[effort]['tokens']:.0f}" for effort in EFFORTS)
        yield f"| {cell} | {by_effort[EFFORTS[0]]['count']} | {' | '.join(shares)} | {tokens} |"


def _effort_rows(scores: list[dict[str, Any]]) -> Iterable[str]:
    for kind, prefix in _KINDS.items():
        points = [_together(scores, prefix, effort) for effort in EFFORTS]
        shares = [_share(right, count) for right, count, _ in points]
        tokens = " / ".join(f"{tokens:.0f}" for *_, tokens in points)
        yield f"| {kind}, all sizes | {points[0][1]} | {' | '.join(shares)} | {tokens} |"


def _together(scores: list[dict[str, Any]], prefix: str, effort: str) -> tuple[int, int, float]:
    """Right, count and mean tokens over the cells whose names begin so; what is below zero counts with the rest."""
    chosen = [score for score in scores if score["cell"].startswith(prefix) and score["effort"] == effort]
    count = sum(score["count"] for score in chosen)
    return sum(s["right"] for s in chosen), count, sum(s["tokens"] * s["count"] for s in chosen) / count


def _share(right: int, count: int) -> str:
    low, high = interval(right, count)
    return f"{100 * right / count:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def _transcripts(transcripts: list[dict[str, Any]]) -> Iterable[str]:
    for one in transcripts:
        verdict = "right" if one["right"] else f"wrong, {one['expected']!r} is right"
        text = one["text"].replace("\n", "\n    ")
        yield f"**{one['cell']}, {one['effort']}** ({verdict}): {one['question']!r}\n\n    {text}\n"


_TEXT = """\
# nano, the model inside the package

nano is a model of the gpt-oss architecture with 2.8 million parameters (four layers of width 128, eight experts of
which four are active, a window on every other layer, sinks, YaRN), trained from nothing by `recipes/nano/`. It exists
so that everything in Ossia has a real model to run on, at once and without a network: Harmony with its channels, three
efforts, MXFP4 experts, a function call. **It is no assistant.** It knows nothing of the world.

What it can do:

- add and subtract whole numbers of up to 5 digits, and multiply up to 3 by 2 digits, asked for in many ways;
- greet, thank, and say what it is;
- call one function, `get_weather(city)`, in the right form when the developer declares it, though it has to guess the
  city: it knows some seventy, confuses them, and cannot copy another;
- say that it cannot answer the rest. It has learned this from made-up questions and does not always notice.

What it cannot do: anything else. Larger numbers, division, decimals, more than two numbers, word problems, other
functions, languages other than a little English, conversations of more than some hundred tokens. When it is asked
something else it may also answer with a wrong number. Mostly wrong, too, are differences below zero and a one-digit
number times a longer one (7 * 55; 55 * 7 is right), often "subtract b from a", and in its answer after a function's
result the city.

`low` effort answers at once, and is nearly always wrong with more than one digit: it is there to show the difference.
`{default}` is the default (`reasoning_effort` in its `generation_config.json`).

## Measured

On problems that training never contains (a tenth of all pairs of numbers, chosen by a hash, in either order; questions
and cities likewise kept apart; only greetings are recalled), each asked in one of many ways, under a system message of
any date. Our engine ({settings}). Per cent right with the 95 % interval, and mean tokens written.

| kind and size | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{arithmetic}

| | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{efforts}

| | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{others}

*subtract b from a* names the numbers in the other order; it got a row of its own, and left the rows by size, once it
was seen to fail. *second question*: arithmetic of any size after one or two earlier turns. *other arithmetic*: other
operations and numbers that are too large, to be declined. *function result*: the answer after the function's own.

![Accuracy against tokens](../recipes/nano/effort.png)

## Training

{training}

Machine: {machine}. The loss of the 4,300 steps, in
nats a learned token:

![Loss](../recipes/nano/loss.png)

How it is made again, from data to this page, stands in [recipes/nano](../recipes/nano/README.md).

## Transcripts

One at random of each kind, and one of the failures at `{default}` where there is any; as the model wrote them, control
tokens by name.

{transcripts}
`model.safetensors` has the sha256 `{sha256}`.

This page is written by `python -m recipes.nano.card`.
"""


if __name__ == "__main__":
    main()
