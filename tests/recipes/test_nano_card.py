"""The card: every cell has its row, and figures are those of the results."""

import re
from pathlib import Path
from typing import Any

import pytest

from recipes.nano.card import card, draw
from recipes.nano.cells import CALLS, CELLS, FACTS, UNKNOWN
from recipes.nano.evaluate import EFFORTS, interval

COUNT = 40


def results() -> dict[str, Any]:
    """Of every cell some answers right, more with more effort; a third of the unknown are declined at low effort."""
    scores = [
        {
            "cell": cell,
            "effort": str(effort),
            "count": COUNT,
            "right": 10 + 10 * step,
            "valid": COUNT,
            "declined": 10 + 10 * step if cell in UNKNOWN else 2,
            "tokens": 10.0 * (step + 1),
        }
        for cell in CELLS
        for step, effort in enumerate(EFFORTS)
    ]
    transcripts = [
        {"cell": cell, "effort": "high", "picked": why, "question": "q", "expected": "e", "text": "t", "right": False}
        for cell in CELLS
        for why in ("at random", "wrong")
    ]
    settings = {"backend": "native", "precision": "exact", "sampling": "greedy"}
    formats = {"legal": 999, "count": 1000}
    return {"sha256": "abc", "settings": settings, "scores": scores, "format": formats, "transcripts": transcripts}


@pytest.fixture(scope="module")
def page() -> str:
    return card(results(), {"stages": ["One run."], "machine": "a machine"})


def test_every_cell_has_its_row(page: str):
    for cell in CELLS:
        assert page.count(f"\n| {cell} | {COUNT} | 25.0 (") == 1, cell


def test_twenty_are_shown_and_some_failures(page: str):
    shown, failed = page.split("And some of the failures")
    assert len(re.findall(r"^\*\*", shown.split("## Transcripts")[1], re.M)) == 20
    assert len(re.findall(r"^\*\*", failed, re.M)) == 10


def test_knowing_is_counted(page: str):
    low, high = interval(20, 2 * COUNT)
    declined = f"25.0 ({100 * low:.0f}-{100 * high:.0f})"
    assert f"| not taught | low | {2 * COUNT} | 0.0 (" in page
    assert re.search(rf"\| not taught \| low \|.* \| {re.escape(declined)} \|", page)
    taught = re.search(r"\| taught \| high \| 80 \| (\S+) .* \| (\S+) \(\S+ \| (\S+) \(", page)
    assert taught
    assert taught.groups() == ("75.0", "20.0", "5.0")


@pytest.mark.parametrize(("right", "named"), [(37, "addition 2: 92%"), (38, None)])
def test_what_is_not_mostly_right_is_named_the_best_first(right: int, named: str | None):
    some = results()
    for score in some["scores"]:
        score["right"] = right if score["cell"] == "addition 2" else 10 if score["cell"] == "facts" else COUNT
    made = card(some, {"stages": [], "machine": "a machine"})
    others = [named, "facts: 25%"] if named else ["facts: 25%"]
    text = f"{len(CELLS) - len(others)} of {len(CELLS)} kinds of problems are right in 95% and more; the others:"
    assert f"{text}\n\n- " + "\n- ".join(others) + "\n\n" in made


def test_cells_that_are_named_are_cells():
    assert {*CALLS, *FACTS, *UNKNOWN} <= CELLS.keys()


def test_the_picture_is_drawn(tmp_path: Path):
    draw(results(), tmp_path / "effort.png")
    assert (tmp_path / "effort.png").read_bytes().startswith(b"\x89PNG")
