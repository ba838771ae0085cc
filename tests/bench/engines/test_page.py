"""The part of a page that a result makes."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot

from bench.engines.page import BEGIN, END, drawn, put, section


def spread(value: float) -> dict[str, float]:
    return {"median": value, "least": value / 2, "most": value * 2}


RESULT: dict[str, Any] = {
    "date": "2026-01-31",
    "commit": "abc1234",
    "command": "python bench/cpu.py",
    "machine": {"processor": "a processor", "processors": 2},
    "model": "a random one",
    "threads": 2,
    "rounds": 3,
    "works": [
        {
            "name": name,
            "speeds": {engine: spread(value) for engine, value in speeds.items()},
            "waited": {engine: [0.02, 0.04, 0.11] for engine in speeds},
            "ahead": {"ossia fast": {"llama.cpp": spread(3.25)}},
        }
        for name, speeds in (
            ("prompt of 512", {"ossia fast": 300.0, "llama.cpp": 100.0}),
            ("answer of 32 at depth 4,096", {"ossia fast": 30.0, "llama.cpp": 20.0}),
        )
    ],
    "bounds": [
        {
            "generate": generate,
            "batch": 1,
            "depth": 0,
            "precision": "fast",
            "decode_bytes_per_step": 3.71e9,
            "read_bandwidth_bytes_per_second": 31e9,
            "decode_bound_fraction": share,
            "decode_tokens_per_second": 8.0 * share,
        }
        for generate, share in ((1, 0.1), (32, 0.6), (32, 0.7), (32, 0.9))
    ],
}


def test_figures_stand_in_the_part():
    made = section({"cpu.png": RESULT})
    assert made.startswith(BEGIN)
    assert made.rstrip().endswith(END)
    words = " ".join(made.split())
    assert "waited for a processor for 4% of the time in the median and 11% at most. The model" in words
    alone = " ".join(section({"cpu.png": RESULT | {"threads": 1}}).split())
    assert "11% at most and are by the time that it had one. The model" in alone
    assert "| prompt of 512 | 300.0 (150.0-600.0) | 100.0 (50.0-200.0) | fast 3.25 (1.62-6.50) of llama.cpp |" in made
    assert "| answer of 32 at depth 4,096 | 30.0 (15.0-60.0) | 20.0 (10.0-40.0) |" in made
    # Prompts alone have no decoding that counts.
    assert "| fast, 1 at once, depth 0 | 3,710 MB | 31.0 (31.0-31.0) GB/s | 70% (60%-90%) |" in made


def test_one_round_has_no_spread():
    work = RESULT["works"][0] | {"speeds": {"ossia fast": dict.fromkeys(("median", "least", "most"), 7.0)}}
    made = section({"cpu.png": RESULT | {"rounds": 1, "works": [work]}})
    assert "figures are of one round." in " ".join(made.split())
    assert "says nothing of how it would spread" in " ".join(made.split())
    assert "| prompt of 512 | 7.0 |" in made


def test_prompts_alone_are_held_against_no_bandwidth(tmp_path: Path):
    alone = RESULT | {"works": RESULT["works"][:1], "bounds": RESULT["bounds"][:1]}
    made = section({"cpu.png": alone})
    assert "of the bound" not in made
    assert "![Tokens a second by engine](cpu.png)" in made
    drawn(alone, tmp_path / "cpu.png")
    drawn(RESULT, tmp_path / "both.png")
    heights = [len(pyplot.imread(tmp_path / name)) for name in ("cpu.png", "both.png")]
    assert heights[0] * 2 == heights[1]


def test_where_ours_is_behind_is_said():
    assert "Where ours is behind: nowhere in this table." in section({"cpu.png": RESULT})
    slower = RESULT["works"][1] | {"ahead": {"ossia fast": {"llama.cpp": spread(0.75)}}}
    made = section({"cpu.png": RESULT | {"works": [RESULT["works"][0], slower]}})
    assert "Where ours is behind: ossia fast reaches 0.75 of llama.cpp at: answer of 32 at depth 4,096." in made


def test_it_takes_the_place_of_the_one_before_and_leaves_the_rest(tmp_path: Path):
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\n<!-- serving: begin -->\n\nkept\n\n<!-- serving: end -->\n")
    put(page, section({"cpu.png": RESULT}))
    put(page, section({"cpu.png": RESULT | {"commit": "def5678"}}))
    text = page.read_text()
    assert "kept" in text
    assert "def5678" in text
    assert "abc1234" not in text
    assert text.count(BEGIN) == 1


def test_several_results_stand_below_each_other():
    made = section({"cpu.png": RESULT, "cpu1.png": RESULT | {"commit": "def5678"}})
    assert made.count("## Beside") == made.count(BEGIN) == made.count(END) == 1
    assert made.index("abc1234") < made.index("(cpu.png)") < made.index("def5678") < made.index("(cpu1.png)")


@pytest.mark.parametrize("works", [1, 2])
def test_a_picture_is_drawn(tmp_path: Path, works: int):
    drawn(RESULT | {"works": RESULT["works"][:works]}, tmp_path / "cpu.png")
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")
