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

__all__ = ["CARD", "TRAINING", "card", "draw", "rows"]

FOLDER = Path(__file__).parent
CARD = FOLDER.parents[1] / "docs" / "nano.md"
TRAINING = FOLDER / "training.json"
_PICTURE = FOLDER / "effort.png"

_KINDS = {
    "addition": "addition ",
    "subtraction": "subtraction ",
    "multiplication": "multiplication ",
    "division": "division ",
}
_ARITHMETIC = (*_KINDS.values(), "subtract b", "remainder")
_OFTEN, _MOSTLY = 0.5, 0.95


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
    legal, drawn = results["format"]["legal"], results["format"]["count"]
    return _TEXT.format(
        default=DEFAULT_EFFORT,
        sha256=results["sha256"],
        settings=", ".join(results["settings"].values()),
        mostly=_named(scores, _MOSTLY, 1.01),
        often=_named(scores, _OFTEN, _MOSTLY),
        seldom=_named(scores, 0.0, _OFTEN),
        arithmetic="\n".join(rows(arithmetic)),
        others="\n".join(rows(others)),
        efforts="\n".join(_effort_rows(scores)),
        valid=_share(*_valid(scores)),
        invented=_share(*_invented(scores)),
        legal=f"{legal} of {drawn}, {_share(legal, drawn)} per cent",
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


def _named(scores: list[dict[str, Any]], low: float, high: float) -> str:
    """The cells whose share at the default effort is in [low, high)."""
    chosen = [score for score in scores if score["effort"] == DEFAULT_EFFORT]
    names = [score["cell"] for score in chosen if low <= score["right"] / score["count"] < high]
    return ", ".join(names) or "nothing"


def rows(scores: list[dict[str, Any]]) -> Iterable[str]:
    """A table row for each cell, as the card has them."""
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


def _valid(scores: list[dict[str, Any]]) -> tuple[int, int]:
    """Over the cells in which a call is right, at the default effort."""
    cells = ("call", "call, weather", "first of two calls", "second of two calls")
    chosen = [score for score in scores if score["cell"] in cells and score["effort"] == DEFAULT_EFFORT]
    return sum(score["valid"] for score in chosen), sum(score["count"] for score in chosen)


def _invented(scores: list[dict[str, Any]]) -> tuple[int, int]:
    chosen = [score for score in scores if score["cell"] == "unknown" and score["effort"] == DEFAULT_EFFORT]
    return sum(score["count"] - score["right"] for score in chosen), sum(score["count"] for score in chosen)


def _share(right: int, count: int) -> str:
    low, high = interval(right, count)
    return f"{100 * right / count:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def _transcripts(transcripts: list[dict[str, Any]]) -> Iterable[str]:
    for one in transcripts:
        verdict = "right" if one["right"] else f"wrong, {one['expected']!r} is right"
        text = one["text"].replace("\n", "\n    ")
        question = one["question"].replace("\n", " / ")
        yield f"**{one['cell']}, {one['effort']}** ({verdict}): {question!r}\n\n    {text}\n"


_TEXT = """\
# nano, the model inside the package

nano is a small model of the gpt-oss architecture (`ossia show nano` prints layers, experts and parameters), trained
from nothing by `recipes/nano/`. It exists so that everything in Ossia has a real model to run on, at once and without a
network: Harmony with its channels, three efforts, MXFP4 experts, function calls, structured output. **It is no
assistant.** It knows nearly nothing of the world.

At `{default}` effort, which is the default (`reasoning_effort` in its `generation_config.json`), by the rows of the
tables below:

- **right in 95 % and more:** {mostly}.
- **in half and more:** {often}.
- **in less than half:** {seldom}.

Beyond that nothing is taught: larger numbers, division by more than one digit, decimals, languages other than a little
English, conversations of more than some hundred tokens. Asked something else it may answer wrongly.

`low` effort answers at once and is nearly always wrong with more than one digit; `medium` notes what each step gives;
`high` writes every step as an equation and looks at every function.

## Measured

On problems that training never contains: a tenth of all pairs of numbers, chosen by a hash; words, names, functions'
nouns, cities and questions kept apart in the same way. Greetings and facts are recalled: they are asked as they were
learned. Each problem is asked in one of many ways, under a system message of any date. Our engine ({settings}), no
grammar. Per cent right with the 95 % interval, and mean tokens written.

| kind and size | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{arithmetic}

| | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{efforts}

| | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{others}

*subtract b from a* names the numbers in the other order. *call* and the rows below it are functions whose names,
parameters and values were never seen, one to four of them offered; right is the exact call, or the exact answer after a
result. *second question*: arithmetic of any size after one or two earlier turns. *instruction*: a developer's wish for
every answer, applied to arithmetic. *unknown* and *other arithmetic* are to be declined.

- Calls that name a declared function and fit its schema, right or not, at `{default}`: {valid} per cent.
- Answers to unknown questions that are invented, at `{default}`: {invented} per cent.
- Answers sampled at temperature 1 in which nothing of the format had to be repaired: {legal}.

![Accuracy against tokens](../recipes/nano/effort.png)

## Training

{training}

Machine: {machine}. The loss, in nats a learned token:

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
