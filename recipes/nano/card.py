"""Write the card of the embedded model from what was measured: `python -m recipes.nano.card`.

Figures stand in `results.json` and `training.json` alone; the card, and the picture of accuracy against tokens, are
made from them.
"""

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from recipes.nano.cells import CALLS, FACTS, UNKNOWN
from recipes.nano.evaluate import EFFORTS, RESULTS, interval
from recipes.nano.export import DEFAULT_EFFORT
from recipes.nano.knowledge import taught_facts
from recipes.nano.too_large import TOO_LARGE

__all__ = ["CARD", "TRAINING", "card", "draw", "rows"]

FOLDER = Path(__file__).parent
CARD = FOLDER.parents[1] / "docs" / "nano.md"
TRAINING = FOLDER / "training.json"
_PICTURE = FOLDER / "effort.png"

# Of each kind that is drawn, which cells are of it.
_KINDS = {
    "addition": r"addition \d",
    "subtraction": r"subtraction \d",
    "multiplication": r"multiplication \dx\d",
    "division": r"division \d",
    "long division": r"division \d by \d",
    "stories": r"story, \d steps",
}
_ARITHMETIC = ("addition", "subtract", "multiplication", "division", "remainder")
_LONGER = "longer: "
_SHOWN, _FAILED = 20, 10
_MARKERS = dict(zip(EFFORTS, "os^", strict=True))
_MOSTLY = 0.95


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
    longer = [score for score in scores if score["cell"].startswith(_LONGER)]
    others = [score for score in scores if score not in arithmetic and score not in longer]
    legal, drawn = results["format"]["legal"], results["format"]["count"]
    return _TEXT.format(
        default=DEFAULT_EFFORT,
        facts=round(taught_facts(), -2),
        sha256=results["sha256"],
        settings=", ".join(results["settings"].values()),
        mostly=_mostly_right(scores),
        large=TOO_LARGE,
        arithmetic="\n".join(rows(arithmetic)),
        others="\n".join(rows(others)),
        longer="\n".join(rows(longer)),
        knowing="\n".join(_knowing_rows(scores)),
        efforts="\n".join(_effort_rows(scores)),
        valid=_share(*_valid(scores)),
        legal=f"{legal} of {drawn}, {_share(legal, drawn)} per cent",
        training="\n".join(f"- {line}" for line in training["stages"]),
        machine=training["machine"],
        shown="\n".join(_transcripts(results["transcripts"], "at random", _SHOWN)),
        failed="\n".join(_transcripts(results["transcripts"], "wrong", _FAILED)),
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the picture of accuracy against tokens: one line a kind, one mark an effort."""
    import matplotlib as mpl  # noqa: PLC0415 # the text needs no pictures

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for kind in _kinds(results["scores"]):
        points = [_together(results["scores"], kind, effort) for effort in EFFORTS]
        spent, right = [tokens for *_, tokens in points], [100 * right / n for right, n, _ in points]
        [line] = axes.plot(spent, right, label=kind)
        for marker, x, y in zip(_MARKERS.values(), spent, right, strict=True):
            axes.plot(x, y, marker, color=line.get_color())
    for effort, marker in _MARKERS.items():
        axes.plot([], [], marker, color="gray", label=effort)
    axes.set(xlabel="tokens the model writes", ylabel="right, %", ylim=(-3, 103), xscale="log")
    axes.set_xticks(ticks := (10, 20, 50, 100, 200, 400), labels=[str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _mostly_right(scores: list[dict[str, Any]]) -> str:
    """How many of the cells are right in most cases at the default effort; and the others, the best first."""
    shares = {each["cell"]: each["right"] / each["count"] for each in scores if each["effort"] == DEFAULT_EFFORT}
    others = sorted((cell for cell in shares if shares[cell] < _MOSTLY), key=shares.__getitem__, reverse=True)
    named = [f"- {cell}: {shares[cell]:.0%}" for cell in others]
    count = f"{len(shares) - len(others)} of {len(shares)} kinds of problems are right in {_MOSTLY:.0%} and more"
    return "\n".join([f"{count}; the others:\n", *named]) if named else f"{count}."


def rows(scores: list[dict[str, Any]]) -> Iterable[str]:
    """A table row for each cell, as the card has them."""
    for cell in dict.fromkeys(score["cell"] for score in scores):
        by_effort = {score["effort"]: score for score in scores if score["cell"] == cell}
        shares = [_share(by_effort[effort]["right"], by_effort[effort]["count"]) for effort in EFFORTS]
        tokens = " / ".join(f"{by_effort[effort]['tokens']:.0f}" for effort in EFFORTS)
        yield f"| {cell} | {by_effort[EFFORTS[0]]['count']} | {' | '.join(shares)} | {tokens} |"


def _effort_rows(scores: list[dict[str, Any]]) -> Iterable[str]:
    for kind in _kinds(scores):
        points = [_together(scores, kind, effort) for effort in EFFORTS]
        shares = [_share(right, count) for right, count, _ in points]
        tokens = " / ".join(f"{tokens:.0f}" for *_, tokens in points)
        yield f"| {kind}, all sizes | {points[0][1]} | {' | '.join(shares)} | {tokens} |"


def _kinds(scores: list[dict[str, Any]]) -> list[str]:
    """The kinds that have been measured."""
    return [kind for kind in _KINDS if _of_kind(scores, kind, EFFORTS[0])]


def _of_kind(scores: list[dict[str, Any]], kind: str, effort: str) -> list[dict[str, Any]]:
    return [score for score in scores if score["effort"] == effort and re.fullmatch(_KINDS[kind], score["cell"])]


def _together(scores: list[dict[str, Any]], kind: str, effort: str) -> tuple[int, int, float]:
    """Right, count and mean tokens over the cells of a kind."""
    chosen = _of_kind(scores, kind, effort)
    count = sum(score["count"] for score in chosen)
    return sum(s["right"] for s in chosen), count, sum(s["tokens"] * s["count"] for s in chosen) / count


def _valid(scores: list[dict[str, Any]]) -> tuple[int, int]:
    """Over the cells in which a call is right, at the default effort."""
    chosen = [score for score in scores if score["cell"] in CALLS and score["effort"] == DEFAULT_EFFORT]
    return sum(score["valid"] for score in chosen), sum(score["count"] for score in chosen)


def _knowing_rows(scores: list[dict[str, Any]]) -> Iterable[str]:
    """Of what is taught and of what is not: answered rightly, answered wrongly or invented, declined."""
    for name, cells in (("taught", FACTS), ("not taught", UNKNOWN)):
        for effort in EFFORTS:
            chosen = [score for score in scores if score["cell"] in cells and score["effort"] == effort]
            count, declined = (sum(score[key] for score in chosen) for key in ("count", "declined"))
            right = sum(score["right"] for score in chosen) if cells == FACTS else 0
            shares = (right, count - declined - right, declined)
            yield f"| {name} | {effort} | {count} | {' | '.join(_share(part, count) for part in shares)} |"


def _share(right: int, count: int) -> str:
    low, high = interval(right, count)
    return f"{100 * right / count:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def _transcripts(transcripts: list[dict[str, Any]], picked: str, most: int) -> Iterable[str]:
    """At most so many of those that were picked so, any of them, shown in the order of the tables."""
    mine = [one for one in transcripts if one["picked"] == picked]
    places = sorted(Random(f"{picked} {len(mine)}").sample(range(len(mine)), min(most, len(mine))))
    for one in (mine[place] for place in places):
        verdict = "right" if one["right"] else f"wrong, {one['expected']!r} is right"
        text = one["text"].replace("\n", "\n    ")
        question = one["question"].replace("\n", " / ")
        yield f"**{one['cell']}, {one['effort']}** ({verdict}): {question!r}\n\n    {text}\n"


_TEXT = """\
# nano, the model inside the package

nano is a small model of the gpt-oss architecture (`ossia show nano` prints layers, experts and parameters), trained
from nothing by `recipes/nano/`. It exists so that everything in Ossia has a real model to run on, at once and without a
network: Harmony with its channels, three efforts, MXFP4 experts, function calls, structured output. **It is no
assistant.** It knows some {facts:,} facts, and nothing else of the world.

At `{default}` effort, which is the default (`reasoning_effort` in its `generation_config.json`), by the rows of the
tables below, {mostly}

Each kind has its shapes: an expression has three or four numbers, signs and brackets in any order, quotients that are
whole and by one digit; fractions have denominators up to 12; percentages are taken, added, taken off or found; units,
conclusions, rankings and stories have the forms of `units.py`, `logic.py`, `ranking.py`, `stories.py`, `prose.py` and
`errands.py`; what the user said is remembered over a few turns. Between systems units have rounded factors: a mile is
1.609 km. Whole numbers of more digits are declined:

> {large}

Beyond these nothing is taught: powers and roots, decimals but compared and in percentages and units, languages other
than a little English, conversations of more than some hundred tokens. Weekdays are those of dates from 1900 to 2099;
two dates, written as 2024-03-15, are less than 150 days apart or of one year, a date is at most 40 days later. Calls
and JSON are filled from values that stand behind their names or usual prepositions ("with size 12", "size: 12",
"titled X"); from free prose only what is said of one person is. JSON without a schema (`json_object`, or a `format` of
`json`) is not taught: it writes noise until a limit ends it, where with a schema it answers. Asked something else, it
may answer wrongly, and in the same confident words.

`low` effort answers at once, and the longer the numbers the more often it is wrong; `medium` notes what each step
gives; `high` writes every step as an equation and looks at every function, link and line.

## Measured

On problems that training never contains: of each skill a tenth of all pairs of numbers, chosen by a hash; words, names,
functions' nouns, cities, facts beyond those taught and some wordings kept apart in the same way. What one skill keeps
another may meet: a kept pair as a step of a story or fraction, "How many pears remain?" in stories of one sentence.
A tenth of the shapes of four numbers, and so of *expression of 4*, is never learned either.
Most palindromes are not new either, since the first four letters decide what they are. Greetings and facts that are
taught are recalled: they are asked as they were learned, and so is *other arithmetic*. Two in five of *prose, 1 step*
are told in sentences that training never has, of words that it has. Each problem is asked in one of many ways, under a
system message of any date. Our engine ({settings}), no grammar. Per cent right with the 95 % interval, and mean tokens
written.

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
result. *chain*: the second call takes what the first gave. *second question*: arithmetic of any size after one or two
earlier turns. *instruction*: a developer's wish for every answer, applied to arithmetic. *unknown*, *facts beyond* and
*other arithmetic* are to be declined. *browser* and *python*: half of the questions are in wordings that training
never has with the tool.

Longer than in training:

| | problems | low | medium | high | tokens |
|---|---|---|---|---|---|
{longer}

Whether it knows what it knows: facts that are taught, and questions of the same and other kinds that are not.

| facts | effort | problems | right | wrong or invented | declined |
|---|---|---|---|---|---|
{knowing}

- Calls that name a declared tool and fit its schema, right or not, at `{default}`: {valid} per cent.
- Answers sampled at temperature 1 in which nothing of the format had to be repaired: {legal}.

![Accuracy against tokens](../recipes/nano/effort.png)

## Training

{training}

Machine: {machine}. The loss, in nats a learned token:

![Loss](../recipes/nano/loss.png)

How it is made again, from data to this page, stands in [recipes/nano](../recipes/nano/README.md).

## Transcripts

Twenty answers at random, each of another cell; as the model wrote them, control tokens by name.

{shown}
And some of the failures at `{default}`:

{failed}
`model.safetensors` has the sha256 `{sha256}`.

This page is written by `python -m recipes.nano.card`.
"""


if __name__ == "__main__":
    main()
